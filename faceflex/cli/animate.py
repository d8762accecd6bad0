"""``faceflex animate``: a photo in, videos of its smiles out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faceflex.cli.common import (
    CertificateOption,
    DetectorOption,
    DeviceOption,
    DryRunOption,
    FaceOption,
    JsonOption,
    KeyOption,
    LandmarkModelOption,
    MinScoreOption,
    OfflineOption,
    OverwriteOption,
    ProvenanceOption,
    StripOption,
    check_choice,
    expand,
    go_offline,
    note,
    print_json,
    printable,
    progress,
    read_signer,
    read_source,
    report_error,
)
from faceflex.faces import MIN_SCORE

if TYPE_CHECKING:
    from faceflex.edit.clip_options import ClipOptions
    from faceflex.edit.editor import Editor
    from faceflex.errors import FaceflexError

_MOST_FRAMES, _MOST_FPS = 10_000, 120.0
_DEFAULT_SECONDS = {False: 2.0, True: 4.0}


def animate(
    photos: Annotated[
        list[str], typer.Argument(help="Photos, folders, patterns, or - for standard input.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="File of the clip: .mp4 (needs faceflex[video]), .gif or .webp; or a folder, for"
            " several photos.  [default: PHOTO-smile.mp4]"
        ),
    ] = None,
    style: Annotated[
        str, typer.Option(metavar="spontaneous|posed", help="Kind of smile.")
    ] = "spontaneous",
    modes: Annotated[
        int,
        typer.Option(
            min=0, max=7, help="More smiles, different from the usual one: OUT-1 to OUT-7."
        ),
    ] = 0,
    frames: Annotated[
        int | None,
        typer.Option(min=2, max=_MOST_FRAMES, help="Frames.  [default: 2 s; with --loop 4 s]"),
    ] = None,
    fps: Annotated[float, typer.Option(help="Frames a second.")] = 25.0,
    intensity: Annotated[
        float, typer.Option(help="How far the smile goes: 0 to 1.5; 1 as it was learned.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Varies timing, blinks and shape.")] = 0,
    loop: Annotated[
        bool, typer.Option("--loop", help="Go back to rest, so that the clip can be repeated.")
    ] = False,
    grid: Annotated[
        bool, typer.Option("--grid", help="One clip, with the smiles side by side.")
    ] = False,
    landmarks: Annotated[
        bool, typer.Option("--landmarks", help="Also write clips with the landmarks drawn.")
    ] = False,
    still: Annotated[
        float | None,
        typer.Option(
            metavar="T",
            help="Write one moment of the clip, 0 to 1, as a photo at full size; OUT is a photo.",
        ),
    ] = None,
    max_side: Annotated[
        int | None,
        typer.Option(
            min=16,
            help="Long side of the frames in pixels.  [default: 1920 for MP4, 1280 for WebP, 640"
            " for GIF]",
        ),
    ] = None,
    face: FaceOption = None,
    provenance: ProvenanceOption = True,
    strip: StripOption = False,
    sign_certificate: CertificateOption = None,
    sign_key: KeyOption = None,
    overwrite: OverwriteOption = False,
    dry_run: DryRunOption = False,
    reference: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            metavar="SEQUENCES TRANSLATION",
            help="Use CMM-Net's own networks, of 64 pixels, from these files (see: faceflex train"
            " cmm-net).",
        ),
    ] = None,
    content: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="Renderer of teeth; exemplars needs none.")
    ] = "content",
    landmark_model: LandmarkModelOption = "landmarks68",
    detector: DetectorOption = "hog",
    min_score: MinScoreOption = MIN_SCORE,
    device: DeviceOption = "auto",
    offline: OfflineOption = False,
    json_: JsonOption = False,
) -> None:
    """Make videos in which the faces of a photo begin to smile, each in a way of its own.

    The first frame is the photo; outside the faces nothing ever changes. Every face of a photo has
    its own smile.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from faceflex.edit.clip import ClipRequest
    from faceflex.edit.clip_options import ClipOptions
    from faceflex.edit.selection import check_selector
    from faceflex.errors import UsageError

    check_choice("--style", style, ("spontaneous", "posed"))
    check_choice("--detector", detector, ("hog", "cnn"))
    check_choice("--device", device, ("auto", "cpu", "cuda", "mps"))
    if not 1 <= fps <= _MOST_FPS:
        raise UsageError(f"--fps {fps:g}: needs 1 to {_MOST_FPS:g}")
    if not 0 < intensity <= 3:
        raise UsageError(f"--intensity {intensity:g}: needs more than 0, and 3 at most")
    if still is not None and not 0 <= still <= 1:
        raise UsageError(f"--still {still:g}: needs a moment from 0 (rest) to 1 (the end)")
    if still is not None and grid:
        raise UsageError("--still and --grid: give one of them")
    for one in face or ():
        check_selector(one)
    if intensity > 1.5:
        note("intensity: was measured up to 1.5; beyond, faces may come apart")
    count = frames or max(2, round(_DEFAULT_SECONDS[loop] * fps))
    names = expand(photos)
    targets = _targets(names, out, still=still is not None)
    go_offline(offline)
    signer = read_signer(sign_certificate, sign_key)
    from faceflex.api import make_editor

    editor = make_editor(
        "smile-video" if reference is None else "cmm-net",
        model=None if reference is None else str(reference[0]),
        vectors=None if reference is None else str(reference[1]),
        landmark_model=landmark_model,
        detector=detector,
        min_score=min_score,
        device=device,
        seed=seed,
        content=content,
    )
    settings = editor.method.resolve(
        {
            "intensity": intensity,
            "spontaneous": float(style == "spontaneous"),
            "loop": float(loop),
            "seconds": (count - 1) / fps,
        }
    )
    options = ClipOptions(
        ClipRequest(settings, modes, count),
        tuple(face or ()),
        fps,
        grid,
        landmarks,
        still,
        max_side,
        provenance,
        strip,
        signer,
        overwrite,
    )
    code = (_foresee if dry_run else _run)(names, targets, options, editor, json_)
    if code:
        raise typer.Exit(code)


