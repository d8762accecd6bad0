"""The Python way to edit photos: the same pipeline as the command line's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from faceflex.compose.composer import Composer
from faceflex.edit.editor import Editor, OpenPhoto
from faceflex.edit.request import DEFAULT_UNTIL
from faceflex.faces import MIN_SCORE
from faceflex.faces.find import FaceFinder
from faceflex.methods.base import Shot
from faceflex.methods.content import make_content
from faceflex.methods.controls import MethodOptions
from faceflex.methods.registry import DEFAULT, make_method
from faceflex.methods.scoring import ClassifierScorer
from faceflex.photo import Photo, load_photo, write_file
from faceflex.photo.formats import format_for
from faceflex.photo.provenance import Provenance, encode_with_provenance


@dataclass(frozen=True)
class EditedPhoto:
    """A photo, edited.

    Attributes
    ----------
    rgb
        (H, W, 3) uint8 RGB, upright; outside the edited faces equal to the photo.
    provenance
        How it was made.
    """

    rgb: NDArray[np.uint8]
    provenance: Provenance


def make_editor(
    method: str = DEFAULT,
    *,
    model: str | None = None,
    vectors: str | None = None,
    keep: Sequence[str] = (),
    landmark_model: str = "landmarks68",
    detector: str = "hog",
    min_score: float = MIN_SCORE,
    device: str = "auto",
    seed: int = 0,
    mode: str = "transfer",
    content: str = "content",
) -> Editor:
    """Make an editor; models are loaded when they are first needed.

    Parameters
    ----------
    method
        A way to edit; one of :func:`faceflex.methods.registry.method_entries`.
    model, vectors
        Its files: registered names or paths; by default the bundled ones.
    keep
        Controls that edits of others should leave as they are.
    landmark_model
        Landmark predictor: a registered name or path.
    detector
        ``hog`` or ``cnn``.
    min_score
        A face of which the detector is less sure is left alone unless it is chosen.
    device
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    seed
        Fixes which variants are drawn.
    mode
        How changes get into the photo: ``transfer``, ``difference`` or ``paste``.
    content
        What renders content that the photo does not have: the registered name or path of a learned
        renderer's file, or ``exemplars`` for the one without a network.

    Raises
    ------
    UsageError
        If there is no such method or mode.
    """
    options = MethodOptions(model, vectors, tuple(keep), device, seed)
    finder = FaceFinder(landmark_model, detector, min_score)
    composer = Composer(make_content(content, seed), mode)
    return Editor(finder, make_method(method, options), composer, ClassifierScorer())


@cache
def _default_editor() -> Editor:
    return make_editor()


def open_photo(
    photo: Photo | str | Path, faces: Sequence[str] = (), *, editor: Editor | None = None
) -> OpenPhoto:
    """Open a photo once, to render it often.

    Parameters
    ----------
    photo
        A path, or what :func:`faceflex.load_photo` gave.
    faces
        Which faces: numbers from the left, ``largest``, or points ``x,y``; all by default.
    editor
        From :func:`make_editor`; by default one with the bundled models.

    Raises
    ------
    PhotoError
        If the photo cannot be read.
    NoFaceError
        If it has no such face.

    Examples
    --------
    >>> import faceflex
    >>> opened = faceflex.open_photo("examples/portrait.jpg")
    >>> len(opened.faces)
    1
    >>> shots = [opened.shot(Smiling=s) for s in (0, 1.5)]
    >>> first, second = opened.render(shots)
    >>> bool((first == opened.rgb).all()), bool((second == opened.rgb).all())
    (True, False)
    """
    loaded = photo if isinstance(photo, Photo) else load_photo(str(photo))
    return (editor or _default_editor()).open(loaded.rgb, faces, name=loaded.name)


def edit_photo(
    photo: Photo,
    settings: Mapping[str, float | Literal["auto"]],
    *,
    faces: Sequence[str] = (),
    until: float = DEFAULT_UNTIL,
    editor: Editor | None = None,
) -> EditedPhoto:
    """Edit the faces of a photo.

    Parameters
    ----------
    photo
        From :func:`faceflex.load_photo`.
    settings
        Value of each control; for attributes, 1.0 is the mean distance between faces without and
        with it. ``auto``: for each face the smallest value at which a classifier sees it.
    faces, editor
        As for :func:`open_photo`.
    until
        The classifier's score that automatic values reach; see :meth:`OpenPhoto.auto`.

    Raises
    ------
    NoFaceError
        If the photo has no such face.
    UsageError
        If a control is unknown.

    Examples
    --------
    >>> import faceflex
    >>> photo = faceflex.load_photo("examples/portrait.jpg")
    >>> edited = faceflex.edit_photo(photo, {"Smiling": 1.5})
    >>> edited.provenance.settings
    {'Smiling': '1.5'}
    """
    editor = editor or _default_editor()
    fixed = {name: value for name, value in settings.items() if value != "auto"}
    shot = Shot(editor.method.resolve(fixed))
    searched = [name for name, value in settings.items() if value == "auto"]
    automatic = {name: until for name, _ in editor.method.resolve(dict.fromkeys(searched, 1.0))}
    opened = open_photo(photo, faces, editor=editor)
    shots = [one for one, _ in opened.automatic(shot, automatic)] if automatic else [shot]
    rgb = opened.render_each(shots) if automatic else next(opened.render(shots))
    return EditedPhoto(rgb, editor.provenance(shots))


def save_photo(
    photo: Photo,
    edited: EditedPhoto,
    path: str | Path,
    *,
    overwrite: bool = False,
    mark: bool = True,
) -> None:
    """Write an edited photo with the metadata of the original.

    Parameters
    ----------
    photo
        The original.
    edited
        From :func:`edit_photo`.
    path
        Where to; its suffix chooses the format.
    overwrite
        Replace what is there.
    mark
        Say in XMP that a model edited it, and how, as the command line does.

    Raises
    ------
    PhotoError
        If it cannot be written, or is there already.
    """
    target = Path(path)
    data = encode_with_provenance(
        photo, edited.rgb, format_for(target), edited.provenance, mark=mark
    )
    write_file(target, data, overwrite=overwrite)
