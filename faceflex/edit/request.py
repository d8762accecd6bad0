"""What an edit command asks for, worked out before any photo is opened: pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from faceflex.errors import NoFaceError, UsageError

if TYPE_CHECKING:
    from faceflex.faces import Face

DEFAULT_RANGE = (0.0, 2.5, 0.5)
MAX_STRENGTHS = 1000


def strengths(start: float, stop: float, step: float) -> list[float]:
    """Return ``start``, ``start + step``, ... up to but without ``stop``, free of float drift.

    Raises
    ------
    UsageError
        If the range is empty, endless or too long.
    """
    text = f"--range {start:g} {stop:g} {step:g}"
    if not all(math.isfinite(v) for v in (start, stop, step)):
        raise UsageError(f"{text}: needs three finite numbers START STOP STEP")
    if step == 0:
        raise UsageError(f"{text}: a step of 0 never reaches the end; give a STEP like 0.5")
    # Decimal numbers as typed: 0.1 * 3 is 0.3.
    first, last, stride = (Decimal(repr(float(v))) for v in (start, stop, step))
    count = max(0, math.ceil((last - first) / stride))
    if count == 0:
        turn = "a negative STEP" if stop < start else "STOP and START apart, on STEP's side"
        raise UsageError(f"{text}: is empty (STOP itself is left out); needs {turn}")
    if count > MAX_STRENGTHS:
        raise UsageError(f"{text}: makes {count:,} pictures; {MAX_STRENGTHS:,} at most")
    return [float(first + stride * i) for i in range(count)]


def strength_name(value: float) -> str:
    """Return a strength as it stands in file names: ``0``, ``0.5``, ``-1``."""
    return f"{value:.10g}" if value else "0"


def parse_settings(pairs: Sequence[str]) -> dict[str, float]:
    """Read ``NAME=STRENGTH`` pairs.

    Raises
    ------
    UsageError
        If one is not of that form, or a name comes twice.
    """
    found: dict[str, float] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        try:
            strength = float(value)
        except ValueError:
            strength = math.nan
        if not name or not equals or not math.isfinite(strength):
            raise UsageError(f"--set {pair}: use NAME=STRENGTH, like --set Smiling=1.5")
        if name in found:
            raise UsageError(f"--set {pair}: {name} is set twice")
        found[name] = strength
    return found


def choose_faces(faces: Sequence[Face], selectors: Sequence[str], photo: str) -> list[Face]:
    """Choose faces by number, ``largest``, or a point ``x,y``.

    Parameters
    ----------
    faces
        All faces of the photo.
    selectors
        What to choose; all faces when empty.
    photo
        The photo's name, for messages.

    Returns
    -------
    Chosen faces, left to right, each once.

    Raises
    ------
    NoFaceError
        If the photo has no such face.
    UsageError
        If a selector makes no sense.
    """
    if not faces:
        raise NoFaceError(
            f"{photo}: no face found; frontal faces of 40 pixels and more are"
            " (--detector cnn finds more)"
        )
    if not selectors:
        return list(faces)
    chosen = {_choose(faces, one.strip().lower(), photo).index for one in selectors}
    return [f for f in faces if f.index in chosen]


def check_selector(text: str) -> None:
    """Raise ``UsageError`` unless ``text`` is a number, ``largest`` or a point ``x,y``."""
    parts = text.strip().lower().split(",")
    good = parts == ["largest"] or (parts[0].isdigit() and len(parts) == 1 and int(parts[0]) > 0)
    if len(parts) == 2:
        try:
            good = all(math.isfinite(float(p)) for p in parts)
        except ValueError:
            good = False
    if not good:
        raise UsageError(f"--face {text}: use a number from 1, 'largest', or a point like 120,80")


def _choose(faces: Sequence[Face], text: str, photo: str) -> Face:
    check_selector(text)
    if text == "largest":
        return max(faces, key=lambda f: f.width)
    if "," not in text:
        for face in faces:
            if face.index == int(text):
                return face
        raise NoFaceError(f"{photo}: has no face {text}; it has 1 to {len(faces)}")
    x, y = (float(p) for p in text.split(","))
    hits = [f for f in faces if f.box[0] <= x <= f.box[2] and f.box[1] <= y <= f.box[3]]
    if not hits:
        raise NoFaceError(f"{photo}: no face at {text}; see: faceflex faces {photo}")
    return min(hits, key=lambda f: f.width)


@dataclass(frozen=True)
class Request:
    """What to make of every photo.

    Attributes
    ----------
    attributes
        Attributes to sweep, by their proper names; empty for one picture from ``settings`` alone.
    values
        Strengths of the sweep.
    samples
        Versions of each attribute to draw.
    settings
        Attributes applied to every picture at a fixed strength.
    """

    attributes: tuple[str, ...]
    values: tuple[float, ...]
    samples: int = 1
    settings: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Output:
    """One picture to make.

    Attributes
    ----------
    path
        Where it goes; None for standard output.
    attribute, strength, sample
        Place in the sweep; None, None and 1 for a picture from settings alone.
    settings
        All attributes of the picture and their strengths.
    """

    path: Path | None
    attribute: str | None
    strength: float | None
    sample: int
    settings: dict[str, float]


def plan(request: Request, folder: Path, stem: str, suffix: str) -> list[Output]:
    """List the pictures to make of one photo.

    Parameters
    ----------
    request
        What was asked for.
    folder
        Where a sweep's samples go, or the one picture.
    stem, suffix
        Parts of the photo's file name.
    """
    if not request.attributes:
        path = folder / f"{stem}-edited{suffix}"
        return [Output(path, None, None, 1, dict(request.settings))]
    outputs = []
    for attribute in request.attributes:
        for sample in range(1, request.samples + 1):
            for value in request.values:
                name = f"{strength_name(value)}-{attribute}{suffix}"
                settings = dict(request.settings)
                settings[attribute] = settings.get(attribute, 0.0) + value
                path = folder / f"sample-{sample}" / name
                outputs.append(Output(path, attribute, value, sample, settings))
    return outputs
