"""Faces in a photo: detection, landmarks, alignment and masks; independent of any model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from faceflex.faces.find import Face, find_faces

__all__ = ["MIN_SCORE", "Face", "find_faces"]

MIN_SCORE = 0.0
"""Detector score below which a face is edited only when it is selected explicitly."""


def __getattr__(name: str) -> Any:  # Lazy: the command line's help needs neither dlib nor OpenCV.
    if name not in __all__:
        raise AttributeError(f"module 'faceflex.faces' has no attribute {name!r}")
    from faceflex.faces import find

    return getattr(find, name)
