"""Faces in a photo: detection, landmarks, alignment and masks. Nothing here knows of models."""

from faceflex.faces.find import Face, find_faces

__all__ = ["Face", "find_faces"]
