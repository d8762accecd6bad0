"""``faceflex edit``: photos in, edited photos out."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faceflex.cli.common import (
    CertificateOption,
    ClusterOption,
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
    expand_with_folders,
    go_offline,
    read_signer,
    whole_path,
)
from faceflex.cli.edit_plane import PlaneOptions, PlaneOutputs, run_plane
from faceflex.cli.edit_request import (
    checked_request,
    make_request,
    method_name,
    say_limits,
    with_feeling,
    with_sweeps,
)
from faceflex.cli.edit_run import foresee, run
from faceflex.cli.edit_targets import make_targets
from faceflex.faces import MIN_SCORE

if TYPE_CHECKING:
    pass


def edit(
    photos: Annotated[
        list[str], typer.Argument(help="Photos, folders, patterns, or - for standard input.")
    ],
    attr: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Attribute to sweep; may be given several times."),
    ] = None,
    range_: Annotated[
        tuple[float, float, float] | None,
        typer.Option(
            "--range",
            metavar="START STOP STEP",
            help="Strengths: START in, STOP out. 1 is the mean distance between the classes.  "
            "[default: 0 2.5 0.5]",
        ),
    ] = None,
    samples: Annotated[int, typer.Option(help="Versions of each attribute to draw.")] = 1,
    seed: Annotated[int, typer.Option(help="Fixes which versions are drawn.")] = 0,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=STRENGTH|auto",
            help="Apply together, in one picture; repeatable. auto: see --until.",
        ),
    ] = None,
    until: Annotated[
        float | None,
        typer.Option(
            metavar="SCORE",
            help="Find for each face the smallest strength at which a classifier sees --attr with"
            " this probability; below 0.5, at which it no longer does.  [default for auto: 0.8]",
        ),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Attribute that the edit should leave as it is; repeatable."
        ),
    ] = None,
    feeling: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Valence and arousal of a feeling: happy, sad, angry, afraid, surprised, disgusted"
            " or calm.",
        ),
    ] = None,
    strength: Annotated[
        float | None,
        typer.Option(help="How far from neutral to --feeling.", show_default="1"),
    ] = None,
    circumplex: Annotated[
        bool,
        typer.Option(
            "--circumplex",
            help="Write a sheet of the face all over the plane of valence and arousal,"
            " PHOTO-circumplex.png.",
        ),
    ] = False,
    circumplex_steps: Annotated[
        int | None, typer.Option(help="Places along a side of the sheet.", show_default="7")
    ] = None,
    path: Annotated[
        str | None,
        typer.Option(
            metavar='"V,A V,A ..."',
            help="Write a moving picture along a path through the plane, PHOTO-path.gif; -o"
            " FILE.webp, FILE.mp4.",
        ),
    ] = None,
    frames: Annotated[int | None, typer.Option(help="Frames of --path.", show_default="48")] = None,
    face: FaceOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the results, or the file of a single picture.  [default:"
            " PHOTO-ATTRIBUTE/ for a sweep, PHOTO-edited.ext for --set, FOLDER-edited/ for the"
            " photos of a folder, under their own names]"
        ),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("-o", metavar="FILE", help="File for a single picture; - too.")
    ] = None,
    landmarks: Annotated[
        bool, typer.Option("--landmarks", help="Also write the photo with its landmarks drawn.")
    ] = False,
    sheet: Annotated[bool, typer.Option(help="Write a contact sheet of a sweep.")] = True,
    detail: Annotated[
        bool, typer.Option(help="Keep the photo's own detail; without it, paste the decode.")
    ] = True,
    provenance: ProvenanceOption = True,
    strip: StripOption = False,
    sign_certificate: CertificateOption = None,
    sign_key: KeyOption = None,
    sign_timestamp: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Have signatures dated by this time stamp authority."),
    ] = None,
    max_identity_distance: Annotated[
        float | None,
        typer.Option(
            metavar="DISTANCE",
            help="Refuse pictures in which a face moves farther than this from who it was (dlib's"
            " descriptor: a real smile about 0.25, another person 0.6).",
        ),
    ] = None,
    explain: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Also write pictures of the stages of the edit."),
    ] = None,
    overwrite: OverwriteOption = False,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Leave outputs that are there alone.")
    ] = False,
    edited_too: Annotated[
        bool,
        typer.Option(
            "--edited-too", help="Of folders, also edit what faceflex made (its XMP says so)."
        ),
    ] = False,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Stop at the first photo that fails.")
    ] = False,
    dry_run: DryRunOption = False,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Processes for many photos; all cores by default."),
    ] = None,
    cluster: ClusterOption = None,
    method: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Way to edit.  [default: attribute-vectors]"),
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="Face model.  [default: vae]")
    ] = None,
    vectors: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="Its vectors.  [default: vectors]")
    ] = None,
    content: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Renderer of what the photo does not have, such as teeth; exemplars does"
            " without a network.  [default: content]",
        ),
    ] = None,
    landmark_model: LandmarkModelOption = "landmarks68",
    detector: DetectorOption = "hog",
    min_score: MinScoreOption = MIN_SCORE,
    device: DeviceOption = "auto",
    offline: OfflineOption = False,
    json_: JsonOption = False,
    *,
    controls: dict[str, float] | None = None,
    sweeps: dict[str, tuple[float, float, float]] | None = None,
) -> None:
    """Edit the faces of photos.

    A sweep (--attr with --range) writes OUT/sample-1/STRENGTH-ATTRIBUTE.ext and OUT/sheet.png; with
    --until instead of --range, one picture at the smallest strength that does it. With --set alone,
    one picture a photo is written.
    """
    # Photos and outputs are spread over the cores; the small matrices of each are not worth it.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from faceflex.edit.selection import check_selector
    from faceflex.errors import UsageError

    if overwrite and skip_existing:
        raise UsageError("--overwrite and --skip-existing: give one of them")
    check_choice("--detector", detector, ("hog", "cnn"))
    check_choice("--device", device, ("auto", "cpu", "cuda", "mps"))
    for one in face or ():
        check_selector(one)
    go_offline(offline)
    plane = PlaneOptions(circumplex, circumplex_steps, path, frames)
    plane.check()
    controls = with_feeling(controls or {}, feeling, strength)
    if plane:
        given = bool(attr or set_ or controls or sweeps)
        _check_alone(given, cluster is not None)
        controls = {"valence": 0.0}
    method = method_name(method, [*controls, *(sweeps or {})])
    attr, range_ = with_sweeps(attr or [], range_, sweeps or {})
    request = make_request(attr, range_, samples, set_ or [], controls, until)
    signer = read_signer(sign_certificate, sign_key, sign_timestamp)
    if signer is not None and cluster is not None:
        raise UsageError("--cluster: a private key is not sent to other machines; sign on this one")
    folders = expand_with_folders(photos)
    names = list(folders)
    if cluster is not None:
        names, explain = [whole_path(name) for name in names], explain and explain.absolute()
        model, vectors, content = (
            None if f is None else whole_path(f) for f in (model, vectors, content)
        )
        landmark_model = whole_path(landmark_model)
    if max_identity_distance is not None:
        _check_distance(max_identity_distance)
    from faceflex.api import make_editor
    from faceflex.edit.options import EditOptions, inodes

    editor = make_editor(
        method,
        model=model,
        vectors=vectors,
        keep=keep or (),
        landmark_model=landmark_model,
        detector=detector,
        min_score=min_score,
        device=device,
        seed=seed,
        mode="transfer" if detail else "paste",
        content=content or "content",
    )
    request = checked_request(request, editor)
    if plane:
        places = PlaneOutputs(
            out, file, overwrite, skip_existing, provenance, json_, dry_run, signer
        )
        if code := run_plane(plane, editor, names, face or (), places):
            raise typer.Exit(code)
        return
    targets = make_targets(request, folders, out, file)
    if not edited_too:
        targets = [
            replace(target, skip_edited=folder is not None)
            for target, folder in zip(targets, folders.values(), strict=True)
        ]
    if cluster is not None:
        targets = [t.absolute() for t in targets]
    if cluster is not None and "-" in names:
        raise UsageError("--cluster: cannot read standard input; give files")
    if any(t.stdout for t in targets) and json_:
        raise UsageError("-o - and --json: both would use standard output; give -o a file")
    options = EditOptions(
        request,
        tuple(face or ()),
        sheet,
        landmarks,
        provenance,
        overwrite,
        skip_existing,
        identity=json_,
        max_identity_distance=max_identity_distance,
        explain=explain,
        strip=strip,
        signer=signer,
        protected=inodes(names),
        skipped_if_own=inodes(n for n, folder in folders.items() if folder and not edited_too),
    )
    say_limits(request, editor)
    if dry_run:
        code = foresee(options, names, targets, json_=json_)
    else:
        code = run(
            options,
            editor,
            names,
            targets,
            json_=json_,
            fail_fast=fail_fast,
            jobs=jobs,
            cluster=cluster,
        )
    if code:
        raise typer.Exit(code)


def _check_alone(edits: bool, elsewhere: bool) -> None:
    """Raise ``UsageError`` unless a sheet or a path is all that is asked for."""
    from faceflex.errors import UsageError

    if edits:
        raise UsageError("--circumplex and --path show the whole plane; give no other edit")
    if elsewhere:
        raise UsageError(
            "--cluster: other machines edit whole photos; --circumplex and --path show faces small,"
            " in seconds: draw them on this one"
        )


def _check_distance(most: float) -> None:
    """Raise ``UsageError`` unless identity distances can be measured and compared with ``most``."""
    from faceflex.assets.registry import find_asset, locate
    from faceflex.cli.edit_run import GET_DESCRIPTOR
    from faceflex.errors import UsageError

    if not most > 0:
        raise UsageError(f"--max-identity-distance {most:g}: needs more than 0")
    if locate(find_asset("dlib-descriptor")) is None:
        raise UsageError(f"--max-identity-distance: {GET_DESCRIPTOR}")
