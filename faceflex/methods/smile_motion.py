"""How a face moves when it smiles, and when it stops: learned from pairs of pictures of people.

Ridge regressions on the shape of a face (landmarks 17 to 67, the line between the lips, and how far
they are apart) predict this person's way from neutral to smiling, the way back to its neutral face,
and how much it smiles already. What they leave unexplained are kinds of smile: its principal
components are drawn as variants.

Shapes are compared after a similarity that lays nose and corners of the eyes on the template's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceflex.errors import AssetError
from faceflex.faces.align import estimate_similarity, template, transform_points
from faceflex.faces.landmark_groups import INNER_LOWER_LIP, INNER_UPPER_LIP, RIGID_LANDMARKS
from faceflex.faces.lips import CLOSED_GAP, SAMPLES, Lips, middle_mean
from faceflex.faces.smoothstep import smoothstep
from faceflex.methods.neutral_mouth import mouth_motion, rest_shift
from faceflex.tensors import read_arrays, wrap_read_errors, write_arrays

KIND = "faceflex-smile-motion-1"
_LABEL = "smile motion"

FIRST = 17
"""The jaw, points 0 to 16, rests at the mask's edge, and is neither read nor moved."""
TERMS = 5
"""Numbers of each curve of the lips: polynomials of degree 4 over the mouth's columns."""
OUTPUTS = 2 * (68 - FIRST) + 2 + 2 * TERMS
"""Numbers of a displacement: landmarks, both ends of the lips' line (x), the line, the gap."""

_PLACE = np.linspace(-1, 1, SAMPLES)
_LINE = np.polynomial.legendre.legvander(_PLACE, TERMS - 1)  # (65, 5)
_ARCH = (1 - np.abs(_PLACE) ** 3)[:, None] * _LINE  # Lips meet at the corners.
_FIT_LINE, _FIT_ARCH = np.linalg.pinv(_LINE), np.linalg.pinv(_ARCH)

# A strength above 1 gives a broader smile, up to this much beyond the usual one.
_BROADER = 1.2
# Lips that touch part only when this share of the smile is reached, then ever faster: the median of
# the onsets of 733 smiles (AU25 against AU12; UvA-NEMO).
_PARTS_AT, _PARTING = 0.15, 1.3
_WIDEST = 10.0  # Pixels between the lips that a smile does not exceed.
# A face loses a smile only as far as it certainly has one: nothing below the first number, all of
# it from the second on. By its degree, or, where the latent tells how much it smiles as well, by
# the logit of both; fitted to the labels of 1,700 pictures of CelebA.
_CERTAIN = (0.3, 0.6)
_CERTAIN_LOGIT = (-0.7, 0.6)
_BY_SHAPE, _BY_LATENT, _BIAS = 5.3, 2.2, -1.7
# Ridge regression falls short of the way to neutral by this; strengths below -1 make up for it.
_SHORT = 1.15
# From the first degree to the second, ever less is missing to the usual smile.
_SMILES = (0.35, 0.9)
# How far outer lips follow an inner edge that parts later (or meets more) than the rest moves.
_UPPER_OUTER = {49: 0.4, 50: 0.85, 51: 1.0, 52: 0.85, 53: 0.4}
_LOWER_OUTER = {55: 0.4, 56: 0.85, 57: 1.0, 58: 0.85, 59: 0.4}
_THINNEST = 0.5  # Share of a lip's height that is left in the broadest smile.
_VARIED, _LARGEST = 0.8, 1.6  # Variants: standard deviation, and limit, of their components.

Floats = NDArray[np.floating]


def normalised(
    landmarks: Floats, lips: Lips
) -> tuple[NDArray[np.float64], Lips, NDArray[np.float64]]:
    """Lay nose and corners of the eyes on the template's.

    Returns
    -------
    Landmarks (68, 2) and lips there, and the (2, 3) similarity that brings them there.
    """
    points = np.asarray(landmarks, np.float64)
    rigid = list(RIGID_LANDMARKS)
    matrix = estimate_similarity(points[rigid], template()[rigid])
    upper, lower = (
        transform_points(matrix, np.stack([lips.x, edge], axis=1))
        for edge in (lips.upper, lips.lower)
    )
    x = np.float32((upper[:, 0] + lower[:, 0]) / 2)
    moved = Lips(x, np.float32(upper[:, 1]), np.float32(lower[:, 1]))
    return np.asarray(transform_points(matrix, points), np.float64), moved, matrix


