"""Faces in a photo: detection, landmarks, alignment and masks. Nothing here knows of models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from faceflex.faces.find import Face, find_faces

__all__ = ["MIN_SCORE", "Face", "find_faces"]

MIN_SCORE = -0.1
"""What the detector is less sure of than this is left alone unless it is asked for."""


def __getattr__(name: str) -> Any:  # The command line's help needs neither dlib nor OpenCV.
    if name not in __all__:
        raise AttributeError(f"module 'faceflex.faces' has no attribute {name!r}")
    from faceflex.faces import find

    return getattr(find, name)
