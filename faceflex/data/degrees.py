"""Files of smile degrees: pictures' names, and how much each face smiles, from -1 to 1."""

from __future__ import annotations

import csv
import math
from collections.abc import Collection
from pathlib import Path

from faceflex.errors import UsageError

LEAST_ROWS = 20
"""Faces with a degree that anything can be learned from."""

NAME_COLUMNS = ("file", "name", "stimulus_filename")
DEGREE_COLUMNS = ("degree", "avg_encode")


def read_degrees(path: Path) -> dict[str, float]:
    """Read a CSV file of smile degrees.

    Its header names a column of pictures (``file``, ``name`` or SmileCVAE's
    ``stimulus_filename``) and one of degrees (``degree``, or SmileCVAE's ``avg_encode``); other
    columns are ignored.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    Degrees in [-1, 1] by file name.

    Raises
    ------
    UsageError
        If it cannot be read, a row has no degree in [-1, 1] or comes twice, there are fewer than
        20 rows, or all faces are on one side of 0.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{path}: cannot be read as CSV ({reason})") from error
    head = list(rows[0]) if rows else []
    name_column = next((c for c in NAME_COLUMNS if c in head), None)
    degree_column = next((c for c in DEGREE_COLUMNS if c in head), None)
    if rows and (name_column is None or degree_column is None):
        raise UsageError(f"{path}: its first line must have the columns file and degree")
    degrees: dict[str, float] = {}
    for number, row in enumerate(rows, start=2):
        name, text = str(row[name_column]).strip(), str(row[degree_column]).strip()
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not -1 <= value <= 1:
            raise UsageError(f"{path}: line {number}: {text!r} is no degree from -1 to 1")
        if name in degrees:
            raise UsageError(f"{path}: line {number}: {name} is there twice")
        degrees[name] = value
    if len(degrees) < LEAST_ROWS:
        count = f"{len(degrees)} faces with a degree"
        raise UsageError(f"{path}: {count}; at least {LEAST_ROWS} are needed")
    _check_classes(path, degrees)
    return degrees


def match_degrees(path: Path, names: Collection[str]) -> tuple[dict[str, float], list[str]]:
    """Read degrees of a face set's pictures.

    Parameters
    ----------
    path
        As for :func:`read_degrees`.
    names
        File names of the pictures that there are.

    Returns
    -------
    Degrees by name, and the names in the file of which there is no picture.

    Raises
    ------
    UsageError
        As :func:`read_degrees`, also of what is left without unknown names.
    """
    degrees, known = read_degrees(path), set(names)
    unknown = [name for name in degrees if name not in known]
    found = {name: value for name, value in degrees.items() if name in known}
    if len(found) < LEAST_ROWS:
        raise UsageError(
            f"{path}: {len(unknown)} of its {len(degrees)} names are unknown, like"
            f" {unknown[0]}; at least {LEAST_ROWS} must be pictures of the face sets"
        )
    _check_classes(path, found)
    return found, unknown


def _check_classes(path: Path, degrees: dict[str, float]) -> None:
    for sign, what in ((1, "smiles (a degree above 0)"), (-1, "does not smile (one below 0)")):
        if not any(value * sign > 0 for value in degrees.values()):
            raise UsageError(f"{path}: has one class only: no face {what}")