def shape_code(points: Floats, lips: Lips) -> NDArray[np.float64]:
    """Return a normalised shape as (OUTPUTS,) numbers, of which displacements are differences."""
    gap = np.asarray(lips.lower, np.float64) - lips.upper
    parts = (
        np.asarray(points[FIRST:], np.float64).ravel(),
        np.asarray(lips.x[[0, -1]], np.float64),
        _FIT_LINE @ lips.midline,
        _FIT_ARCH @ gap,
    )
    return np.concatenate(parts)


def lips_apart(code: Floats) -> bool:
    """Return whether the lips of a shape code are apart."""
    return middle_mean(_ARCH @ code[OUTPUTS - TERMS :]) > 2 * CLOSED_GAP


@dataclass(frozen=True)
class SmileMotion:
    """Where landmarks and inner lips go when this face smiles, or stops smiling.

    Attributes
    ----------
    mean
        (OUTPUTS,) mean shape code.
    to_smile
        (OUTPUTS + 1, OUTPUTS) displacement from the own neutral face to the own smile, linear in
        the code; the last row is that of the mean.
    to_neutral
        The same from the face as it is to its neutral one.
    degree
        (OUTPUTS + 1,) how much a face smiles: 0 neutral, 1 its usual smile.
    modes
        (K, OUTPUTS) kinds of smile, each as long as its standard deviation.
    closed
        (OUTPUTS,) what smiles with lips that meet have beyond ``to_smile``.
    """

    mean: NDArray[np.float32]
    to_smile: NDArray[np.float32]
    to_neutral: NDArray[np.float32]
    degree: NDArray[np.float32]
    modes: NDArray[np.float32]
    closed: NDArray[np.float32]

    def smile_degree(self, landmarks: Floats, lips: Lips) -> float:
        """Return how much a face smiles, from its shape: about 0 neutral, 1 its usual smile."""
        points, level, _ = normalised(landmarks, lips)
        return float(self._linear(self.degree, shape_code(points, level)))

    def certainty(self, landmarks: Floats, lips: Lips, latent: float | None = None) -> float:
        """Return how certainly a face smiles, 0 to 1.

        Parameters
        ----------
        landmarks, lips
            As for :meth:`targets`.
        latent
            How much its latent smiles (:meth:`AttributeVectors.smile_degree`), where it is known.
        """
        degree = self.smile_degree(landmarks, lips)
        if latent is None:
            return _smooth(degree, *_CERTAIN)
        return _smooth(_BY_SHAPE * degree + _BY_LATENT * latent + _BIAS, *_CERTAIN_LOGIT)

    def targets(
        self,
        landmarks: Floats,
        lips: Lips,
        strength: float,
        variant: int = 0,
        seed: int = 0,
        *,
        closed: bool = False,
        certainty: float | None = None,
    ) -> tuple[NDArray[np.float32], Lips]:
        """Return where landmarks and inner lips go.

        Parameters
        ----------
        landmarks
            (68, 2) in pixels of the 128-pixel crop.
        lips
            The inner lips there.
        strength
            1: this person's usual smile; 2: a broad one; about -1, and whatever is below: its
            neutral face; 0: nothing moves. A face without a smile has none to lose.
        variant, seed
            Which kind of smile; 0 is the usual one.
        closed
            Smile with lips that meet.
        certainty
            How certainly the face smiles; by default as its shape tells.

        Returns
        -------
        (68, 2) float32, and the lips, which never cross.
        """
        start = np.asarray(landmarks, np.float32)
        if not strength:
            return start, lips
        points, level, matrix = normalised(start, lips)
        code = shape_code(points, level)
        degree = float(self._linear(self.degree, code))
        if strength > 0:
            motion, share = self._smile(code, degree, strength, variant, seed)
            if closed:  # Also of lips that a smile has parted already.
                share = min(1.0, strength)
                motion = motion + share * self.closed
        else:
            if certainty is None:
                certainty = _smooth(degree, *_CERTAIN)
            share = min(_SHORT, -strength) * certainty
            motion = share * self._relaxing(code)
        if not motion.any():
            return start, lips
        return _move(start, lips, level, motion, share, strength > 0 and not closed, matrix)

    def _linear(self, weights: NDArray[np.float32], code: Floats) -> NDArray[np.float64]:
        value: NDArray[np.float64] = (code - self.mean) @ weights[:-1] + weights[-1]
        return value

    def _relaxing(self, code: Floats) -> NDArray[np.float64]:
        """Return the displacement to the neutral face, of which strengths take a share."""
        motion = self._linear(self.to_neutral, code)
        rest = code + _SHORT * motion
        points = np.zeros((68, 2))
        points[FIRST:] = rest[: 2 * (68 - FIRST)].reshape(-1, 2)
        curve = slice(2 * (68 - FIRST) + 2, 2 * (68 - FIRST) + 2 + TERMS)
        line = _LINE @ rest[curve]
        down, wider = rest_shift(points, float(line[SAMPLES // 2]))
        more = np.zeros(OUTPUTS)
        more[: 2 * (68 - FIRST)] = mouth_motion(points, down, wider)[FIRST:].ravel()
        more[2 * (68 - FIRST) :][:2] = -wider / 2, wider / 2
        more[curve] = _FIT_LINE @ (np.square(_PLACE) * down)
        return np.asarray(motion + more / _SHORT)

    def _smile(
        self, code: Floats, degree: float, strength: float, variant: int, seed: int
    ) -> tuple[NDArray[np.float64], float]:
        """Return a smile's displacement, and how much of a usual smile it is."""
        whole = self._linear(self.to_smile, code)
        low, high = _SMILES
        left = 1.0 - min(1.0, max(0.0, (degree - low) / (high - low)))
        if variant:
            draws = np.random.default_rng((seed, variant)).normal(0, _VARIED, len(self.modes))
            whole = whole + np.clip(draws, -_LARGEST, _LARGEST) @ self.modes
        beyond = _BROADER * (1 - np.exp(-max(0.0, strength - 1) / _BROADER))
        share = min(strength, 1.0) * left + float(beyond)
        return share * whole, share

    def save(self, path: Path) -> None:
        """Write to a file (float16); it appears whole or not at all."""
        arrays = {k: np.asarray(v, np.float16) for k, v in vars(self).items() if k in _SHAPES}
        write_arrays(path, arrays, {"kind": KIND})

    @classmethod
    def load(cls, path: Path) -> SmileMotion:
        """Read a file.

        Raises
        ------
        AssetError
            If the file is missing or damaged.
        """
        arrays, _ = read_arrays(path, KIND, _LABEL)
        with wrap_read_errors(path, _LABEL):
            read = {k: arrays[k].astype(np.float32) for k in _SHAPES}
            fits = (read[k].shape == shape for k, shape in _SHAPES.items() if shape)
            if not all(fits) or read["modes"].ndim != 2 or read["modes"].shape[1] != OUTPUTS:
                raise AssetError(f"{path}: damaged {_LABEL} (its parts do not fit together)")
        return cls(**read)


_SHAPES = {
    "mean": (OUTPUTS,),
    "to_smile": (OUTPUTS + 1, OUTPUTS),
    "to_neutral": (OUTPUTS + 1, OUTPUTS),
    "degree": (OUTPUTS + 1,),
    "modes": (),
    "closed": (OUTPUTS,),
}


def _smooth(value: float, low: float, high: float) -> float:
    """Return 0 up to ``low``, 1 from ``high`` on, and a smooth step between."""
    return float(smoothstep((value - low) / (high - low)))


def _move(
    start: NDArray[np.float32],
    lips: Lips,
    level: Lips,
    motion: Floats,
    share: float,
    smiling: bool,
    matrix: NDArray[np.float64],
) -> tuple[NDArray[np.float32], Lips]:
    """Apply a displacement code (OUTPUTS,) to a face in its crop."""
    k = 2 * (68 - FIRST)
    shift = np.zeros((68, 2))
    shift[FIRST:] = motion[:k].reshape(-1, 2)
    ends, line = motion[k : k + 2], _LINE @ motion[k + 2 : k + 2 + TERMS]
    asked = _ARCH @ motion[k + 2 + TERMS :]
    was = np.asarray(level.lower, np.float64) - level.upper
    now = _opened(was, asked, share) if smiling else _closed(was, share)
    # An inner edge that parts later, or meets more, takes the lip around it along.
    late = middle_mean(was + asked - now) / 2
    for group, sign in ((_UPPER_OUTER, 1.0), (_LOWER_OUTER, -1.0)):
        for point, part in group.items():
            shift[point, 1] += sign * part * late
    sideways = np.linspace(ends[0], ends[1], SAMPLES)
    half = (now - was) / 2
    back = np.linalg.inv(matrix[:, :2])
    up, down = (np.stack([sideways, line + s * half], axis=1) for s in (-1, 1))
    for inner, edge in ((INNER_UPPER_LIP, up), (INNER_LOWER_LIP, down)):
        middle = list(inner[1:4])
        shift[middle, 1] = np.interp(start[middle, 0], lips.x, edge[:, 1])
    # Lips are pressed thinner only so far; beyond that their outer edges give way.
    for outer, edge, moved, sign in (
        (_UPPER_OUTER, level.upper, up, -1.0),
        (_LOWER_OUTER, level.lower, down, 1.0),
    ):
        points = list(outer)
        x, y = transform_points(matrix, start[points]).T
        thick = np.maximum(sign * (y - np.interp(x, level.x, edge)), 0)
        left = thick + sign * (shift[points, 1] - np.interp(x, level.x, moved[:, 1]))
        shift[points, 1] += sign * np.maximum(_THINNEST * thick - left, 0)
    goal = np.float32(start + shift @ back.T)
    up, down = up @ back.T, down @ back.T
    x = np.maximum.accumulate(lips.x + (up[:, 0] + down[:, 0]) / 2)
    upper, lower = lips.upper + up[:, 1], lips.lower + down[:, 1]
    meeting = (upper + lower) / 2
    if lips.open and not smiling:  # Lips that come to meet do so along a smooth line.
        steady = np.clip(1 - middle_mean(now) / middle_mean(was), 0, 1)
        meeting = meeting + steady * (_LINE @ (_FIT_LINE @ meeting) - meeting)
    gap = np.where(now > 0, np.maximum(lower - upper, 0), 0)
    return goal, Lips(np.float32(x), np.float32(meeting - gap / 2), np.float32(meeting + gap / 2))


def _opened(was: Floats, asked: Floats, share: float) -> Floats:
    """Return the gap (65,) of lips that smile: they part late, and not without limit."""
    start = middle_mean(was)
    touching = max(0.0, 1 - start / 2)
    later = max(0.0, min(share, 1.0) - _PARTS_AT) / (1 - _PARTS_AT)
    parted = later**_PARTING * max(share, 1.0)
    slow = touching * parted / max(share, 1e-9) + 1 - touching
    more = np.maximum(asked, -was) * slow
    end = start + middle_mean(more)
    if end > _WIDEST and middle_mean(more) > 0:
        more = more * max(0.0, max(start, _WIDEST) - start) / middle_mean(more)
        end = start + middle_mean(more)
    if end < 0.6 * CLOSED_GAP and start < CLOSED_GAP:
        return was
    return np.maximum(was + more, 0)


def _closed(was: Floats, share: float) -> Floats:
    """Return the gap (65,) of lips that relax; they touch when the smile is gone."""
    left = was * (1 - share)
    return np.zeros_like(was) if middle_mean(left) < 0.6 * CLOSED_GAP else left
