"""What makes a good edit of a face unlikely, told before the edit is trusted.

Every warning here predicts: of edits of faces that get it, at least twice the share fails as of
edits of other faces, on faces that its threshold was not chosen on. What does not predict gets no
warning: small, turned, tilted and blurred faces fail no more often than others. The measurement is
``benchmarks/face_warnings.py``, its table in docs/warnings.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.faces.align import SIZE, estimate_similarity, template
from faceflex.faces.lips import Lips, lips_from_landmarks
from faceflex.faces.mask import fill_hull

# Thresholds. Beside each: of edits with the warning the share that is plainly bad, of edits without
# it, and the ratio with its 95 % interval, on the half of the faces that it was not chosen on.

DARK: Final = 80.0
"""Brightness, 0 to 255, that 95 % of a dark face's pixels stay below: 53 %, 9 %, 5.9 (3.2-11)."""

UNSURE_MOUTH: Final = 3.0
"""Pixels of the crop by which landmarks of a hidden mouth differ when they are found again."""

LIPS_UNSEEN: Final = 0.3
"""Pixels of the crop by which the line between hidden lips is found beside the landmarks' own, at
most: nothing in the picture draws it. Both together: 57 %, 8 %, 6.7 (3.7-12)."""

WIDE_OPEN: Final = 11.0
"""Largest distance of the inner lips in pixels of the crop: 44 %, 9 %, 4.7 (2.4-9.5)."""

UNLIKE_A_FACE: Final = 0.25
"""Score of the HOG detector below which a face is unusual: 43 %, 9 %, 4.9 (2.6-9.3)."""

CUT_OFF: Final = 0.3
"""Share of the crop that lies outside the photo: 31 %, 10 %, 3.3 (1.5-7.5)."""

_DARK = "very dark: added teeth come out too bright; brighten the photo first"
HIDDEN = (
    "its mouth cannot be made out, perhaps it is covered: a smile may be drawn on what covers it;"
    " leave this face out"
)
_WIDE = (
    "its mouth is wide open: a smile added or taken away often looks torn; use a photo with the"
    " mouth less open"
)
_UNLIKE = (
    "looks little like a face seen from the front (score {:.2f}): edits often fail; look closely at"
    " the result"
)
_CUT = (
    "cut off by the photo's edge: edits are made from a part of the face and often fail; use a"
    " photo that shows all of it"
)

_MOUTH = slice(48, 68)
# Turn in degrees, scale, and shift right and down as shares of the template's width.
_DISTURBANCES = (
    (5.0, 1.0, 0.06, 0.0),
    (-5.0, 1.0, -0.06, 0.0),
    (0.0, 1.08, 0.0, 0.06),
    (0.0, 0.93, 0.0, -0.06),
)
_FACE_WIDTH = 106.3  # Of the detector's box, in pixels of the crop.


def disturbed_starts(points: NDArray[np.floating]) -> list[NDArray[np.float32]]:
    """Return starts from which the landmarks of a face should be found again.

    Parameters
    ----------
    points
        (68, 2) landmarks in pixels of the photo.

    Returns
    -------
    A few (68, 2) float32 copies, turned, resized and shifted a little; for
    :meth:`faceflex.faces.landmarks.LandmarkModel.refine`.
    """
    own = np.asarray(points, np.float64)
    middle = own.mean(axis=0)
    matrix = estimate_similarity(template(), own)[:, :2]
    width = _FACE_WIDTH * float(np.hypot(matrix[0, 0], matrix[1, 0]))
    found = []
    for degrees, scale, right, down in _DISTURBANCES:
        angle = np.radians(degrees)
        cos, sin = scale * np.cos(angle), scale * np.sin(angle)
        turned = (own - middle) @ np.array([[cos, sin], [-sin, cos]])
        found.append(np.float32(turned + middle + width * np.array([right, down])))
    return found


