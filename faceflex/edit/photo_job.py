"""Edit one photo, from its file to the files of its outputs."""

from __future__ import annotations

import io
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceflex.edit.automatic_strength import AutomaticStrength
from faceflex.edit.contact_sheet import CELL
from faceflex.edit.editor import Editor, OpenPhoto, Steps
from faceflex.edit.options import EditOptions, Target, extras_of, outputs_of, suffix_of
from faceflex.edit.request import AUTOMATIC, Output, strength_name
from faceflex.edit.result import FaceResult, OutputResult, UnsureFace
from faceflex.errors import FaceflexError, PhotoError
from faceflex.files import discard_stdout, remove_stale_temp
from faceflex.methods.base import Shot
from faceflex.parallel.threads import run_in_threads
from faceflex.photo import Photo, encode_photo, load_photo, write_file
from faceflex.photo.formats import format_for
from faceflex.photo.grid import thumbnail
from faceflex.photo.load import read_header
from faceflex.photo.provenance import (
    encode_with_provenance,
    made_by_faceflex,
    supports_provenance,
)

if TYPE_CHECKING:
    from faceflex.edit.contact_sheet import ContactSheet
    from faceflex.faces.recognition import IdentityMeter

ReadSource = Callable[[str], tuple["bytes | str", str]]


class OwnOutputError(FaceflexError):
    """A photo is an output of faceflex that nobody asked to edit again."""


_AT_WORK = 600e6  # Bytes of the pictures that threads may work on at once, beyond two.
_PER_PIXEL, _PER_FACE_PIXEL = 8, 60  # Bytes that an output needs while it is made.


def edit_photo_file(
    options: EditOptions,
    editor: Editor,
    argument: str,
    target: Target,
    read: ReadSource,
    threads: int = 1,
) -> Iterator[OutputResult]:
    """Edit one photo.

    Parameters
    ----------
    options, editor
        What to do, and what edits.
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
    A result for each output, once its file is there.

    Raises
    ------
    OwnOutputError
        If faceflex made the photo, and the target leaves such photos alone.
    FaceflexError
        If the photo cannot be read, has no face, or an output cannot be written.
    """
    source, name = read(argument)
    if target.skip_edited and made_by_faceflex(read_header(source, name)[1]):
        raise OwnOutputError(f"{name}: faceflex made it")
    photo = load_photo(source, name)
    photo = photo.without_metadata() if options.strip else photo
    suffix = suffix_of(argument, photo.format)
    planned = outputs_of(options, target, argument, suffix)
    extras = extras_of(options, target, argument, suffix)
    for folder in {path.parent for path in (*(o.path for o in planned), *extras.values()) if path}:
        remove_stale_temp(folder)
    outputs = [o for o in planned if o.path is None or options.is_free(o.path, argument)]
    extras = {k: path for k, path in extras.items() if options.is_free(path, argument)}
    if not outputs and not extras:
        return
    opened = editor.open(photo.rgb, options.faces, name=name)
    if "landmarks" in extras:
        from faceflex.edit.contact_sheet import draw_faces

        drawn = encode_photo(photo, draw_faces(photo.rgb, opened.detected))
        write_file(extras["landmarks"], drawn, overwrite=options.overwrite)
    # A sheet shows all outputs, also those that were there already.
    shown = planned if "sheet" in extras else outputs
    if shown:
        job = _PhotoJob(options, opened, photo, source, target)
        yield from job.run(outputs, shown, extras.get("sheet"), threads)


@dataclass(frozen=True)
class _Plan:
    """One output: a shot for each face, and the automatic strengths found for each."""

    output: Output
    shots: Sequence[Shot]
    automatic: Sequence[Sequence[AutomaticStrength]]


@dataclass
class _Made:
    """One output: its result, and its cell of the contact sheet."""

    plan: _Plan
    result: OutputResult | None = None
    cell: NDArray[np.uint8] | None = None