def _targets(names: list[str], out: Path | None, *, still: bool) -> list[Path]:
    """Return the file of each photo's first clip.

    Raises
    ------
    UsageError
        If one file is to hold several photos' clips.
    """
    from faceflex.cli.edit_targets import distinct_stems
    from faceflex.errors import UsageError

    suffixes = [(Path(n).suffix or ".png") if still else ".mp4" for n in names]
    stems = distinct_stems(names)
    if out is not None and (out.suffix and not out.is_dir()):
        if len(names) > 1:
            raise UsageError(f"--out {out}: is one file; {len(names)} photos; give a folder")
        return [out]
    folder = out or Path()
    pairs = zip(stems, suffixes, strict=True)
    return [folder / f"{stem}-smile{suffix}" for stem, suffix in pairs]


def _run(
    names: list[str], targets: list[Path], options: ClipOptions, editor: Editor, json_: bool
) -> int:
    """Make the clips of photo after photo; return the exit code."""
    from faceflex.edit.clip_job import make_clips
    from faceflex.errors import FaceflexError, describe_unexpected

    errors: list[FaceflexError] = []
    made: list[str] = []
    for argument, target in zip(names, targets, strict=True):
        said = False
        try:
            source, name = read_source(argument)
            with progress("animating", None) as advance:
                for result in make_clips(source, name, target, options, editor, advance):
                    made.append(result.output)
                    if json_:
                        print_json(result.as_json())
                    if result.notes and not said:
                        note(f"{name}: {'; '.join(result.notes)}")
                    said = True
        except FaceflexError as error:
            errors.append(error)
        except Exception as error:
            if os.environ.get("FACEFLEX_DEBUG"):
                raise
            errors.append(FaceflexError(f"{argument}: {describe_unexpected(error)}"))
        else:
            continue
        report_error(errors[-1])
        if json_:
            print_json({"photo": argument, "output": None, "error": str(errors[-1])})
    if made:
        more = f" and {len(made) - 1} more" if len(made) > 1 else ""
        note(f"written to {made[0]}{more}")
    codes = {error.exit_code for error in errors}
    return 0 if not errors else codes.pop() if len(errors) == len(names) and len(codes) == 1 else 1


def _foresee(
    names: list[str], targets: list[Path], options: ClipOptions, editor: Editor, json_: bool
) -> int:
    """Print what a run would write; return the exit code."""
    from faceflex.edit.clip_options import planned_clips
    from faceflex.errors import PhotoError
    from faceflex.photo.load import read_header

    code = 0
    for name, target in zip(names, targets, strict=True):
        plan = planned_clips(target, options)
        try:
            if name != "-":
                read_header(name)
        except PhotoError as error:
            code = 1
            report_error(error)
            if json_:
                print_json({"photo": name, "output": None, "would": "fail", "error": str(error)})
            continue
        for clip in plan:
            act = "fail" if clip.path.exists() and not options.overwrite else "write"
            code = 1 if act == "fail" else code
            if json_:
                row = {"photo": name, "output": str(clip.path), "would": act}
                print_json(row | {"modes": list(clip.modes), "frames": options.request.frames})
            else:
                typer.echo(f"{act}\t{printable(str(clip.path))}")
    return code
