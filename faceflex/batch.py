"""Edit photos from files to files: what the command line runs."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceflex.editor import Edit, Editor, PreparedFace
from faceflex.errors import PhotoError
from faceflex.faces import Face
from faceflex.marking import encoded, is_marked, kept_or_not
from faceflex.photo import Photo, encode_photo, load_photo, write_file
from faceflex.photo.formats import FORMATS, format_for
from faceflex.photo.metadata import DIGITAL_SOURCE_TYPE
from faceflex.plan import Output, Request, choose_faces, plan, strength_name

if TYPE_CHECKING:
    from faceflex.evaluate.identity import IdentityWatch
    from faceflex.photo.credentials import Signer

ReadSource = Callable[[str], tuple["bytes | str", str]]


@dataclass(frozen=True)
class EditJob:
    """What to do with each photo, and where results go.

    Attributes
    ----------
    request
        The pictures to make.
    faces
        Which faces, as :func:`faceflex.plan.choose_faces` takes them.
    seed
        Fixes which versions of the vectors are drawn.
    sheet, landmarks
        Also write a contact sheet of a sweep; the photo with its landmarks drawn.
    provenance
        Mark outputs as edited with a model.
    overwrite, skip_existing
        What to do about outputs that exist; without either they are an error.
    identity
        Measure how far each edit moves a person's identity, where dlib's descriptor is at hand.
    max_identity_distance
        Refuse outputs in which a face moves farther than this.
    explain
        Folder for pictures of the stages of each face's strongest edit.
    strip
        Leave out the photo's own metadata; its profile and the mark of ``provenance`` stay.
    signer
        Signs outputs (content credentials, C2PA).
    """

    request: Request
    faces: tuple[str, ...] = ()
    seed: int = 0
    sheet: bool = True
    landmarks: bool = False
    provenance: bool = True
    overwrite: bool = False
    skip_existing: bool = False
    identity: bool = False
    max_identity_distance: float | None = None
    explain: Path | None = None
    strip: bool = False
    signer: Signer | None = None


@dataclass(frozen=True)
class Target:
    """Where one photo's results go: a folder, or one file (None: standard output).

    ``label`` is the photo's name without its suffix, made different from the others' of a run.
    """

    folder: Path
    file: Path | None = None
    stdout: bool = False
    label: str = ""


def _suffix(name: str, photo: Photo) -> str:
    return Path(name).suffix or FORMATS[photo.format][0]


def _outputs(job: EditJob, target: Target, argument: str, photo: Photo) -> list[Output]:
    stem = "stdin" if argument == "-" else Path(argument).stem
    outputs = plan(job.request, target.folder, stem, _suffix(argument, photo))
    if target.file is not None or target.stdout:
        (only,) = outputs
        path = None if target.stdout else target.file
        outputs = [Output(path, only.attribute, only.strength, only.sample, only.settings)]
    return outputs


def planned_paths(job: EditJob, target: Target, argument: str) -> list[Path | None]:
    """Return where the pictures of a photo would go, from its name alone; None: standard output.

    A photo without a suffix gets that of its format when it is opened; here it has none.
    """
    if target.stdout or target.file is not None:
        return [target.file]
    stem = "stdin" if argument == "-" else Path(argument).stem
    found = plan(job.request, target.folder, stem, Path(argument).suffix)
    sheet = [target.folder / "sheet.png"] if job.request.attributes and job.sheet else []
    return [*(o.path for o in found), *sheet]


def _edits(editor: Editor, job: EditJob, outputs: Sequence[Output]) -> list[Edit]:
    """Return what each output does to a face."""
    drawn = {
        name: editor.vectors.sample(name, job.request.samples, job.seed)
        for name in job.request.attributes
    }
    fixed, edits = editor.edit_of(job.request.settings), []
    for output in outputs:
        edit = fixed
        if output.attribute is not None and output.strength is not None:
            version = drawn[output.attribute][output.sample - 1]
            edit = editor.edit_of(output.settings, {output.attribute: version})
        edits.append(edit)
    return edits


def _is_free(job: EditJob, path: Path, source: str) -> bool:
    """Tell whether to write ``path``; refuse what would be overwritten, the photo itself always."""
    if not os.path.lexists(path):
        return True
    if source != "-" and path.exists() and path.samefile(source):
        raise PhotoError(f"{path}: is the photo itself; choose another output")
    if job.overwrite or job.skip_existing:
        return job.overwrite
    raise PhotoError(f"{path}: exists; use --overwrite, --skip-existing or another --out")


def _record(
    name: str,
    output: Output,
    seconds: float,
    provenance: str | None,
    faces: Sequence[PreparedFace],
    distances: Sequence[float | None],
) -> dict[str, Any]:
    return {
        "photo": name,
        "output": "-" if output.path is None else str(output.path),
        "attribute": output.attribute,
        "strength": output.strength,
        "sample": output.sample,
        "settings": output.settings,
        "seconds": round(seconds, 4),
        "provenance": provenance,
        "faces": [
            {
                "index": p.face.index,
                "box": list(p.face.box),
                "score": round(p.face.score, 4),
                "identity_distance": None if distance is None else round(distance, 4),
                "remarks": list(p.remarks),
            }
            for p, distance in zip(faces, distances, strict=True)
        ],
    }


def edit_one(
    job: EditJob, editor: Editor, argument: str, target: Target, read: ReadSource
) -> Iterator[dict[str, Any]]:
    """Edit one photo.

    Parameters
    ----------
    job, editor
        What to do, and with which models.
    argument
        The photo: a path, or ``-``.
    target
        Where its results go.
    read
        Gives the content and the name of an argument.

    Yields
    ------
    A record for each output, as ``--json`` prints it, once the file is there.

    Raises
    ------
    FaceflexError
        If the photo cannot be read, has no face, or an output cannot be written.
    """
    source, name = read(argument)
    photo = load_photo(source, name)
    photo = photo.stripped() if job.strip else photo
    planned = _outputs(job, target, argument, photo)
    outputs = [o for o in planned if o.path is None or _is_free(job, o.path, argument)]
    extras = _extras(job, target, argument, photo)
    extras = {k: path for k, path in extras.items() if _is_free(job, path, argument)}
    if not outputs and not extras:
        return
    every = editor.find_faces(photo.rgb)
    faces = choose_faces(every, job.faces, name)
    if "landmarks" in extras:
        from faceflex.plots import draw_faces

        drawn = encode_photo(photo, draw_faces(photo.rgb, every))
        write_file(extras["landmarks"], drawn, overwrite=job.overwrite)
    # A sheet shows all outputs, also those that were there already.
    shown = planned if "sheet" in extras else outputs
    if shown:
        sheet = extras.get("sheet")
        made = _make(job, editor, photo, faces, outputs, shown, sheet, target.label, source)
        yield from made


def _extras(job: EditJob, target: Target, argument: str, photo: Photo) -> dict[str, Path]:
    """Return where the contact sheet and the landmark picture go."""
    found: dict[str, Path] = {}
    if target.stdout:
        return found
    suffix = _suffix(argument, photo)
    if job.request.attributes and target.file is None and job.sheet:
        found["sheet"] = target.folder / "sheet.png"
    if job.landmarks:
        if target.file is not None:
            found["landmarks"] = target.file.with_name(f"{target.file.stem}-landmarks{suffix}")
        elif job.request.attributes:
            found["landmarks"] = target.folder / f"landmarks{suffix}"
        else:
            stem = "stdin" if argument == "-" else Path(argument).stem
            found["landmarks"] = target.folder / f"{stem}-landmarks{suffix}"
    return found


def _make(
    job: EditJob,
    editor: Editor,
    photo: Photo,
    faces: Sequence[Face],
    outputs: Sequence[Output],
    shown: Sequence[Output],
    sheet_path: Path | None,
    label: str,
    source: bytes | str,
) -> Iterator[dict[str, Any]]:
    """Render and write."""
    started = time.perf_counter()
    prepared = editor.prepare(photo.rgb, faces)
    watch = _watch(job, editor, photo.rgb, prepared)
    wanted = {o.path for o in outputs}
    sheet, rows, columns = None, slice(None), slice(None)
    if sheet_path is not None:
        from faceflex.plots import ContactSheet, window

        rows, columns = window(photo.rgb.shape, faces)
        sheet = ContactSheet(photo.rgb[rows, columns])
    edits = _edits(editor, job, shown)
    if job.explain is not None:
        strongest = max(edits, key=lambda e: e.size)
        folder = job.explain / (label or Path(photo.name).stem)
        _explain(job, editor, photo, prepared, strongest, folder)
    pictures = editor.render(photo.rgb, prepared, edits)
    for output, picture in zip(shown, pictures, strict=True):
        if sheet is not None and output.attribute is not None and output.strength is not None:
            row = f"sample {output.sample}" if job.request.samples > 1 else ""
            caption = f"{output.attribute} {strength_name(output.strength)}"
            sheet.add(f"{output.attribute} {row}".rstrip(), caption, picture[rows, columns])
        if output.path not in wanted:
            continue
        distances = watch.distances(picture) if watch else [None] * len(prepared)
        worst = max((d for d in distances if d is not None), default=0.0)
        if job.max_identity_distance is not None and worst > job.max_identity_distance:
            yield _refused(photo.name, output, worst, job.max_identity_distance)
            continue
        form = photo.format if output.path is None else _format(output.path, photo)
        data = encoded(job, editor, photo, picture, output, form, source)
        if output.path is None:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        else:
            write_file(output.path, data, overwrite=job.overwrite)
        now = time.perf_counter()
        provenance = DIGITAL_SOURCE_TYPE if is_marked(job, form) else None
        record = _record(photo.name, output, now - started, provenance, prepared, distances)
        yield record | kept_or_not(job, photo)
        started = now
    if sheet is not None and sheet_path is not None:
        _write_png(sheet_path, sheet.draw(), job.overwrite)


def _watch(
    job: EditJob, editor: Editor, rgb: NDArray[np.uint8], prepared: Sequence[PreparedFace]
) -> IdentityWatch | None:
    """Return what measures identity, if the job asks for it."""
    if job.max_identity_distance is None and not job.identity:
        return None
    from faceflex.evaluate.identity import IdentityWatch, available

    if job.max_identity_distance is None and not available():
        return None
    return IdentityWatch(editor.landmarks, rgb, [p.face.points for p in prepared])


def _refused(name: str, output: Output, worst: float, limit: float) -> dict[str, Any]:
    """Return the record of an output that was not written."""
    where = "-" if output.path is None else output.path
    reason = f"identity distance {worst:.3f} exceeds {limit:g}; not written"
    return {
        "photo": name,
        "output": None,
        "attribute": output.attribute,
        "strength": output.strength,
        "sample": output.sample,
        "settings": output.settings,
        "error": f"{where}: {reason}",
    }


def _explain(
    job: EditJob,
    editor: Editor,
    photo: Photo,
    prepared: Sequence[PreparedFace],
    edit: Edit,
    place: Path,
) -> None:
    """Write the stages of an edit below ``place``, a folder for each face."""
    from faceflex.explain import explain, sheet

    for face in prepared:
        stages = explain(editor, photo.rgb, face, edit)
        folder = place / f"face-{face.face.index}"
        files = {
            f"{number:02d}-{caption.replace(', ', '-').replace(' ', '-')}.png": picture
            for number, (caption, picture) in enumerate(stages.items(), start=1)
        }
        if stages:
            files["all.png"] = sheet(stages)
        for name, picture in files.items():
            if _is_free(job, folder / name, "-"):
                _write_png(folder / name, picture, job.overwrite)


def _format(path: Path, photo: Photo) -> str:
    """Return the photo's own format, unless the output's name asks for another."""
    suffix = path.suffix.lower()
    own = Path(photo.name).suffix.lower()
    return photo.format if suffix == own else format_for(path)


def _write_png(path: Path, picture: NDArray[np.uint8], overwrite: bool) -> None:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    write_file(path, buffer.getvalue(), overwrite=overwrite)