def face_warnings(
    crop: NDArray[np.uint8],
    valid: NDArray[np.bool_],
    landmarks: NDArray[np.floating],
    lips: Lips,
    again: Sequence[NDArray[np.floating]] = (),
    score: float | None = None,
) -> tuple[str, ...]:
    """Tell what makes a good edit of a face unlikely.

    Parameters
    ----------
    crop
        (128, 128, 3) uint8 RGB, the aligned face.
    valid
        (128, 128) bool; False where the photo had no pixel.
    landmarks
        (68, 2) landmarks in pixels of the crop.
    lips
        The edges of the inner lips, in pixels of the crop.
    again
        (68, 2) landmarks in pixels of the crop, found from each of :func:`disturbed_starts`. They
        matter only where :func:`lip_line_shift` is below :data:`LIPS_UNSEEN` (one face in six), and
        may be left out elsewhere: finding them costs more than all of this.
    score
        The HOG detector's score; None when another one found the face.

    Returns
    -------
    A phrase for each difficulty, the strongest predictor of a bad result first; mostly none.
    """
    found = []
    if face_brightness(crop, landmarks) < DARK:
        found.append(_DARK)
    unsure = mouth_disagreement(landmarks, again) > UNSURE_MOUTH
    if unsure and lip_line_shift(landmarks, lips) < LIPS_UNSEEN:
        found.append(HIDDEN)
    if float((lips.lower - lips.upper).max()) > WIDE_OPEN:
        found.append(_WIDE)
    if score is not None and score < UNLIKE_A_FACE:
        found.append(_UNLIKE.format(score))
    if 1 - float(valid.mean()) > CUT_OFF:
        found.append(_CUT)
    return tuple(found)


def photo_warning(warnings: Mapping[int, Sequence[str]]) -> str | None:
    """Return the one line about a photo.

    Parameters
    ----------
    warnings
        Number of each face that is edited -> what :func:`face_warnings` says of it.

    Returns
    -------
    The strongest warning of the first face that has one, and how many other faces have some; None
    when no face has any.
    """
    warned = [number for number, phrases in sorted(warnings.items()) if phrases]
    if not warned:
        return None
    first, *others = warned
    line = f"face {first}: {warnings[first][0]}"
    if len(others) == 1:
        return f"{line} (face {others[0]} has a warning, too)"
    return f"{line} ({len(others)} other faces have warnings, too)" if others else line


def face_brightness(crop: NDArray[np.uint8], landmarks: NDArray[np.floating]) -> float:
    """Return the brightness (0 to 255) that 95 % of a face's pixels stay below.

    Parameters
    ----------
    crop, landmarks
        As for :func:`face_warnings`.
    """
    gray = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    inside = gray[fill_hull(landmarks, SIZE, raise_brows=True)]
    return float(np.percentile(inside, 95)) if inside.size else 0.0


def mouth_disagreement(
    landmarks: NDArray[np.floating], again: Sequence[NDArray[np.floating]]
) -> float:
    """Return by how many pixels landmarks of the mouth differ when found again.

    Parameters
    ----------
    landmarks, again
        As for :func:`face_warnings`.

    Returns
    -------
    Mean over ``again`` of the root mean square distance; 0 when there is none.
    """
    apart = [np.square(points[_MOUTH] - landmarks[_MOUTH]).sum(axis=1).mean() for points in again]
    return float(np.sqrt(apart).mean()) if apart else 0.0


def lip_line_shift(landmarks: NDArray[np.floating], lips: Lips) -> float:
    """Return by how many pixels the line between the lips was found beside the landmarks' own.

    Parameters
    ----------
    landmarks, lips
        As for :func:`face_warnings`.

    Returns
    -------
    Mean distance; near 0 where the picture has no lips that could move it.
    """
    own = lips_from_landmarks(landmarks)
    apart = (lips.upper + lips.lower - own.upper - own.lower) / 2
    return float(np.abs(apart).mean())
