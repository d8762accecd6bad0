"""Edit photos from files to files: what the command line runs."""

from __future__ import annotations

import io
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceflex.edit.editor import Decodes, Editor
from faceflex.edit.options import EditOptions, Target, extras_of, outputs_of, suffix_of
from faceflex.edit.request import Output, choose_faces, strength_name
from faceflex.errors import PhotoError
from faceflex.faces import Face
from faceflex.faces.aligned_face import AlignedFace, Edit
from faceflex.files import close_stdout, remove_stale_temp
from faceflex.photo import Photo, encode_photo, load_photo, write_file
from faceflex.photo.formats import format_for
from faceflex.photo.metadata import DIGITAL_SOURCE_TYPE
from faceflex.photo.provenance import encoded, is_marked, kept_or_not

if TYPE_CHECKING:
    from faceflex.edit.contact_sheet import ContactSheet
    from faceflex.faces.recognition import IdentityMeter

ReadSource = Callable[[str], tuple["bytes | str", str]]

_AT_WORK = 600e6  # Bytes of the pictures that threads may work on at once, beyond two.
_PER_PIXEL, _PER_FACE_PIXEL = 8, 60  # Bytes that an output needs while it is made.


def _edits(editor: Editor, job: EditOptions, outputs: Sequence[Output]) -> list[Edit]:
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


