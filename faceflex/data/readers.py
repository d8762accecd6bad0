"""Readers of the face sets that faceflex knows, each from its own published layout."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from faceflex.data.affectnet import is_affectnet, read_affectnet
from faceflex.data.records import Record, read_points
from faceflex.errors import UsageError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})


def landmarks_beside(root: Path) -> Path | None:
    """Return the landmark file kept with a face set: ``*landmarks68.npz`` in or beside it."""
    inside = sorted(root.glob("*landmarks68.npz"))
    beside = sorted(root.parent.glob(f"{root.name.lower()}*landmarks68.npz"))
    return next(iter([*inside, *beside]), None)


def read_table(path: Path) -> tuple[list[str], Iterator[tuple[int, str, list[str]]]]:
    """Read one of CelebA's tables.

    Returns
    -------
    The column names (none when the file starts with its rows), and (line number, picture's name,
    values) of each row.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as a table ({error})") from error
    counted = bool(lines) and lines[0].strip().isdigit()
    rows = (
        (number, *_first(line))
        for number, line in enumerate(lines, start=1)
        if line.strip() and not (counted and number <= 2)
    )
    return lines[1].split() if counted and len(lines) > 1 else [], rows


def _first(line: str) -> tuple[str, list[str]]:
    name, *values = line.split()
    return name, values


def _numbers(path: Path, count: int) -> dict[str, list[float]]:
    """Read a table of ``count`` numbers a row; empty when the file is not there."""
    if not path.is_file():
        return {}
    table: dict[str, list[float]] = {}
    for number, name, values in read_table(path)[1]:
        try:
            table[name] = [float(v) for v in values]
        except ValueError:
            table[name] = []
        if len(table[name]) != count or not np.isfinite(table[name]).all():
            raise UsageError(f"{path}: line {number} is not a name and {count} numbers")
    return table


def read_celeba(root: Path) -> Iterator[Record]:
    """Read CelebA as distributed (Liu et al. 2015).

    Parameters
    ----------
    root
        Folder with ``list_attr_celeba.txt`` and ``img_align_celeba/``. Used if there:
        ``list_eval_partition.txt`` and ``list_landmarks_align_celeba.txt``.

    Yields
    ------
    Records whose labels are the 40 attributes, +1 or -1.

    Raises
    ------
    UsageError
        If a file does not have CelebA's form.
    """
    points = read_points(landmarks_beside(root))
    partitions = _numbers(root / "list_eval_partition.txt", 1)
    five = _numbers(root / "list_landmarks_align_celeba.txt", 10)
    table = root / "list_attr_celeba.txt"
    names, rows = read_table(table)
    if not names:
        raise UsageError(f"{table}: no attribute names on its second line")
    for number, name, values in rows:
        if len(values) != len(names) or not set(values) <= {"1", "-1"}:
            raise UsageError(f"{table}: line {number} is not a name and {len(names)} labels ±1")
        labels = {a: float(v) for a, v in zip(names, values, strict=True)}
        yield Record(
            root / "img_align_celeba" / name,
            "celeba",
            points.get(name),
            labels,
            np.array(five[name], np.float32).reshape(5, 2) if name in five else None,
            int(partitions[name][0]) if name in partitions else None,
        )


_VALUES = {"1": 1.0, "true": 1.0, "yes": 1.0, "0": -1.0, "-1": -1.0, "false": -1.0, "no": -1.0}


def read_labels(root: Path, table: Path) -> Iterator[Record]:
    """Read any folder of photos with a CSV of labels.

    Parameters
    ----------
    root
        The folder.
    table
        A header ``file,NAME,...``, then one row a photo: its path below the folder, and for each
        attribute 1, yes or true; 0, -1, no or false; or nothing where it is not known.

    Yields
    ------
    Records with the labels that are known, in the order of the table.

    Raises
    ------
    UsageError
        If the table does not have this form, or names a photo that is not there.
    """
    points = read_points(landmarks_beside(root)) if root.is_dir() else {}
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{table}: cannot be read as CSV ({error})") from error
    names = [name.strip() for name in rows[0][1:]] if rows else []
    if not names or not all(names) or len(set(names)) < len(names):
        raise UsageError(f"{table}: its first line must be file,NAME,... with distinct names")
    for number, row in enumerate(rows[1:], start=2):
        if not any(cell.strip() for cell in row):
            continue
        cells = [cell.strip().lower() for cell in row[1:]]
        if len(cells) != len(names) or not all(c in _VALUES or not c for c in cells):
            raise UsageError(
                f"{table}: line {number} is not a file and {len(names)} of 1, 0 or nothing"
            )
        path = root / row[0].strip()
        if not path.is_file():
            raise UsageError(f"{table}: line {number}: {path}: no such file")
        labels = {n: _VALUES[c] for n, c in zip(names, cells, strict=True) if c}
        yield Record(path, "folder", points.get(path.name), labels)


def read_utkface(root: Path) -> Iterator[Record]:
    """Read UTKFace's aligned chips (Zhang et al. 2017); labels from the file names.

    Yields
    ------
    Records labelled ``age`` (years), ``gender`` (0 male, 1 female) and ``race`` (0 to 4), as far
    as the file name gives them.
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
    elif is_affectnet(root):
        records = read_affectnet(root)
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