class _PhotoJob:
    """Renders and writes the outputs of one photo."""

    def __init__(
        self,
        options: EditOptions,
        opened: OpenPhoto,
        photo: Photo,
        source: bytes | str,
        target: Target,
    ) -> None:
        self.options, self.opened, self.photo, self.source = options, opened, photo, source
        self.label = target.label or Path(photo.name).stem
        self.started = time.perf_counter()
        self.meter, self.lock = self._identity_meter(), threading.Lock()

    def run(
        self,
        outputs: Sequence[Output],
        shown: Sequence[Output],
        sheet_path: Path | None,
        threads: int,
    ) -> Iterator[OutputResult]:
        """Make all, in order; yield their results."""
        sheet, crop = None, None
        if sheet_path is not None:
            from faceflex.edit.contact_sheet import ContactSheet, window

            crop = window(self.photo.rgb.shape, [f.face for f in self.opened.faces])
            sheet = ContactSheet(self.photo.rgb[crop])
        searches = (partial(self._plan, output) for output in shown)
        plans = list(run_in_threads(searches, min(threads, self._room(), len(shown))))
        self._explain(plans)
        wanted = {o.path for o in outputs}
        tasks = (
            partial(self._make, plan, steps, plan.output.path in wanted, crop)
            for plan, steps in zip(plans, self._changes(plans), strict=True)
        )
        for made in run_in_threads(tasks, min(threads, self._room(), len(shown))):
            self._show(sheet, made)
            if made.result is not None:
                yield self._timed(made.result)
        if sheet is not None and sheet_path is not None:
            _write_png(sheet_path, sheet.draw(), self.options.overwrite)

    def _plan(self, output: Output) -> _Plan:
        """Return a shot for each face, automatic strengths found."""
        shot, count = output.shot(self.options.request.samples), len(self.opened.faces)
        if not output.automatic:
            return _Plan(output, [shot] * count, [()] * count)
        limit = self.options.max_identity_distance
        found = self.opened.automatic(shot, output.automatic, max_distance=limit)
        return _Plan(output, [s for s, _ in found], [strengths for _, strengths in found])

    def _changes(self, plans: Sequence[_Plan]) -> Iterator[Steps]:
        """Yield what is done to each face, for each output."""
        if any(plan.output.automatic for plan in plans):
            yield from (self.opened.steps_for_each(plan.shots) for plan in plans)
        else:  # All faces have the same shot.
            yield from self.opened.changes([plan.shots[0] for plan in plans])

    def _timed(self, result: OutputResult) -> OutputResult:
        """Return a result with the seconds since the one before it."""
        if result.error:
            return result
        now = time.perf_counter()
        seconds, self.started = round(now - self.started, 4), now
        return replace(result, seconds=seconds)

    def _room(self) -> int:
        """Return how many outputs memory allows at once."""
        height, width = self.photo.rgb.shape[:2]
        regions = (f.region for f in self.opened.faces)
        face = max((r.mask.size for r in regions if r is not None), default=0)
        needed = _PER_PIXEL * height * width + _PER_FACE_PIXEL * face
        return max(2, int(_AT_WORK / needed))

    def _make(
        self,
        plan: _Plan,
        steps: Steps,
        wanted: bool,
        crop: tuple[slice, slice] | None,
    ) -> _Made:
        """Make one output; several threads do so at once."""
        picture = self.opened.compose(steps)
        made = _Made(plan)
        if crop is not None:
            made.cell = thumbnail(picture[crop], CELL)
        if wanted:
            made.result = self._write(plan, steps, picture)
        return made

    def _write(self, plan: _Plan, steps: Steps, picture: NDArray[np.uint8]) -> OutputResult:
        """Write an output, unless it is refused; return its result."""
        output = plan.output
        distances: list[float | None] = [None] * len(self.opened.faces)
        if self.meter is not None:
            with self.lock:
                distances = self.meter.distances(picture)
        photo, options = self.photo, self.options
        where = "-" if output.path is None else str(output.path)
        result = OutputResult(
            photo.name,
            where,
            output.attribute,
            output.strength,
            output.sample,
            output.settings,
            output.automatic,
        )
        limit = options.max_identity_distance
        worst = max((d for d in distances if d is not None), default=0.0)
        if limit is not None and worst > limit:
            reason = f"identity distance {worst:.3f} exceeds {limit:g}; not written"
            return replace(result, output=None, error=f"{where}: {reason}")
        form = photo.format if output.path is None else _format(output.path, photo)
        provenance = self.opened.editor.provenance(plan.shots)
        # Credentials say more than a photo without metadata should.
        hidden = options.strip and photo.credentials
        data = encode_with_provenance(
            photo,
            picture,
            form,
            provenance,
            mark=options.provenance,
            signer=options.signer,
            original=None if hidden else self.source,
        )
        if output.path is None:
            _to_stdout(data)
        else:
            write_file(output.path, data, overwrite=options.overwrite)
        c2pa, notes = self._kept()
        return replace(
            result,
            provenance=provenance if options.provenance and supports_provenance(form) else None,
            faces=self._face_results(distances, plan, steps),
            left_alone=self._left_alone(),
            c2pa=c2pa,
            notes=notes,
        )

    def _left_alone(self) -> list[UnsureFace]:
        """Return the faces that nobody chose because the detector is unsure of them."""
        faces = () if self.options.faces else self.opened.left_alone
        return [UnsureFace(f.index, f.box, round(f.score, 4)) for f in faces]

    def _face_results(
        self, distances: Sequence[float | None], plan: _Plan, steps: Steps
    ) -> list[FaceResult]:
        left = [self.opened.remarks(n, shot) for n, shot in enumerate(plan.shots)]
        return [
            FaceResult(
                a.face.index,
                a.face.box,
                round(a.face.score, 4),
                None if distance is None else round(distance, 4),
                a.warnings,
                automatic,
                not done and not automatic and any(value for _, value in shot.settings),
                remarks,
            )
            for a, distance, automatic, done, shot, remarks in zip(
                self.opened.faces, distances, plan.automatic, steps, plan.shots, left, strict=True
            )
        ]

    def _kept(self) -> tuple[str, list[str]]:
        """Return what becomes of content credentials, and what could not be kept of the photo."""
        notes = list(self.photo.notes)
        if self.options.signer is not None:
            return "signed", notes
        if not self.photo.credentials:
            return "none", notes
        notes.append("its content credentials (C2PA) would no longer be true; left out")
        return "dropped", notes

    def _show(self, sheet: ContactSheet | None, made: _Made) -> None:
        """Put an output on the contact sheet."""
        output = made.plan.output
        if sheet is None or made.cell is None or output.attribute is None:
            return
        row = f"sample {output.sample}" if self.options.request.samples > 1 else ""
        caption = f"{output.attribute} {_shown_strength(made.plan)}"
        sheet.add(f"{output.attribute} {row}".rstrip(), caption, made.cell)

    def _identity_meter(self) -> IdentityMeter | None:
        """Return what measures identity, if the options ask for it."""
        limit = self.options.max_identity_distance
        if limit is None and not self.options.identity:
            return None
        from faceflex.faces.recognition import IdentityMeter, descriptor_available

        if limit is None and not descriptor_available():
            return None
        points = [a.face.points for a in self.opened.faces]
        return IdentityMeter(self.opened.editor.finder.landmarks, self.photo.rgb, points)

    def _explain(self, plans: Sequence[_Plan]) -> None:
        """Write the stages of the strongest edit, a folder for each face."""
        if self.options.explain is None:
            return
        from faceflex.edit.stages import draw_stages, stages_sheet

        place = self.options.explain / self.label
        for number, face in enumerate(self.opened.faces):
            shots = [plan.shots[number] for plan in plans]
            strongest = max(shots, key=lambda shot: sum(abs(v) for _, v in shot.settings))
            stages = draw_stages(self.opened, number, strongest)
            folder = place / f"face-{face.face.index}"
            remove_stale_temp(folder)
            files = {
                f"{number:02d}-{caption.replace(', ', '-').replace(' ', '-')}.png": picture
                for number, (caption, picture) in enumerate(stages.items(), start=1)
            }
            if stages:
                files["all.png"] = stages_sheet(stages)
            for name, picture in files.items():
                if self.options.is_free(folder / name, "-"):
                    _write_png(folder / name, picture, self.options.overwrite)


def _shown_strength(plan: _Plan) -> str:
    """Return the strength of an output for its caption; of automatic ones, each face's, and scores.

    ``1.25 (0.12 to 0.83)``; faces stand side by side.
    """
    if plan.output.strength is not None:
        return strength_name(plan.output.strength)
    swept = [
        found
        for strengths in plan.automatic
        for found in strengths
        if found.control == plan.output.attribute
    ]
    told = [
        f"{strength_name(f.strength)} ({f.score_before:.2f} to {f.score_after:.2f})" for f in swept
    ]
    if len(told) > 2:  # There is room for two.
        return f"{AUTOMATIC} {'/'.join(strength_name(f.strength) for f in swept)}"
    return ", ".join(told)


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
        discard_stdout()
        raise PhotoError(f"standard output: cannot be written ({error.strerror})") from None


def _write_png(path: Path, picture: NDArray[np.uint8], overwrite: bool) -> None:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    write_file(path, buffer.getvalue(), overwrite=overwrite)
