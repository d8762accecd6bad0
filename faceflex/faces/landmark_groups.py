"""Indices of the 68 landmarks (iBUG 300-W order, as in dlib) by part of the face.

Examples
--------
>>> from faceflex.faces.align import template
>>> template()[MOUTH].shape
(20, 2)
>>> left, right = template()[list(OUTER_MOUTH_CORNERS), 0]
>>> bool(left < right)
True
"""

from __future__ import annotations

JAW = slice(0, 17)
BROWS = slice(17, 27)
NOSE = slice(27, 36)
RIGHT_EYE = slice(36, 42)
LEFT_EYE = slice(42, 48)
"""Right and left are the subject's: the right eye is on the left of the picture."""
NOSE_TIP = 30
MOUTH = slice(48, 68)
OUTER_LIPS = slice(48, 60)
INNER_LIPS = slice(60, 68)
OUTER_MOUTH_CORNERS, INNER_MOUTH_CORNERS = (48, 54), (60, 64)

CENTRAL_OUTER_LIPS, CENTRAL_INNER_LIPS = (50, 51, 52, 58, 57, 56), (61, 62, 63, 67, 66, 65)
"""Corresponding landmarks of both edges of the lips' middle third: upper lip, then lower."""

INNER_UPPER_LIP, INNER_LOWER_LIP = (60, 61, 62, 63, 64), (60, 67, 66, 65, 64)
"""Contours of the inner lips, left to right in the picture; they share the mouth's corners."""

MOUTH_MIDDLE = (51, 57, 33)
"""Landmarks in the middle of the mouth: of the upper lip, the lower lip, and the nose above."""

CHEEKS = ((2, 31), (14, 35))
"""Landmarks of the jaw and of the nose; the middle of a cheek is midway between them."""

RIGID_LANDMARKS = (*range(27, 36), 36, 39, 42, 45)
"""Landmarks that expressions hardly move: the nose and the corners of the eyes."""
