"""Readers of the face sets that faceflex knows, each from its own published layout."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from faceflex.data.records import Record, read_points
from faceflex.errors import UsageError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})


def landmarks_beside(root: Path) -> Path | None:
    """Return the landmark file kept with a face set: ``*landmarks68.npz`` in or beside it."""
    inside = sorted(root.glob("*landmarks68.npz"))
    beside = sorted(root.parent.glob(f"{root.name.lower()}*landmarks68.npz"))
    return next(iter([*inside, *beside]), None)


def read_celeba(root: Path) -> Iterator[Record]:
    """Read CelebA as distributed (Liu et al. 2015).

    Parameters
    ----------
    root
        Folder with ``list_attr_celeba.txt`` and ``img_align_celeba/``.

    Yields
    ------
    Records whose labels are the 40 attributes, +1 or -1.

    Raises
    ------
    UsageError
        If the label file does not have CelebA's form.
    """
    points = read_points(landmarks_beside(root))
    table = root / "list_attr_celeba.txt"
    lines = table.read_text().splitlines()
    names = lines[1].split() if len(lines) > 1 else []
    if not names:
        raise UsageError(f"{table}: no attribute names on its second line")
    for number, line in enumerate(lines[2:], start=3):
        if not line.strip():
            continue
        name, *values = line.split()
        if len(values) != len(names) or not set(values) <= {"1", "-1"}:
            raise UsageError(f"{table}: line {number} is not a name and {len(names)} labels ±1")
        labels = {a: float(v) for a, v in zip(names, values, strict=True)}
        yield Record(root / "img_align_celeba" / name, "celeba", points.get(name), labels)


def read_utkface(root: Path) -> Iterator[Record]:
    """Read UTKFace's aligned chips (Zhang et al. 2017); labels from the file names.

    Yields
    ------
    Records labelled ``age`` (years), ``gender`` (0 male, 1 female) and ``race`` (0 to 4), as far
    as the file name tells them.
    """
    points = read_points(landmarks_beside(root))
    for path in sorted(root.glob("*.jpg")):
        parts = path.name.split("_")
        keys = ("age", "gender", "race")
        labels = {k: float(p) for k, p in zip(keys, parts[:3], strict=False) if p.isdigit()}
        yield Record(path, "utkface", points.get(path.name), labels if len(labels) == 3 else {})


def read_folder(root: Path) -> Iterator[Record]:
    """Read every picture below a folder, without labels."""
    points = read_points(landmarks_beside(root))
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            yield Record(path, "folder", points.get(path.name))


def read_any(root: Path) -> Iterator[Record]:
    """Read a face set of whichever known layout ``root`` has.

    Raises
    ------
    UsageError
        If ``root`` is not a folder or holds no picture.
    """
    if not root.is_dir():
        raise UsageError(f"{root}: not a folder; give the folder of a face set")
    if (root / "list_attr_celeba.txt").is_file():
        records = read_celeba(root)
    elif next(root.glob("*.chip.jpg"), None) is not None:
        records = read_utkface(root)
    else:
        records = read_folder(root)
    empty = True
    for record in records:
        empty = False
        yield record
    if empty:
        raise UsageError(f"{root}: no pictures in it")
