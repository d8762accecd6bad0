"""Which of the 68 landmarks (dlib/iBUG order) belong to what."""

from __future__ import annotations

JAW = slice(0, 17)
BROWS = slice(17, 27)
NOSE = slice(27, 36)
RIGHT_EYE = slice(36, 42)
LEFT_EYE = slice(42, 48)
"""Right and left are the person's: the right eye is on the left of the picture."""
MOUTH = slice(48, 68)
OUTER_LIPS = slice(48, 60)
INNER_LIPS = slice(60, 68)

INNER_UPPER_LIP, INNER_LOWER_LIP = (60, 61, 62, 63, 64), (60, 67, 66, 65, 64)
"""Edges of the inner lips, from the left of the picture to the right; they share their corners."""

RIGID_LANDMARKS = (*range(27, 36), 36, 39, 42, 45)
"""Landmarks that no expression moves far: the nose and the corners of the eyes."""
