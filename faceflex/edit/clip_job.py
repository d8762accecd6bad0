"""A photo's clips: opened once, rendered mode after mode, written atomically with provenance."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceflex.edit.clip import (
    ClipRequest,
    clip_frames,
    draw_landmarks,
    grid_frames,
    scaled_to,
)
from faceflex.edit.clip_calibration import boosted_changes, find_boosts
from faceflex.edit.clip_options import ClipOptions, ClipResult, PlannedClip, planned_clips
from faceflex.edit.editor import Editor, OpenPhoto, Steps
from faceflex.errors import PhotoError, UsageError
from faceflex.files import atomic_write
from faceflex.methods.controls import Settings
from faceflex.photo import Photo, load_photo, write_file
from faceflex.photo.clip import LARGEST_SIDE, ClipFile, clip_format
from faceflex.photo.formats import format_for
from faceflex.photo.metadata import provenance_xmp
from faceflex.photo.provenance import SOFTWARE, Provenance, encode_with_provenance, sign

_SAMPLES = 6  # Frames that a GIF's colors are chosen of.

Picture = NDArray[np.uint8]
Progress = Callable[[int, int], None]


def make_clips(
    source: bytes | str,
    name: str,
    out: Path,
    options: ClipOptions,
    editor: Editor,
    progress: Progress | None = None,
) -> Iterator[ClipResult]:
    """Make the clips of a photo.

    Parameters
    ----------
    source, name
        The photo's path or content, and what messages call it.
    out
        The file of mode 0.
    options
        How.
    editor
        With a method that knows of time.
    progress
        Called with (frames done, frames in all).

    Yields
    ------
    A result for each file, when it is written.

    Raises
    ------
    PhotoError
        If the photo cannot be read, or a file not be written.
    NoFaceError
        If it has no such face.
    """
    plan = planned_clips(out, options)
    for clip in plan:
        _check_target(clip.path, source, options)
    photo = load_photo(source, name)
    if options.strip:
        photo = replace(photo, exif=None, xmp=None, resources=None)
    rgb, notes = photo.rgb, list(photo.notes)
    if options.still is None:
        side = options.max_side or LARGEST_SIDE[clip_format(out)]
        rgb = scaled_to(rgb, side)
        if rgb is not photo.rgb:
            notes.append(f"frames of {rgb.shape[1]}x{rgb.shape[0]} pixels (`max_side` changes it)")
    request = replace(options.request, settings=of_person(options.request, photo, editor))
    options = replace(options, request=request)
    opened = editor.open(rgb, options.select, name=name)
    notes += _face_notes(opened, options)
    frames = 1 if options.still is not None else options.request.frames
    total, done = frames * sum(len(c.modes) for c in plan), 0

    def advance() -> None:
        nonlocal done
        done += 1
        if progress:
            progress(done, total)

    boosts: dict[int, tuple[float, ...]] = {}
    for clip in plan:
        began = time.perf_counter()
        for mode in clip.modes:
            if mode not in boosts:
                boosts[mode] = find_boosts(opened, options.request.shown(mode))
        shots = [options.request.still(m, options.still or 1.0) for m in clip.modes]
        provenance = _provenance(editor, clip, shots[0], options) if options.mark else None
        if options.still is None:
            size = _write_clip(photo, source, opened, clip, boosts, provenance, options, advance)
        else:
            size = _write_still(photo, source, opened, clip, boosts, shots, provenance, options)
            advance()
        faces = [
            {
                "index": face.face.index,
                "warnings": list(face.warnings),
                **dict(told),
                "boost": boost,
            }
            for face, told, boost in zip(
                opened.faces, opened.describe(shots[0]), boosts[clip.modes[0]], strict=True
            )
        ]
        c2pa = "signed" if options.signer else "dropped" if photo.credentials else "none"
        yield ClipResult(
            name,
            str(clip.path),
            clip.modes,
            frames,
            options.fps,
            *size,
            time.perf_counter() - began,
            faces,
            provenance,
            c2pa,
            tuple(notes),
        )


def of_person(request: ClipRequest, photo: Photo, editor: Editor) -> Settings:
    """Return a request's settings with whose smile it is: the photo's, whatever it is scaled to."""
    known = dict(request.settings)
    if "person" in editor.method.controls and "person" not in known:
        known["person"] = float(zlib.crc32(np.ascontiguousarray(photo.rgb).data) % 2**24)
    return tuple(known.items())


def _check_target(path: Path, source: bytes | str, options: ClipOptions) -> None:
    """Raise ``PhotoError`` where a file must not be written."""
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent}: no such folder")
    if not options.overwrite and path.exists():
        raise PhotoError(f"{path}: exists; use `overwrite` or another `out`")
    with suppress(OSError, ValueError, TypeError):
        if isinstance(source, str) and path.exists() and path.samefile(source):
            raise PhotoError(f"{path}: is the photo itself; use another `out`")


def _face_notes(opened: OpenPhoto, options: ClipOptions) -> list[str]:
    notes = []
    for face, told in zip(
        opened.faces, opened.describe(options.request.still(0, 1.0)), strict=True
    ):
        phrases = [*face.warnings, *([str(told["note"])] if told.get("note") else [])]
        if phrases:
            notes.append(f"face {face.face.index}: {', '.join(phrases)}")
    numbers = [left.index for left in opened.left_alone]
    return notes + [f"face {n} left alone (`face` {n} chooses it)" for n in numbers]


def _provenance(editor: Editor, clip: PlannedClip, shot: Any, options: ClipOptions) -> Provenance:
    made = editor.provenance(shot)
    settings = dict(made.settings)
    settings.pop("sample", None)
    settings["mode"] = "/".join(map(str, clip.modes))
    if options.still is not None:
        settings["time"] = f"{options.still:g}"
    return replace(made, settings=settings)


def _frames(
    opened: OpenPhoto,
    clip: PlannedClip,
    boosts: Mapping[int, Sequence[float]],
    shots_of: Callable[[int], Any],
) -> Iterator[Picture]:
    draw: Callable[[Picture, Steps], Picture] | None = None
    if clip.drawn:
        draw = partial(draw_landmarks, opened)
    clips = [
        clip_frames(opened, shots_of(mode), draw=draw, boosts=boosts[mode]) for mode in clip.modes
    ]
    yield from clips[0] if len(clips) == 1 else grid_frames(clips)


def _write_clip(
    photo: Photo,
    source: bytes | str,
    opened: OpenPhoto,
    clip: PlannedClip,
    boosts: Mapping[int, Sequence[float]],
    provenance: Provenance | None,
    options: ClipOptions,
    advance: Callable[[], None],
) -> tuple[int, int]:
    """Render and write a clip; return its width and height."""
    form, request = clip_format(clip.path), options.request
    xmp = photo.xmp
    if provenance is not None:
        version, settings = provenance.software_version, provenance.settings
        xmp = provenance_xmp(photo.xmp, SOFTWARE, version, settings)
    samples: list[Picture] = []
    if form == "GIF":

        def few(mode: int) -> list[Any]:
            shots = request.shots(mode)
            pick = np.linspace(0, len(shots) - 1, _SAMPLES).round().astype(int)
            return [shots[k] for k in pick]

        samples = list(_frames(opened, clip, boosts, few))

    def counted() -> Iterator[Picture]:
        for picture in _frames(opened, clip, boosts, request.shots):
            yield picture
            for _ in clip.modes:
                advance()

    file = ClipFile(form, options.fps, xmp, photo.exif)
    try:
        with atomic_write(clip.path) as temporary:
            size = file.write(temporary, counted(), samples)
            if options.signer is not None:
                data = temporary.read_bytes()
                signed = sign(data, form, photo, provenance, options.signer, source)
                temporary.write_bytes(signed)
    except OSError as error:
        reason = error.strerror or error
        raise PhotoError(f"{clip.path}: cannot be written ({reason})") from None
    return size


def _write_still(
    photo: Photo,
    source: bytes | str,
    opened: OpenPhoto,
    clip: PlannedClip,
    boosts: Mapping[int, Sequence[float]],
    shots: Sequence[Any],
    provenance: Provenance | None,
    options: ClipOptions,
) -> tuple[int, int]:
    """Render and write a moment at full size, as edits are; return its width and height."""
    if len(shots) > 1:
        raise UsageError("`still` and `grid`: give one of them")
    (steps,) = boosted_changes(opened, shots, boosts[clip.modes[0]])
    picture = opened.compose(steps)
    if clip.drawn:
        picture = draw_landmarks(opened, picture, steps)
    data = encode_with_provenance(
        photo,
        picture,
        format_for(clip.path),
        provenance or Provenance(opened.editor.method.name),
        mark=provenance is not None,
        signer=options.signer,
        original=source,
    )
    write_file(clip.path, data, overwrite=options.overwrite)
    return picture.shape[1], picture.shape[0]