def edit_one(
    job: EditOptions,
    editor: Editor,
    argument: str,
    target: Target,
    read: ReadSource,
    threads: int = 1,
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
    threads
        How many outputs to work on at once, as far as memory allows.

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
    suffix = suffix_of(argument, photo.format)
    planned = outputs_of(job, target, argument, suffix)
    extras = extras_of(job, target, argument, suffix)
    for folder in {path.parent for path in (*(o.path for o in planned), *extras.values()) if path}:
        remove_stale_temp(folder)
    outputs = [o for o in planned if o.path is None or job.is_free(o.path, argument)]
    extras = {k: path for k, path in extras.items() if job.is_free(path, argument)}
    if not outputs and not extras:
        return
    every = editor.find_faces(photo.rgb)
    faces = choose_faces(every, job.faces, name)
    if "landmarks" in extras:
        from faceflex.edit.contact_sheet import draw_faces

        drawn = encode_photo(photo, draw_faces(photo.rgb, every))
        write_file(extras["landmarks"], drawn, overwrite=job.overwrite)
    # A sheet shows all outputs, also those that were there already.
    shown = planned if "sheet" in extras else outputs
    if shown:
        making = _Making(job, editor, photo, source, target, faces)
        yield from making.run(outputs, shown, extras.get("sheet"), threads)


@dataclass
class _Made:
    """One output: its record, and its cell of the contact sheet."""

    output: Output
    record: dict[str, Any] | None = None
    cell: NDArray[np.uint8] | None = None


class _Making:
    """Renders and writes the outputs of one photo."""

    def __init__(
        self,
        job: EditOptions,
        editor: Editor,
        photo: Photo,
        source: bytes | str,
        target: Target,
        faces: Sequence[Face],
    ) -> None:
        self.job, self.editor, self.photo, self.source = job, editor, photo, source
        self.label = target.label or Path(photo.name).stem
        self.started = time.perf_counter()
        self.faces = editor.prepare(photo.rgb, faces)
        self.watch, self.alone = self._watch(), threading.Lock()

    def run(
        self,
        outputs: Sequence[Output],
        shown: Sequence[Output],
        sheet_path: Path | None,
        threads: int,
    ) -> Iterator[dict[str, Any]]:
        """Make all, in order; yield their records."""
        sheet, crop = None, None
        if sheet_path is not None:
            from faceflex.edit.contact_sheet import ContactSheet, window

            crop = window(self.photo.rgb.shape, [p.face for p in self.faces])
            sheet = ContactSheet(self.photo.rgb[crop])
        edits = _edits(self.editor, self.job, shown)
        self._explain(edits)
        wanted = {o.path for o in outputs}
        decodes = self.editor.decode(self.faces, edits)
        tasks = (
            lambda o=output, e=edit, d=decoded: self._one(o, e, d, o.path in wanted, crop)  # type: ignore[misc]
            for output, edit, decoded in zip(shown, edits, decodes, strict=True)
        )
        for made in in_order(tasks, min(threads, self._room(), len(shown))):
            self._show(sheet, made)
            if made.record is not None:
                now = time.perf_counter()
                if "seconds" in made.record:
                    made.record["seconds"] = round(now - self.started, 4)
                    self.started = now
                yield made.record
        if sheet is not None and sheet_path is not None:
            _write_png(sheet_path, sheet.draw(), self.job.overwrite)

    def _room(self) -> int:
        """Return how many outputs memory allows at once."""
        height, width = self.photo.rgb.shape[:2]
        face = max((p.region.mask.size for p in self.faces if p.region is not None), default=0)
        needed = _PER_PIXEL * height * width + _PER_FACE_PIXEL * face
        return max(2, int(_AT_WORK / needed))

    def _one(
        self,
        output: Output,
        edit: Edit,
        decoded: Decodes,
        wanted: bool,
        crop: tuple[slice, slice] | None,
    ) -> _Made:
        """Make one output; several threads do so at once."""
        picture = self.editor.draw(self.photo.rgb, self.faces, edit, decoded)
        made = _Made(output)
        if crop is not None:
            from faceflex.edit.contact_sheet import thumbnail

            made.cell = thumbnail(picture[crop])
        if wanted:
            made.record = self._write(output, picture)
        return made

    def _write(self, output: Output, picture: NDArray[np.uint8]) -> dict[str, Any]:
        """Write an output, unless it is refused; return its record."""
        distances: list[float | None] = [None] * len(self.faces)
        if self.watch is not None:
            with self.alone:
                distances = self.watch.distances(picture)
        limit = self.job.max_identity_distance
        worst = max((d for d in distances if d is not None), default=0.0)
        if limit is not None and worst > limit:
            return _refused(self.photo.name, output, worst, limit)
        photo = self.photo
        form = photo.format if output.path is None else _format(output.path, photo)
        data = encoded(self.job, self.editor, photo, picture, output, form, self.source)
        if output.path is None:
            _to_stdout(data)
        else:
            write_file(output.path, data, overwrite=self.job.overwrite)
        provenance = DIGITAL_SOURCE_TYPE if is_marked(self.job, form) else None
        record = _record(photo.name, output, provenance, self.faces, distances)
        return record | kept_or_not(self.job, photo)

    def _show(self, sheet: ContactSheet | None, made: _Made) -> None:
        """Put an output on the contact sheet."""
        output = made.output
        if sheet is None or made.cell is None or output.strength is None:
            return
        row = f"sample {output.sample}" if self.job.request.samples > 1 else ""
        caption = f"{output.attribute} {strength_name(output.strength)}"
        sheet.add(f"{output.attribute} {row}".rstrip(), caption, made.cell)

    def _watch(self) -> IdentityMeter | None:
        """Return what measures identity, if the job asks for it."""
        limit = self.job.max_identity_distance
        if limit is None and not self.job.identity:
            return None
        from faceflex.faces.recognition import IdentityMeter, available

        if limit is None and not available():
            return None
        points = [p.face.points for p in self.faces]
        return IdentityMeter(self.editor.landmarks, self.photo.rgb, points)

    def _explain(self, edits: Sequence[Edit]) -> None:
        """Write the stages of the strongest edit, a folder for each face."""
        if self.job.explain is None:
            return
        from faceflex.edit.stages import explain, sheet

        strongest = max(edits, key=lambda e: e.size)
        place = self.job.explain / self.label
        for face in self.faces:
            stages = explain(self.editor, self.photo.rgb, face, strongest)
            folder = place / f"face-{face.face.index}"
            remove_stale_temp(folder)
            files = {
                f"{number:02d}-{caption.replace(', ', '-').replace(' ', '-')}.png": picture
                for number, (caption, picture) in enumerate(stages.items(), start=1)
            }
            if stages:
                files["all.png"] = sheet(stages)
            for name, picture in files.items():
                if self.job.is_free(folder / name, "-"):
                    _write_png(folder / name, picture, self.job.overwrite)


def in_order(tasks: Iterable[Callable[[], Any]], threads: int) -> Iterator[Any]:
    """Run tasks in threads; yield what they return, in their order.

    No more than ``threads`` results exist at once; the first exception ends it.
    """
    if threads <= 1:
        yield from (task() for task in tasks)
        return
    with ThreadPoolExecutor(threads) as pool:
        running: deque[Future[Any]] = deque()
        try:
            for task in tasks:
                if len(running) == threads:
                    yield running.popleft().result()
                running.append(pool.submit(task))
            while running:
                yield running.popleft().result()
        finally:
            for waiting in running:
                waiting.cancel()


def _record(
    name: str,
    output: Output,
    provenance: str | None,
    faces: Sequence[AlignedFace],
    distances: Sequence[float | None],
) -> dict[str, Any]:
    return {
        "photo": name,
        "output": "-" if output.path is None else str(output.path),
        "attribute": output.attribute,
        "strength": output.strength,
        "sample": output.sample,
        "settings": output.settings,
        "seconds": 0.0,
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


def _format(path: Path, photo: Photo) -> str:
    """Return the photo's own format, unless the output's name asks for another."""
    suffix = path.suffix.lower()
    own = Path(photo.name).suffix.lower()
    return photo.format if suffix == own else format_for(path)


def _to_stdout(data: bytes) -> None:
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except OSError as error:
        close_stdout()
        raise PhotoError(f"standard output: cannot be written ({error.strerror})") from None


def _write_png(path: Path, picture: NDArray[np.uint8], overwrite: bool) -> None:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    write_file(path, buffer.getvalue(), overwrite=overwrite)
