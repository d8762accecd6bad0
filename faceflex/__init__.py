"""faceflex: edit faces in whole photos, at the photo's own resolution.

In four lines::

    import faceflex

    photo = faceflex.load_photo("friend.jpg")
    edited = faceflex.edit_photo(photo, {"Smiling": 1.5})
    faceflex.save_photo(photo, edited, "friend-smiling.jpg")

To render a photo often, open it once: :func:`faceflex.open_photo`. Heavy parts are imported when
first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from faceflex._version import __version__

__all__ = [
    "EditedPhoto",
    "Editor",
    "Face",
    "FaceflexError",
    "OpenPhoto",
    "Photo",
    "Shot",
    "__version__",
    "edit_photo",
    "find_faces",
    "load_photo",
    "make_editor",
    "open_photo",
    "save_photo",
]

if TYPE_CHECKING:
    from faceflex.api import EditedPhoto, edit_photo, make_editor, open_photo, save_photo
    from faceflex.edit.editor import Editor, OpenPhoto
    from faceflex.errors import FaceflexError
    from faceflex.faces import Face, find_faces
    from faceflex.methods.base import Shot
    from faceflex.photo import Photo, load_photo

_MODULES = {
    "EditedPhoto": "faceflex.api",
    "Editor": "faceflex.edit.editor",
    "Face": "faceflex.faces",
    "FaceflexError": "faceflex.errors",
    "OpenPhoto": "faceflex.edit.editor",
    "Photo": "faceflex.photo",
    "Shot": "faceflex.methods.base",
    "edit_photo": "faceflex.api",
    "find_faces": "faceflex.faces",
    "load_photo": "faceflex.photo",
    "make_editor": "faceflex.api",
    "open_photo": "faceflex.api",
    "save_photo": "faceflex.api",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'faceflex' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_MODULES[name]), name)
