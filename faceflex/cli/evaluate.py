"""``faceflex evaluate``: what edits did, in figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from faceflex.cli.common import (
    DetectorOption,
    DeviceOption,
    JsonOption,
    LandmarkModelOption,
    MinScoreOption,
    OfflineOption,
    check_choice,
    expand,
    go_offline,
    note,
    print_json,
    progress,
    read_source,
    report_error,
)
from faceflex.cli.realism import (
    PersonOption,
    PlaceOption,
    check_person,
    check_place,
    read_faces,
    realism,
)
from faceflex.faces import MIN_SCORE
from faceflex.methods.registry import DEFAULT

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from faceflex.edit.editor import Editor
    from faceflex.evaluate.edit_realism import EditRealism
    from faceflex.evaluate.edits import Instruments
    from faceflex.evaluate.realism import Realism
    from faceflex.evaluate.report import Report

app = typer.Typer(help="Measure what edits do.", no_args_is_help=True, rich_markup_mode=None)
app.command("realism")(realism)


@app.callback()
def _root() -> None:
    pass


@app.command("edits")
def edits(
    photos: Annotated[list[str], typer.Argument(help="Photos, folders or patterns.")],
    attr: Annotated[str, typer.Option(metavar="NAME", help="Attribute to sweep.")],
    range_: Annotated[
        tuple[float, float, float],
        typer.Option("--range", metavar="START STOP STEP", help="Strengths: START in, STOP out."),
    ] = (0.5, 2.5, 0.5),
    real: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PHOTO",
            help="For each photo, in the same order, one of the same person that shows what the"
            " edit should: photos, folders or patterns; repeatable.",
        ),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PHOTO",
            help="Real photos, of anybody, that show what the edits should: also measure how well"
            " a small network tells the edits from them (20 faces or more); repeatable.",
        ),
    ] = None,
    place: PlaceOption = "mouth",
    person: PersonOption = None,
    out: Annotated[Path, typer.Option(help="Folder for report.json, .csv and .png.")] = Path(
        "evaluation"
    ),
    mode: Annotated[
        str,
        typer.Option(metavar="transfer|difference|paste", help="How edits get into the photo."),
    ] = "transfer",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a report.")] = False,
    method: Annotated[str, typer.Option(metavar="NAME", help="Way to edit.")] = DEFAULT,
    model: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="Face model.  [default: vae]")
    ] = None,
    vectors: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="Its vectors.  [default: vectors]")
    ] = None,
    judge: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="Attribute classifier that measures.")
    ] = "judge",
    landmark_model: LandmarkModelOption = "landmarks68",
    detector: DetectorOption = "hog",
    min_score: MinScoreOption = MIN_SCORE,
    device: DeviceOption = "auto",
    offline: OfflineOption = False,
    json_: JsonOption = False,
) -> None:
    """Edit photos and measure the results; nothing of them is kept but the report.

    For each face and strength: the score of a classifier that took no part in editing, the
    identity distance (dlib's descriptor; under 0.6 is the same person, a real smile moves it by
    about 0.25), sharpness and noise kept, the colour change of cheeks and forehead, the seam,
    pixels changed outside the face; with --real how much nearer the edit comes to the real
    picture; with --against how well edits are told from real photos (see evaluate realism).
    """
    from faceflex.compose.composer import MODES
    from faceflex.edit.request import strengths
    from faceflex.errors import UsageError

    check_choice("--mode", mode, MODES)
    check_choice("--detector", detector, ("hog", "cnn"))
    check_place(place)
    check_person(person)
    go_offline(offline)
    values = [v for v in strengths(*range_) if v]
    if not values:
        raise UsageError("--range: has no strength but 0")
    names, goals = expand(photos), expand(real or [])
    if goals and len(goals) != len(names):
        raise UsageError(
            f"--real: names {len(goals)} photos, for {len(names)} to edit; each needs one "
            "(a folder, or a pattern in quotes, names several)"
        )
    from faceflex.api import make_editor
    from faceflex.evaluate.edit_realism import EditRealism
    from faceflex.evaluate.edits import Instruments
    from faceflex.evaluate.report import Report

    editor = make_editor(
        method,
        model=model,
        vectors=vectors,
        landmark_model=landmark_model,
        detector=detector,
        min_score=min_score,
        device=device,
        mode=mode,
    )
    ((attribute, _),) = editor.method.resolve({attr: values[0]})
    instruments = Instruments(judge)
    instruments.column(attribute)
    report = Report(out, attribute, values, overwrite=overwrite)
    collector = unread = None
    if against:
        found, unread = read_faces(
            expand(against), editor.finder, instruments.landmarks, place, person, "real faces"
        )
        collector = EditRealism(found, place, instruments.landmarks)
    failed, faceless = _measure(editor, instruments, report, names, goals, json_, collector, person)
    if not report.rows:
        raise typer.Exit(3 if faceless == len(names) else 1)
    summary = report.write(
        editor, instruments.landmarks_name, _measure_realism(collector) if collector else {}
    )
    for line in summary["strengths"]:
        told = line.get("realism")
        note(
            f"{attribute} {line['strength']:g}: {line['passed']:.0%} of {line['faces']} pass, "
            f"identity {line['identity_median']:.3f}, colour {line['colour_change']:.1f}, "
            f"sharpness {line['sharpness_hull']:.2f}"
            + (
                f", told from real {told['auc']:.3f}, covered {told['covered']['auc']:.3f}"
                if told
                else ""
            )
        )
    note(f"written to {out / 'report.json'}, report.csv and report.png")
    if failed or unread:
        raise typer.Exit(1)


def _measure_realism(collector: EditRealism) -> dict[float, Realism]:
    """Measure realism; say so where it cannot be measured, as the other figures can."""
    from faceflex.errors import UsageError

    with progress("training", None) as advance:
        try:
            return collector.measure(advance)
        except UsageError as error:
            note(f"realism is not measured: {error}")
            return {}


def _measure(
    editor: Editor,
    instruments: Instruments,
    report: Report,
    names: list[str],
    goals: list[str],
    json_: bool,
    collector: EditRealism | None,
    person: str | None,
) -> tuple[int, int]:
    """Measure photo after photo; return how many failed, and how many of them had no face."""
    from faceflex.errors import FaceflexError, NoFaceError
    from faceflex.evaluate.edits import evaluate_photo
    from faceflex.evaluate.realism_faces import person_of
    from faceflex.photo import load_photo

    def load(argument: str) -> NDArray[np.uint8]:
        source, name = read_source(argument)
        return load_photo(source, name).rgb

    failed, faceless = 0, 0
    with progress("measuring", len(names)) as advance:
        for number, name in enumerate(names):
            try:
                rgb = load(name)
                real = load(goals[number]) if goals else None
                faces = editor.finder.find(rgb)
                attribute, values = report.attribute, report.values
                measured: list[tuple[dict[str, Any], NDArray[np.uint8]]] = list(
                    evaluate_photo(
                        editor,
                        instruments,
                        name,
                        rgb,
                        attribute,
                        values,
                        real=real,
                        faces=faces,
                    )
                )
                report.add(rgb, faces, measured)
                points = {f.index: f.points for f in faces}
                for row, picture in measured if collector else ():
                    assert collector is not None
                    collector.add(
                        row["strength"], picture, points[row["face"]], person_of(name, person)
                    )
                for row, _ in measured if json_ else ():
                    print_json(row)
            except FaceflexError as error:
                failed += 1
                faceless += isinstance(error, NoFaceError)
                report_error(error)
                if json_:
                    print_json({"photo": name, "error": str(error)})
            advance(number + 1, len(names))
    return failed, faceless


@app.command("vectors")
def vectors(
    data: Annotated[Path, typer.Argument(help="CelebA's folder, with landmarks beside it.")],
    files: Annotated[list[str], typer.Argument(help="Vector files, or registered names.")],
    model: Annotated[str, typer.Option(metavar="NAME|FILE", help="Their face model.")] = "vae",
    attr: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Attribute; all by default; repeatable."),
    ] = None,
    keep: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="As for edit; repeatable.")
    ] = None,
    watch: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Also print how far this one changes; repeatable."),
    ] = None,
    faces: Annotated[int, typer.Option(min=1, help="Faces for each attribute.")] = 40,
    strength: Annotated[
        list[float] | None, typer.Option(help="Repeatable.  [default: 1, 2 and 3]")
    ] = None,
    gain: Annotated[
        float, typer.Option(help="Gain of the classifier's logit at which files are compared.")
    ] = 3.0,
    write: Annotated[
        bool, typer.Option("--write", help="Write how often edits succeed into the files.")
    ] = False,
    offline: OfflineOption = False,
) -> None:
    """Measure how well attributes can be edited, and what else changes.

    Edits held-out photos with each vector file; prints a JSON object for each file and attribute,
    and on standard error a table that compares the files at an equal gain.
    """
    go_offline(offline)
    from faceflex.evaluate.vectors import comparison, evaluate_vectors

    rows = []
    for row in evaluate_vectors(
        data,
        files,
        model=model,
        attributes=attr or (),
        condition_on=keep or (),
        watched=watch or (),
        faces=faces,
        strengths=strength or (1.0, 2.0, 3.0),
        gain=gain,
        write=write,
    ):
        print_json(row)
        rows.append(row)
    for line in comparison(rows):
        note(line)


@app.command("reconstruction")
def reconstruction(
    data: Annotated[list[Path], typer.Argument(help="Folders of face sets.")],
    model: Annotated[str, typer.Option(metavar="NAME|FILE", help="Face model.")] = "vae",
    vectors: Annotated[
        str, typer.Option(metavar="NAME|FILE|none", help="Its vectors, for the landmark readout.")
    ] = "vectors",
    features: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Feature extractor, for a perceptual distance."),
    ] = None,
    cache: Annotated[Path, typer.Option(help="Folder of the sets' aligned faces.")] = Path("cache"),
    offline: OfflineOption = False,
) -> None:
    """Measure how well a face model reconstructs held-out faces; prints a JSON object."""
    go_offline(offline)
    from faceflex.evaluate.reconstruction import evaluate_model

    readout = None if vectors == "none" else vectors
    figures = evaluate_model(data, cache, model=model, vectors=readout, features=features)
    print_json(figures)


@app.command("landmarks")
def landmarks(
    data: Annotated[
        Path, typer.Argument(help="Folder of hand-labelled faces: images/ and landmarks68.csv.")
    ],
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|FILE", help="Landmark predictor; repeatable.  [default: landmarks68]"
        ),
    ] = None,
    offline: OfflineOption = False,
) -> None:
    """Measure how far landmark predictors are off; prints a JSON object for each."""
    go_offline(offline)
    from faceflex.evaluate.landmarks import evaluate_landmarks

    for row in evaluate_landmarks(data, model or ["landmarks68"]):
        print_json(row)
