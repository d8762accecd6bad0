"""Real smiles as action unit curves: read, cut from neutral to smile, and measured.

The unit curves of a clip are intensities (0 to 5) of the lip corner puller AU12, the cheek raiser
AU6, the parting of the lips AU25 and the blink AU45 (Ekman and Friesen), as OpenFace estimates
them. Estimates have an offset of their own in each clip; curves here are relative to the face at
rest before the smile.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from faceflex.errors import UsageError

STYLES = ("posed", "spontaneous")
UNITS = ("AU12", "AU06", "AU25")
"""Units whose curves are learned; blinks (AU45) are brief events and kept apart."""
RATE = 25.0
"""Samples a second of curves here."""
LEAD = 0.16
"""Seconds of rest that are kept before a smile begins."""

_SMOOTH = 0.04  # Seconds: standard deviation of the smoothing of curves ...
_BLINK_SMOOTH = 0.02  # ... and of blinks, which are brief.
_ONSET, _APEX = 0.1, 0.9  # Shares of the amplitude between which onset and offset are timed.
_LEAST = 1.0  # AU12 amplitude below which a clip shows no smile.
_BLINK, _BLINK_HALF = 1.0, 0.2  # Least height of a blink; half its length in seconds.

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SmileClip:
    """A smile, from rest on.

    Attributes
    ----------
    name
        Of the clip.
    person
        Who smiles.
    style
        0 posed, 1 spontaneous.
    curves
        (T, 3) AU12, AU6 and AU25 at 25 a second, relative to the face at rest.
    blinks
        Moments at which the eyes are shut, in seconds from the first sample.
    shapes
        (n, 21) AU45 around each blink, 50 a second, 0 to 1.
    """

    name: str
    person: str
    style: int
    curves: NDArray[np.float32]
    blinks: tuple[float, ...]
    shapes: NDArray[np.float32]

    @property
    def held_out(self) -> bool:
        """Whether the person is kept for measuring: a tenth of all, by the hash of who it is."""
        return zlib.crc32(self.person.encode()) % 10 == 0


@dataclass(frozen=True)
class SmileMeasures:
    """Dynamics of a smile (Cohn and Schmidt 2004; Dibeklioglu et al. 2012).

    Attributes
    ----------
    onset
        Seconds from 10 to 90 % of the AU12 amplitude.
    speed
        Fastest rise of AU12, intensity a second.
    amplitude, amplitude6, amplitude25
        Largest AU12, AU6 and AU25 above rest.
    lag
        Seconds by which AU6 reaches half of its amplitude later than AU12.
    """

    onset: float
    speed: float
    amplitude: float
    amplitude6: float
    amplitude25: float
    lag: float


def rest_and_onset(au12: Floats, rate: float) -> tuple[float, int] | None:
    """Return AU12 at rest and the sample at which a smile begins; None where nobody smiles."""
    smooth = gaussian_filter1d(au12, _SMOOTH * rate, mode="nearest")
    peak = int(smooth.argmax())
    rest = float(smooth[: peak + 1].min())
    height = float(smooth[peak]) - rest
    if height < _LEAST:
        return None
    below = np.flatnonzero(smooth[: peak + 1] < rest + _ONSET * height)
    half = np.flatnonzero(smooth[: peak + 1] < rest + 0.5 * height)
    # The first of several rises that goes beyond half.
    first = half[0] if not len(half) else _first_run_end(half)
    before = below[below <= first]
    return rest, int(before[-1]) if len(before) else 0


def _first_run_end(indices: NDArray[np.intp]) -> int:
    """Return the last of the first run of consecutive indices."""
    breaks = np.flatnonzero(np.diff(indices) > 1)
    return int(indices[breaks[0]] if len(breaks) else indices[-1])


def cut_smile(name: str, person: str, style: int, units: Floats, rate: float) -> SmileClip | None:
    """Cut a smile from a recording, from shortly before its onset on.

    Parameters
    ----------
    name, person, style
        Of the clip.
    units
        (n, 4) AU12, AU6, AU25, AU45.
    rate
        Frames a second.

    Returns
    -------
    The smile; None where there is none.
    """
    if len(units) < 0.5 * rate or not np.isfinite(units).all():
        return None
    found = rest_and_onset(units[:, 0], rate)
    if found is None:
        return None
    start = max(0, found[1] - round(LEAD * rate))
    rest = np.median(units[max(0, found[1] - round(0.4 * rate)) : found[1] + 1], axis=0)
    rest[0] = found[0]
    seconds = (len(units) - 1 - start) / rate
    at = start + np.arange(int(seconds * RATE) + 1) * (rate / RATE)
    smooth = gaussian_filter1d(units[:, :3] - rest[:3], _SMOOTH * rate, axis=0, mode="nearest")
    curves = np.stack([np.interp(at, np.arange(len(units)), c) for c in smooth.T], axis=1)
    blinks, shapes = find_blinks(units[:, 3], rate)
    late = [n for n, b in enumerate(blinks) if b * rate >= start]
    return SmileClip(
        name,
        person,
        style,
        curves.astype(np.float32),
        tuple(blinks[n] - start / rate for n in late),
        shapes[late],
    )


def find_blinks(au45: Floats, rate: float) -> tuple[list[float], NDArray[np.float32]]:
    """Return the moments of blinks in seconds, and AU45 around each, (n, 21), 0 to 1."""
    smooth = gaussian_filter1d(au45, _BLINK_SMOOTH * rate, mode="nearest")
    half = max(2, round(_BLINK_HALF * rate))
    moments, shapes = [], []
    for k in range(half, len(smooth) - half):
        around = smooth[k - half : k + half + 1]
        height = smooth[k] - max(around[0], around[-1])
        if smooth[k] < around.max() or height < _BLINK:
            continue
        at = k + np.linspace(-_BLINK_HALF, _BLINK_HALF, 21) * rate
        shape = np.interp(at, np.arange(len(smooth)), smooth)
        shape = (shape - np.linspace(shape[0], shape[-1], 21)) / height
        moments.append(k / rate)
        shapes.append(np.clip(shape, 0, 1))
    return moments, np.array(shapes, np.float32).reshape(-1, 21)


def measure(curves: NDArray[np.floating]) -> SmileMeasures:
    """Measure the dynamics of curves (T, 3) at 25 a second that begin at rest."""
    fine = np.asarray(curves, np.float64)
    au12 = fine[:, 0]
    peak = _apex(au12)
    height = float(au12[: peak + 1].max())
    rise = au12[: peak + 1] / max(height, 1e-6)
    onset = (_crossing(rise, _APEX) - _crossing(rise, _ONSET)) / RATE
    speed = float(np.diff(au12[: peak + 1]).max() * RATE) if peak else 0.0
    au6 = fine[:, 1]
    height6 = float(au6.max())
    lag = 0.0
    if height6 > 0.3:
        lag = (_crossing(au6 / height6, 0.5) - _crossing(rise, 0.5)) / RATE
    return SmileMeasures(onset, speed, height, height6, float(fine[:, 2].max()), lag)


def _apex(au12: Floats) -> int:
    """Return the first sample at 95 % of the largest value: a plateau begins there."""
    return int(np.flatnonzero(au12 >= 0.95 * au12.max())[0])


def _crossing(values: Floats, level: float) -> float:
    """Return where values first reach a level, in samples, interpolated."""
    above = np.flatnonzero(values >= level)
    if not len(above) or above[0] == 0:
        return 0.0
    k = int(above[0])
    return k - 1 + float((level - values[k - 1]) / max(values[k] - values[k - 1], 1e-9))


def read_uva_nemo_units(path: Path) -> list[SmileClip]:
    """Read the action units of UvA-NEMO's clips (Kawulok et al. 2021).

    Parameters
    ----------
    path
        Arrays ``name``, ``length``, ``au`` (frames, units), ``columns``; 50 frames a second. Names
        are ``PERSON_deliberate_smile_N`` or ``PERSON_spontaneous_smile_N``.

    Raises
    ------
    UsageError
        If the file is not such.
    """
    try:
        with np.load(path, allow_pickle=False) as data:
            names, lengths = [str(n) for n in data["name"]], data["length"]
            columns = [str(c) for c in data["columns"]]
            pick = [columns.index(unit) for unit in (*UNITS, "AU45")]
            units = data["au"][:, pick].astype(np.float64)
    except (OSError, KeyError, ValueError) as error:
        raise UsageError(f"{path}: no table of action units ({error})") from None
    ends = np.cumsum(lengths)
    clips = []
    for name, start, end in zip(names, ends - lengths, ends, strict=True):
        style = int("spontaneous" in name)
        clip = cut_smile(name, name.split("_")[0], style, units[start:end], 50.0)
        if clip is not None:
            clips.append(clip)
    if not clips:
        raise UsageError(f"{path}: no smiles in it")
    return clips


def pad_curves(
    clips: Sequence[SmileClip], length: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Stack curves, (N, length, 3), the last sample repeated; and which samples are real."""
    stacked = np.zeros((len(clips), length, len(UNITS)), np.float32)
    real = np.zeros((len(clips), length), np.float32)
    for n, clip in enumerate(clips):
        count = min(length, len(clip.curves))
        stacked[n, :count], stacked[n, count:] = clip.curves[:count], clip.curves[count - 1]
        real[n, :count] = 1
    return stacked, real
