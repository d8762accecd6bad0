"""faceflex: edit faces in whole photos, at the photo's own resolution.

In four lines::

    import faceflex

    photo = faceflex.load_photo("friend.jpg")
    edited = faceflex.edit(photo, {"Smiling": 1.5})
    faceflex.save_photo(photo, edited, "friend-smiling.jpg")

Heavy parts are imported when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    "Editor",
    "Face",
    "FaceflexError",
    "Photo",
    "__version__",
    "edit",
    "find_faces",
    "load_photo",
    "save_photo",
]

if TYPE_CHECKING:
    from faceflex.api import edit, save_photo
    from faceflex.edit.editor import Editor
    from faceflex.errors import FaceflexError
    from faceflex.faces import Face, find_faces
    from faceflex.photo import Photo, load_photo

_HOMES = {
    "Editor": "faceflex.edit.editor",
    "Face": "faceflex.faces",
    "FaceflexError": "faceflex.errors",
    "Photo": "faceflex.photo",
    "edit": "faceflex.api",
    "find_faces": "faceflex.faces",
    "load_photo": "faceflex.photo",
    "save_photo": "faceflex.api",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'faceflex' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
