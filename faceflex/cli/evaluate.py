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

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from faceflex.edit.editor import Editor
    from faceflex.evaluate.edits import Instruments
    from faceflex.evaluate.report import Report

app = typer.Typer(help="Measure what edits do.", no_args_is_help=True, rich_markup_mode=None)


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
    out: Annotated[Path, typer.Option(help="Folder for report.json, .csv and .png.")] = Path(
        "evaluation"
    ),
    method: Annotated[
        str, typer.Option(metavar="transfer|difference|paste", help="How edits get in.")
    ] = "transfer",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a report.")] = False,
    model: Annotated[str, typer.Option(metavar="NAME|FILE", help="Face model.")] = "vae",
    vectors: Annotated[str, typer.Option(metavar="NAME|FILE", help="Its vectors.")] = "vectors",
    judge: Annotated[str, typer.Option(metavar="NAME|FILE", help="Attribute judge.")] = "judge",
    landmark_model: LandmarkModelOption = "landmarks68",
    detector: DetectorOption = "hog",
    device: DeviceOption = "auto",
    offline: OfflineOption = False,
    json_: JsonOption = False,
) -> None:
    """Edit photos and measure the results; nothing of them is kept but the report.

    For each face and strength: the score of a judge that took no part in editing, the identity
    distance (dlib's descriptor; under 0.6 is the same person, a real smile moves it by about 0.25),
    sharpness and noise kept, the colour change of cheeks and forehead, the seam, pixels changed
    outside the face; and with --real how much nearer the edit comes to the real picture.
    """
    from faceflex.edit.request import strengths
    from faceflex.errors import UsageError

    check_choice("--method", method, ("transfer", "difference", "paste"))
    check_choice("--detector", detector, ("hog", "cnn"))
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
    from faceflex.edit.editor import Editor
    from faceflex.evaluate.edits import Instruments
    from faceflex.evaluate.report import Report

    editor = Editor(model, vectors, landmark_model, detector=detector, device=device, method=method)
    attribute = editor.vectors.find(attr)
    tools = Instruments(judge)
    tools.column(attribute)
    report = Report(out, attribute, values, overwrite=overwrite)
    failed, faceless = _measure(editor, tools, report, names, goals, json_)
    if not report.rows:
        raise typer.Exit(3 if faceless == len(names) else 1)
    summary = report.write(tools.landmarks_name, editor.model_id, method)
    for line in summary["strengths"]:
        note(
            f"{attribute} {line['strength']:g}: {line['passed']:.0%} of {line['faces']} pass, "
            f"identity {line['identity_median']:.3f}, colour {line['colour_change']:.1f}, "
            f"sharpness {line['sharpness_hull']:.2f}"
        )
    note(f"written to {out / 'report.json'}, report.csv and report.png")
    if failed:
        raise typer.Exit(1)


def _measure(
    editor: Editor,
    tools: Instruments,
    report: Report,
    names: list[str],
    goals: list[str],
    json_: bool,
) -> tuple[int, int]:
    """Measure photo after photo; return how many failed, and how many of them had no face."""
    from faceflex.errors import FaceflexError, NoFaceError
    from faceflex.evaluate.edits import evaluate_photo
    from faceflex.photo import load_photo

    def load(argument: str) -> NDArray[np.uint8]:
        source, name = read_source(argument)
        return load_photo(source, name).rgb

    failed, faceless = 0, 0
    with progress("measuring", len(names)) as advance:
        for number, name in enumerate(names):
            try:
                rgb = load(name)
                aim = load(goals[number]) if goals else None
                faces = editor.find_faces(rgb)
                found: list[tuple[dict[str, Any], NDArray[np.uint8]]] = list(
                    evaluate_photo(
                        editor,
                        tools,
                        name,
                        rgb,
                        report.attribute,
                        report.values,
                        real=aim,
                        faces=faces,
                    )
                )
                report.add(rgb, faces, found)
                for row, _ in found if json_ else ():
                    print_json(row)
            except FaceflexError as error:
                failed += 1
                faceless += isinstance(error, NoFaceError)
                report_error(error)
                if json_:
                    print_json({"photo": name, "error": str(error)})
            advance(number + 1, len(names))
    return failed, faceless
