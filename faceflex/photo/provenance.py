"""What outputs say of themselves: the mark that a model edited them, and content credentials."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from faceflex import __version__
from faceflex.edit.request import Output, strength_name
from faceflex.photo import Photo, encode_photo
from faceflex.photo.metadata import marked_xmp

if TYPE_CHECKING:
    from faceflex.edit.editor import Editor
    from faceflex.edit.options import EditOptions


def _done(editor: Editor, output: Output) -> tuple[str, dict[str, str]]:
    """Return what made an output, and with which settings, for its provenance."""
    settings = {k: strength_name(v) for k, v in output.settings.items()}
    if output.sample > 1:
        settings["sample"] = str(output.sample)
    return f"{__version__} (model {editor.model_id})", settings


def encoded(
    job: EditOptions,
    editor: Editor,
    photo: Photo,
    picture: NDArray[np.uint8],
    output: Output,
    form: str,
    original: bytes | str,
) -> bytes:
    """Return an output's file: marked and signed, as the job asks.

    Parameters
    ----------
    job, editor
        What was asked for, and the models that did it.
    photo, original
        The photo that was edited; its file's content, or its path.
    picture
        (H, W, 3) uint8, the result.
    output, form
        Which of the job's pictures it is, and the format to write.

    Raises
    ------
    PhotoError
        If it cannot be encoded or signed.
    """
    version, settings = _done(editor, output)
    xmp = None
    if is_marked(job, form):
        xmp = marked_xmp(photo.xmp, "faceflex", version, settings)
    data = encode_photo(photo, picture, target=form, xmp=xmp)
    if job.signer is None:
        return data
    if job.strip and photo.credentials:  # Which say more than the photo without metadata should.
        before = encode_photo(photo, photo.rgb)
    else:
        before = Path(original).read_bytes() if isinstance(original, str) else original
    parent = before, photo.format, Path(photo.name).name
    settings |= {"model": editor.model_id}
    return job.signer.sign(data, form, parent, ("faceflex", version), settings)


def is_marked(job: EditOptions, form: str) -> bool:
    """Tell whether an output says in XMP that a model edited it; a BMP cannot."""
    return job.provenance and form != "BMP"


def kept_or_not(job: EditOptions, photo: Photo) -> dict[str, Any]:
    """Return what a record says of content credentials, and of what could not be kept."""
    notes, state = list(photo.notes), "signed"
    if job.signer is None:
        state = "dropped" if photo.credentials else "none"
        if photo.credentials:
            notes.append("its content credentials (C2PA) would no longer be true; left out")
    return {"c2pa": state, "notes": notes}
