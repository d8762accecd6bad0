"""What an edit command asks for, worked out before any photo is opened: pure functions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from faceflex.errors import UsageError
from faceflex.methods.base import Shot

AUTOMATIC = "auto"
DEFAULT_RANGE = (0.0, 2.5, 0.5)
DEFAULT_UNTIL = 0.8
"""The score at which a face shows an attribute; the evaluation's, too."""
MAX_STRENGTHS = 1000


def strengths(start: float, stop: float, step: float) -> list[float]:
    """Return ``start``, ``start + step``, ... up to but without ``stop``, free of float drift.

    Raises
    ------
    UsageError
        If the range is empty, endless or too long.

    Examples
    --------
    >>> strengths(0, 2.5, 0.5)
    [0.0, 0.5, 1.0, 1.5, 2.0]
    >>> strengths(0, -0.4, -0.1)
    [0.0, -0.1, -0.2, -0.3]
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


def parse_settings(pairs: Sequence[str]) -> dict[str, float | None]:
    """Read ``NAME=STRENGTH`` pairs; blanks do not matter.

    Returns
    -------
    Strengths by name; None for ``NAME=auto``.

    Raises
    ------
    UsageError
        If one is not of that form, or a name comes twice.

    Examples
    --------
    >>> parse_settings(["Smiling = 1.5", "Young=auto"])
    {'Smiling': 1.5, 'Young': None}
    """
    settings: dict[str, float | None] = {}
    for pair in pairs:
        name, value = (part.strip() for part in (pair.partition("=")[::2]))
        strength: float | None = None
        if value.lower() != AUTOMATIC:
            try:
                strength = float(value)
            except ValueError:
                strength = math.nan
        if not name or (strength is not None and not math.isfinite(strength)):
            raise UsageError(f"`set` {pair}: use NAME=STRENGTH, like Smiling=1.5 or Smiling=auto")
        if name in settings:
            raise UsageError(f"`set` {pair}: {name} is set twice")
        settings[name] = strength
    return settings


@dataclass(frozen=True)
class Request:
    """What to make of every photo.

    Attributes
    ----------
    sweep
        Controls to sweep, by their proper names; empty for one picture from ``settings`` alone.
    values
        Values of the sweep; None: an automatic strength, found for each face.
    samples
        Variants of each swept control to draw; of one, it is the usual kind.
    settings
        Controls applied to every picture at a fixed value.
    automatic
        Controls applied to every picture at an automatic strength.
    until
        The classifier's score that automatic strengths reach; see
        :mod:`faceflex.edit.automatic_strength`.
    """

    sweep: tuple[str, ...]
    values: tuple[float | None, ...]
    samples: int = 1
    settings: dict[str, float] = field(default_factory=dict)
    automatic: tuple[str, ...] = ()
    until: float = DEFAULT_UNTIL

    @property
    def controls(self) -> tuple[str, ...]:
        """All controls that are set or swept, each once."""
        return tuple(dict.fromkeys((*self.sweep, *self.settings, *self.automatic)))

    @property
    def automatic_controls(self) -> tuple[str, ...]:
        """All controls with an automatic strength in some picture."""
        swept = self.sweep if None in self.values else ()
        return tuple(dict.fromkeys((*self.automatic, *swept)))

    @property
    def outputs(self) -> int:
        """How many pictures are made of a photo."""
        return len(self.sweep) * len(self.values) * self.samples or 1


@dataclass(frozen=True)
class Output:
    """One picture to make.

    Attributes
    ----------
    path
        Where it goes; None for standard output.
    attribute, strength, sample
        Place in the sweep: control, value (None: automatic) and number of the variant; None, None
        and 1 for a picture from settings alone.
    settings
        Controls of the picture that have a fixed value, and these.
    automatic
        Controls whose strength is found for each face, and the score that each is to reach.
    """

    path: Path | None
    attribute: str | None
    strength: float | None
    sample: int
    settings: dict[str, float]
    automatic: Mapping[str, float] = field(default_factory=dict)

    def shot(self, samples: int) -> Shot:
        """Return what the editor is asked for, ``samples`` being drawn of each swept control."""
        variant = self.sample if samples > 1 else 0
        varied = () if self.attribute is None else (self.attribute,)
        return Shot(tuple(self.settings.items()), variant, varied)


def plan_outputs(request: Request, folder: Path, name: str, suffix: str) -> list[Output]:
    """List the pictures to make of one photo.

    Parameters
    ----------
    request
        What was asked for.
    folder
        Where a sweep's samples go, or the one picture.
    name, suffix
        Of the one picture of a photo, where there is no sweep; a sweep's have the suffix only.
    """
    automatic = dict.fromkeys(request.automatic, request.until)
    if not request.sweep:
        path = folder / f"{name}{suffix}"
        return [Output(path, None, None, 1, dict(request.settings), automatic)]
    outputs = []
    for control in request.sweep:
        for sample in range(1, request.samples + 1):
            for value in request.values:
                settings, searched = dict(request.settings), dict(automatic)
                if value is None:
                    searched[control] = request.until
                else:
                    settings[control] = settings.get(control, 0.0) + value
                shown = AUTOMATIC if value is None else strength_name(value)
                path = folder / f"sample-{sample}" / f"{shown}-{control}{suffix}"
                outputs.append(Output(path, control, value, sample, settings, searched))
    return outputs
