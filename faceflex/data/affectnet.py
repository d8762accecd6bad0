"""AffectNet (Mollahosseini et al. 2017): faces with an expression, valence and arousal.

Three layouts are read: the tables of the first release (``training.csv``, ``validation.csv`` and
folders of pictures), the later one (a file a label in ``annotations/``), and a plain
``labels.csv`` with ``images/``.
"""

from __future__ import annotations

import csv
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceflex.data.records import Record
from faceflex.errors import UsageError

EXPRESSIONS = (
    "neutral",
    "happy",
    "sad",
    "surprised",
    "afraid",
    "disgusted",
    "angry",
    "contemptuous",
)
"""AffectNet's expressions by their number."""

SHARES = 10
"""Faces are divided by the CRC-32 of their names into this many shares."""

_COLUMNS = (
    "subDirectory_filePath",
    "face_x",
    "face_y",
    "face_width",
    "face_height",
    "facial_landmarks",
    "expression",
    "valence",
    "arousal",
)
_TABLES = ("training.csv", "validation.csv")
_ROOTS = ("Manually_Annotated_Images", "Manually_Annotated", "images", ".")
_NO_FACE = -2.0


def is_affectnet(root: Path) -> bool:
    """Tell whether a folder has one of AffectNet's layouts."""
    if any((root / name).is_file() for name in _TABLES) or _annotated(root):
        return True
    table = root / "labels.csv"
    if not table.is_file():
        return False
    with table.open(encoding="utf-8-sig", errors="replace") as file:
        return {"valence", "arousal"} <= set(file.readline().strip().split(","))


def share_of(name: str) -> int:
    """Return which of the ten shares of AffectNet the picture called ``name`` belongs to.

    Share 0 is held out; networks that judge edits learn from 1 to 4, all others from 5 to 9.

    Examples
    --------
    >>> share_of("0.jpg")
    7
    """
    return zlib.crc32(name.encode()) % SHARES


def read_affectnet(root: Path) -> Iterator[Record]:
    """Read AffectNet, whichever layout ``root`` has; pictures without a face (-2) are left out.

    Yields
    ------
    Records labelled ``valence`` and ``arousal`` in [-1, 1], and ``expression`` (0 to 7) where it is
    one of :data:`EXPRESSIONS`.

    Raises
    ------
    UsageError
        If a table does not have AffectNet's form, names no picture that is there, or has no
        face of negative valence.
    """
    source = root / "labels.csv"
    if any((root / name).is_file() for name in _TABLES):
        records = [r for name in _TABLES for r in _published(root, root / name)]
        source = root / _TABLES[0]
    elif _annotated(root):
        records, source = list(_npy(root)), root
    else:
        records = list(_plain(root, source))
    if not records:
        raise UsageError(f"{source}: no row is a face with valence and arousal")
    for name in ("valence", "arousal"):
        lowest = min(r.labels[name] for r in records)
        if lowest >= 0 or max(r.labels[name] for r in records) <= 0:
            side = "negative" if lowest >= 0 else "positive"
            raise UsageError(
                f"{source}: no face has a {side} {name}; both sides of the plane are needed"
            )
    yield from records


def _plain(root: Path, table: Path) -> Iterator[Record]:
    for number, row in _rows(table, ("image", "valence", "arousal")):
        path = root / "images" / row["image"]
        try:
            points = np.array([float(row[f"{a}{i}"]) for i in range(68) for a in "xy"], np.float32)
        except (KeyError, TypeError, ValueError):
            points = np.full(136, np.nan, np.float32)
        record = _record(path, row, _shape(points), f"{table}: line {number}")
        if record is not None:
            yield record


def _published(root: Path, table: Path) -> Iterator[Record]:
    """Read a table of the first release; its landmarks are in pixels of the picture."""
    if not table.is_file():
        return
    folders = [root / name for name in _ROOTS if (root / name).is_dir()]
    for number, row in _rows(table, _COLUMNS, headless=True):
        name = row["subDirectory_filePath"]
        path = next((f / name for f in folders if (f / name).is_file()), folders[0] / name)
        try:
            points = np.array([float(v) for v in row["facial_landmarks"].split(";")], np.float32)
        except ValueError:
            points = np.zeros(0, np.float32)
        record = _record(path, row, _shape(points), f"{table}: line {number}")
        if record is not None:
            held_out = int(table.name == _TABLES[1])
            yield Record(path, "affectnet", record.points, record.labels, partition=held_out)


def _annotated(root: Path) -> bool:
    folder = root / "annotations"
    return folder.is_dir() and next(folder.glob("*_val.npy"), None) is not None


def _npy(root: Path) -> Iterator[Record]:
    for file in sorted((root / "annotations").glob("*_val.npy")):
        stem = file.name[: -len("_val.npy")]
        row, points = {}, np.zeros(0, np.float32)
        try:
            for key, name in (("val", "valence"), ("aro", "arousal"), ("exp", "expression")):
                value = np.load(file.with_name(f"{stem}_{key}.npy"), allow_pickle=False)
                row[name] = str(value.item())
            beside = file.with_name(f"{stem}_lnd.npy")
            if beside.is_file():
                points = np.load(beside, allow_pickle=False).astype(np.float32).ravel()
        except (OSError, ValueError) as error:
            raise UsageError(f"{file}: cannot be read with its neighbours ({error})") from error
        record = _record(root / "images" / f"{stem}.jpg", row, _shape(points), str(file))
        if record is not None:
            yield record


def _rows(
    table: Path, columns: tuple[str, ...], *, headless: bool = False
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line number and row of a CSV table; ``headless``: its first line may be a row."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            lines = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{table}: cannot be read as CSV ({error})") from error
    first = [cell.strip() for cell in lines[0]] if lines else []
    header, start = first, 1
    if headless and len(first) == len(columns) and "valence" not in first:
        header, start = list(columns), 0
    missing = [name for name in columns if name not in header]
    if missing:
        raise UsageError(f"{table}: not a table of AffectNet (no column {', '.join(missing)})")
    for number, line in enumerate(lines[start:], start=start + 1):
        if any(line):
            yield number, dict(zip(header, line, strict=False))


def _record(
    path: Path, row: dict[str, str], points: NDArray[np.float32] | None, where: str
) -> Record | None:
    """Return the record of a row; None for a picture without a face."""
    try:
        valence, arousal = float(row["valence"]), float(row["arousal"])
    except (KeyError, ValueError):
        raise UsageError(f"{where}: valence and arousal are not numbers") from None
    if _NO_FACE in (valence, arousal):
        return None
    if not (-1 <= valence <= 1 and -1 <= arousal <= 1):
        raise UsageError(f"{where}: valence {valence:g}, arousal {arousal:g}: not in [-1, 1]")
    if not path.is_file():
        raise UsageError(f"{where}: {path}: no such picture")
    labels = {"valence": valence, "arousal": arousal}
    expression = row.get("expression", "")
    if expression.strip().isdigit() and int(expression) < len(EXPRESSIONS):
        labels["expression"] = float(expression)
    held_out = int(share_of(path.name) == 0)
    return Record(path, "affectnet", points, labels, partition=held_out)


def _shape(points: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """Return (68, 2) landmarks; None when they are not 68 finite points."""
    if points.size != 136 or not np.isfinite(points).all():
        return None
    return points.reshape(68, 2)
