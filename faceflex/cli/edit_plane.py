"""Sheets and paths over the plane of valence and arousal, for ``faceflex edit``."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faceflex.cli.common import note, print_json, printable, progress, read_source, report_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faceflex.edit.editor import Editor
    from faceflex.photo import Photo
    from faceflex.photo.credentials import Signer

METHOD = "valence-arousal"
STEPS, FRAMES = 7, 48
_FPS = 25
_CLOSE, _WIDE = 150, 640  # Long sides in pixels that a sheet's face and a path's frames come from.


@dataclass(frozen=True)
class PlaneOptions:
    """What is shown of the plane: a sheet, or a path through it.

    Attributes
    ----------
    circumplex, steps
        Whether to draw the sheet, and how many places it has along a side.
    path, frames
        Corners of the path as they were typed, and how many frames it has.
    """

    circumplex: bool = False
    steps: int | None = None
    path: str | None = None
    frames: int | None = None

    def __bool__(self) -> bool:
        return self.circumplex or self.path is not None

    def check(self) -> None:
        """Raise ``UsageError`` for options that do not go together, before anything is loaded."""
        from faceflex.errors import UsageError

        if self.steps is not None and not self.circumplex:
            raise UsageError("`circumplex_steps`: needs --circumplex")
        if self.frames is not None and self.path is None:
            raise UsageError("`frames`: needs --path")
        if self.circumplex and self.path is not None:
            raise UsageError("`circumplex` and `path`: give one of them")
        if not self:
            return
        from faceflex.edit.plane import parse_path, path_places, sheet_values

        if self.circumplex:
            sheet_values(STEPS if self.steps is None else self.steps)
        if self.path is not None:
            frames = FRAMES if self.frames is None else self.frames
            path_places(parse_path(self.path), frames)


def feeling_controls(feeling: str | None, strength: float | None) -> dict[str, float]:
    """Return valence and arousal of a named feeling; nothing without one."""
    from faceflex.errors import UsageError
    from faceflex.methods.affect_controls import AROUSAL, VALENCE, feeling_place

    if feeling is None:
        if strength is not None:
            raise UsageError("`strength`: needs --feeling NAME")
        return {}
    place = feeling_place(feeling, 1.0 if strength is None else strength)
    return dict(zip((VALENCE, AROUSAL), place, strict=True))


@dataclass(frozen=True)
class PlaneOutputs:
    """Where sheets and paths go, and what may be replaced.

    Attributes
    ----------
    out, file
        Folder, or the one file.
    overwrite, skip_existing
        What to do about files that are there.
    mark
        Whether to write how a picture was made.
    json
        Whether to print a line of JSON for each.
    dry_run
        Whether only to tell what would be written.
    signer
        Signs the files.
    """

    out: Path | None
    file: Path | None
    overwrite: bool
    skip_existing: bool
    mark: bool
    json: bool
    dry_run: bool = False
    signer: Signer | None = None


def run_plane(
    plane: PlaneOptions,
    editor: Editor,
    names: Sequence[str],
    faces: Sequence[str],
    outputs: PlaneOutputs,
) -> int:
    """Draw sheets or paths of photos; return the exit code."""
    from faceflex.cli.edit_targets import distinct_stems
    from faceflex.errors import FaceflexError, NoFaceError, UsageError

    if outputs.file is not None and (len(names) > 1 or str(outputs.file) == "-"):
        raise UsageError(f"`o` {outputs.file}: sheets and paths need a file for each photo")
    failed = faceless = 0
    with progress("drawing", len(names)) as advance:
        pairs = zip(names, distinct_stems(list(names)), strict=True)
        for number, (argument, stem) in enumerate(pairs, start=1):
            source, name = read_source(argument)
            try:
                _run_one(plane, editor, source, name, stem, faces, outputs)
            except FaceflexError as error:
                if isinstance(error, UsageError):
                    raise
                failed += 1
                faceless += isinstance(error, NoFaceError)
                report_error(error)
                if outputs.json:
                    print_json({"photo": name, "output": None, "error": str(error)})
            advance(number, len(names))
    return 0 if not failed else 3 if faceless == len(names) else 1


def _run_one(
    plane: PlaneOptions,
    editor: Editor,
    source: bytes | str,
    name: str,
    stem: str,
    selectors: Sequence[str],
    outputs: PlaneOutputs,
) -> None:
    from faceflex.edit.selection import choose_faces
    from faceflex.photo import load_photo

    photo = load_photo(source, name)
    found = editor.finder.find(photo.rgb)
    chosen = choose_faces(found, selectors, name, editor.finder.min_score)
    folder = outputs.out or Path()
    if plane.path is not None:
        file = outputs.file or folder / f"{stem}-path.gif"
        _draw_path(plane, editor, (photo, source), chosen, file, outputs)
        return
    several = len(chosen) > 1
    for face in chosen:
        ending = f"-face-{face.index}" if several else ""
        file = outputs.file or folder / f"{stem}-circumplex{ending}.png"
        if several and outputs.file is not None:
            file = outputs.file.with_name(f"{outputs.file.stem}{ending}{outputs.file.suffix}")
        _draw_sheet(plane, editor, (photo, source), face, file, outputs)


def _draw_sheet(
    plane: PlaneOptions,
    editor: Editor,
    read: tuple[Photo, bytes | str],
    face: Any,
    file: Path,
    outputs: PlaneOutputs,
) -> None:
    from faceflex.edit.plane import circumplex_sheet, close_up
    from faceflex.methods.affect_controls import AROUSAL, VALENCE
    from faceflex.photo import write_file
    from faceflex.photo.formats import format_for
    from faceflex.photo.provenance import encode_with_provenance

    form, (photo, source) = format_for(file), read
    if not _is_free(file, outputs, photo):
        return
    opened = close_up(editor, photo.rgb, [face], _CLOSE, crop=True, draft=True)
    sheet = circumplex_sheet(opened, (VALENCE, AROUSAL), plane.steps or STEPS)
    made = editor.provenance(opened.shot())
    provenance = replace(made, settings={"circumplex": str(plane.steps or STEPS)})
    bare = photo.without_metadata()
    data = encode_with_provenance(
        bare, sheet, form, provenance, mark=outputs.mark, signer=outputs.signer, original=source
    )
    write_file(file, data, overwrite=outputs.overwrite)
    own = {k: round(v, 4) for k, v in opened.own_values(0).items()}
    _report(photo, file, outputs, {"face": face.index, "own": own})


def _draw_path(
    plane: PlaneOptions,
    editor: Editor,
    read: tuple[Photo, bytes | str],
    faces: Sequence[Any],
    file: Path,
    outputs: PlaneOutputs,
) -> None:
    from faceflex.edit.plane import close_up, parse_path, path_frames, path_places
    from faceflex.files import atomic_write
    from faceflex.methods.affect_controls import AROUSAL, VALENCE
    from faceflex.photo.clip import ClipFile, clip_format
    from faceflex.photo.metadata import provenance_xmp
    from faceflex.photo.provenance import SOFTWARE, sign

    form, (photo, source) = clip_format(file), read
    if not _is_free(file, outputs, photo):
        return
    places = path_places(parse_path(plane.path or ""), plane.frames or FRAMES)
    opened = close_up(editor, photo.rgb, faces, _WIDE, crop=False)
    frames = list(path_frames(opened, (VALENCE, AROUSAL), places))
    made = replace(editor.provenance(opened.shot()), settings={"path": plane.path or ""})
    xmp = None
    if outputs.mark:
        xmp = provenance_xmp(None, SOFTWARE, made.software_version, made.settings)
    samples = [frames[k] for k in sorted({0, len(frames) // 2, len(frames) - 1})]
    with atomic_write(file) as temporary:
        ClipFile(form, _FPS, xmp).write(temporary, frames, samples)
        if outputs.signer is not None:
            data = sign(temporary.read_bytes(), form, photo, made, outputs.signer, source)
            temporary.write_bytes(data)
    _report(photo, file, outputs, {"frames": len(frames)})


def _is_free(file: Path, outputs: PlaneOutputs, photo: Photo) -> bool:
    """Tell whether to write a file; the photo itself never is. A dry run says so, and writes none.

    Raises
    ------
    PhotoError
        If it is there and may not be replaced.
    """
    from faceflex.edit.options import inodes
    from faceflex.errors import PhotoError

    there = file.exists()
    if there and inodes([str(file)]) & inodes([photo.name]):
        raise PhotoError(f"{file}: is a photo to be edited; choose another output")
    skipped = there and outputs.skip_existing
    if there and not skipped and not outputs.overwrite:
        raise PhotoError(f"{file}: exists; use `overwrite`, `skip_existing` or another `out`")
    if not outputs.dry_run:
        return not skipped
    act = "skip" if skipped else "write"
    if outputs.json:
        print_json({"photo": photo.name, "output": str(file), "exists": there, "would": act})
    else:
        sys.stdout.write(f"{act}\t{printable(str(file))}\n")
    return False


def _report(photo: Photo, file: Path, outputs: PlaneOutputs, more: dict[str, Any]) -> None:
    if outputs.json:
        print_json({"photo": photo.name, "output": str(file), **more})
    else:
        note(f"{photo.name}: written to {file}")
