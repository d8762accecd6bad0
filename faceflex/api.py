"""The Python way to edit a photo: the same pipeline as the command line's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceflex.edit.editor import Editor
from faceflex.edit.request import choose_faces
from faceflex.photo import Photo, encode_photo, write_file
from faceflex.photo.formats import format_for
from faceflex.photo.metadata import marked_xmp


@cache
def _default_editor() -> Editor:
    return Editor()


def edit(
    photo: Photo,
    settings: Mapping[str, float],
    *,
    faces: Sequence[str] = (),
    editor: Editor | None = None,
) -> NDArray[np.uint8]:
    """Edit the faces of a photo.

    Parameters
    ----------
    photo
        From :func:`faceflex.load_photo`.
    settings
        Strength of each attribute; 1.0 is the mean distance between faces without and with it.
    faces
        Which faces: numbers from the left, ``largest``, or points ``x,y``; all by default.
    editor
        An editor with models or options of one's own.

    Returns
    -------
    (H, W, 3) uint8 RGB, upright; outside the edited faces equal to ``photo.rgb``.

    Raises
    ------
    NoFaceError
        If the photo has no such face.
    UsageError
        If an attribute is unknown.
    """
    editor = editor or _default_editor()
    wanted = editor.edit_of(settings)
    chosen = choose_faces(editor.find_faces(photo.rgb), faces, photo.name)
    prepared = editor.prepare(photo.rgb, chosen)
    return next(editor.render(photo.rgb, prepared, [wanted]))


def save_photo(
    photo: Photo,
    rgb: NDArray[np.uint8],
    path: str | Path,
    *,
    overwrite: bool = False,
    provenance: str | None = "faceflex",
) -> None:
    """Write an edited photo with the metadata of the original.

    Parameters
    ----------
    photo
        The original.
    rgb
        (H, W, 3) uint8, from :func:`edit`.
    path
        Where to; its suffix chooses the format.
    overwrite
        Replace what is there.
    provenance
        What to note in XMP as the way the picture was made, beside the mark that a model edited
        it; None leaves both out.

    Raises
    ------
    PhotoError
        If it cannot be written, or is there already.
    """
    from faceflex import __version__

    xmp = None
    if provenance is not None:
        xmp = marked_xmp(photo.xmp, "faceflex", __version__, {"edit": provenance})
    target = Path(path)
    data = encode_photo(photo, rgb, target=format_for(target), xmp=xmp)
    write_file(target, data, overwrite=overwrite)
