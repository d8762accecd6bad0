"""``faceflex faces``: what the detector sees."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from faceflex.cli.common import (
    DetectorOption,
    JsonOption,
    LandmarkModelOption,
    OfflineOption,
    check_choice,
    expand,
    go_offline,
    print_json,
    read_source,
    report_error,
)


def faces(
    photos: Annotated[list[str], typer.Argument(help="Photos, folders, or - for standard input.")],
    json_: JsonOption = False,
    detector: DetectorOption = "hog",
    landmark_model: LandmarkModelOption = "landmarks68",
    offline: OfflineOption = False,
) -> None:
    """Report the faces of photos: number, box, score, and with --json the 68 points."""
    from faceflex.errors import FaceflexError, NoFaceError
    from faceflex.faces.detect import DETECTORS

    check_choice("--detector", detector, list(DETECTORS))
    go_offline(offline)
    names = expand(photos)
    from faceflex.assets import resolve
    from faceflex.faces import find_faces
    from faceflex.faces.landmarks import LandmarkModel
    from faceflex.photo import load_photo

    model = LandmarkModel(resolve(landmark_model))
    rows: list[dict[str, Any]] = []
    failed, faceless = 0, 0
    for argument in names:
        source, name = read_source(argument)
        try:
            found = find_faces(load_photo(source, name).rgb, model, detector)
            if not found:
                raise NoFaceError(f"{name}: no face found")
        except FaceflexError as error:
            failed += 1
            faceless += isinstance(error, NoFaceError)
            report_error(error)
            if json_:
                print_json({"photo": name, "index": None, "error": str(error)})
            continue
        for face in found:
            row = {
                "photo": name,
                "index": face.index,
                "box": list(face.box),
                "score": round(face.score, 4),
                "points": [[round(float(x), 2), round(float(y), 2)] for x, y in face.points],
            }
            if json_:
                print_json(row)
            rows.append(row)
    if not json_ and rows:
        _table(rows)
    if failed:
        raise typer.Exit(3 if faceless == len(names) else 1)


def _table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("photo", "face", "left", "top", "right", "bottom", "score", box=None)
    for row in rows:
        table.add_row(row["photo"], str(row["index"]), *map(str, row["box"]), f"{row['score']:.2f}")
    Console(soft_wrap=True, markup=False, highlight=False).print(table)
