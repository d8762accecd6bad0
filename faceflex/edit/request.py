"""What an edit command asks for, worked out before any photo is opened: pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from faceflex.errors import UsageError
from faceflex.methods.base import Shot

DEFAULT_RANGE = (0.0, 2.5, 0.5)
MAX_STRENGTHS = 1000


def strengths(start: float, stop: float, step: float) -> list[float]:
    """Return ``start``, ``start + step``, ... up to but without ``stop``, free of float drift.

    Raises
    ------
    UsageError
        If the range is empty, endless or too long.
    """
    text = f"`range` {start:g} {stop:g} {step:g}"
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
            raise UsageError(f"`set` {pair}: use NAME=STRENGTH, like Smiling=1.5")
        if name in found:
            raise UsageError(f"`set` {pair}: {name} is set twice")
        found[name] = strength
    return found


@dataclass(frozen=True)
class Request:
    """What to make of every photo.

    Attributes
    ----------
    sweep
        Controls to sweep, by their proper names; empty for one picture from ``settings`` alone.
    values
        Values of the sweep.
    samples
        Variants of each swept control to draw; of one, it is the usual kind.
    settings
        Controls applied to every picture at a fixed value.
    """

    sweep: tuple[str, ...]
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
        Place in the sweep: control, value and number of the variant; None, None and 1 for a picture
        from settings alone.
    settings
        All controls of the picture and their values.
    """

    path: Path | None
    attribute: str | None
    strength: float | None
    sample: int
    settings: dict[str, float]

    def shot(self, samples: int) -> Shot:
        """Return what the editor is asked for, ``samples`` being drawn of each swept control."""
        variant = self.sample if samples > 1 else 0
        varied = () if self.attribute is None else (self.attribute,)
        return Shot(tuple(self.settings.items()), variant, varied)


def plan_outputs(request: Request, folder: Path, stem: str, suffix: str) -> list[Output]:
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
    if not request.sweep:
        path = folder / f"{stem}-edited{suffix}"
        return [Output(path, None, None, 1, dict(request.settings))]
    outputs = []
    for control in request.sweep:
        for sample in range(1, request.samples + 1):
            for value in request.values:
                name = f"{strength_name(value)}-{control}{suffix}"
                settings = dict(request.settings)
                settings[control] = settings.get(control, 0.0) + value
                path = folder / f"sample-{sample}" / name
                outputs.append(Output(path, control, value, sample, settings))
    return outputs
