"""``faceflex faces``: what the detector sees."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from faceflex.cli.common import (
    DetectorOption,
    JsonOption,
    LandmarkModelOption,
    MinScoreOption,
    OfflineOption,
    check_choice,
    expand,
    go_offline,
    note,
    print_json,
    print_table,
    read_source,
    report_error,
)
from faceflex.faces import MIN_SCORE

if TYPE_CHECKING:
    from faceflex.faces import Face
    from faceflex.photo import Photo


def faces(
    photos: Annotated[list[str], typer.Argument(help="Photos, folders, or - for standard input.")],
    picture: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Also write each photo with its faces' boxes and numbers, as DIR/PHOTO-faces.ext.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace pictures that are there.")
    ] = False,
    smile: Annotated[
        bool, typer.Option(help="Estimate how much each face smiles, from -1 to 1.")
    ] = True,
    json_: JsonOption = False,
    min_score: MinScoreOption = MIN_SCORE,
    detector: DetectorOption = "hog",
    landmark_model: LandmarkModelOption = "landmarks68",
    offline: OfflineOption = False,
) -> None:
    """Report the faces of photos: number, box, score, smile, and with --json the 68 points.

    "Smile" is the degree that edit --smile sets: -1 is none at all, 1 a broad smile.

    "Edited" says whether edit would change the face without being told which: the detector is sure
    enough of it (--min-score).
    """
    from faceflex.errors import FaceflexError, NoFaceError
    from faceflex.faces.detect import DETECTORS

    check_choice("--detector", detector, list(DETECTORS))
    go_offline(offline)
    names = expand(photos)
    from faceflex.assets import resolve
    from faceflex.cli.edit_targets import distinct_stems
    from faceflex.edit.selection import NO_FACE
    from faceflex.faces import find_faces
    from faceflex.faces.landmarks import LandmarkModel
    from faceflex.methods.smile_degree import face_degrees
    from faceflex.photo import load_photo

    model = LandmarkModel(resolve(landmark_model))
    rows: list[dict[str, Any]] = []
    failed, faceless, pictures = 0, 0, 0
    for argument, stem in zip(names, distinct_stems(names), strict=True):
        source, name = read_source(argument)
        try:
            photo = load_photo(source, name)
            found = find_faces(photo.rgb, model, detector)
            if not found:
                raise NoFaceError(f"{name}: {NO_FACE}")
            if picture is not None:
                _draw(photo, found, picture / f"{stem}-faces{Path(argument).suffix}", overwrite)
                pictures += 1
            degrees = face_degrees(photo.rgb, found) if smile else [None] * len(found)
        except FaceflexError as error:
            failed += 1
            faceless += isinstance(error, NoFaceError)
            report_error(error)
            if json_:
                print_json({"photo": name, "index": None, "error": str(error)})
            continue
        estimates = _estimates(photo, found) if json_ else [{} for _ in found]
        for face, degree, estimate in zip(found, degrees, estimates, strict=True):
            row = {
                "photo": name,
                "index": face.index,
                "box": list(face.box),
                "score": round(face.score, 4),
                "edited": face.score >= min_score,
                "smile": degree,
                **estimate,
                "points": [[round(float(x), 2), round(float(y), 2)] for x, y in face.points],
            }
            if json_:
                print_json(row)
            rows.append(row)
    if not json_ and rows:
        _table(rows)
    if pictures:
        note(f"{pictures} picture{'s' * (pictures != 1)} written to {picture}")
    if failed:
        raise typer.Exit(3 if faceless == len(names) else 1)


def _estimates(photo: Photo, found: list[Face]) -> list[dict[str, Any]]:
    """Return each face's estimated valence and arousal, with the regressor's held-out error."""
    from faceflex.methods.valence_arousal import estimate_feelings

    estimates, error = estimate_feelings(photo.rgb, [face.points for face in found])
    return [
        {
            name: {"estimate": round(float(value), 3), "rmse": error[name]}
            for name, value in zip(("valence", "arousal"), place, strict=True)
        }
        for place in estimates
    ]


def _draw(photo: Photo, found: list[Face], path: Path, overwrite: bool) -> None:
    """Write a photo with its faces' boxes and numbers."""
    from faceflex.edit.contact_sheet import draw_faces
    from faceflex.photo import encode_photo, write_file
    from faceflex.photo.formats import FORMATS

    if not path.suffix:
        path = path.with_name(f"{path.name}{FORMATS[photo.format][0]}")
    write_file(path, encode_photo(photo, draw_faces(photo.rgb, found)), overwrite=overwrite)


def _table(rows: list[dict[str, Any]]) -> None:
    header = ("photo", "face", "left", "top", "right", "bottom", "score", "smile", "edited")
    cells = [
        (
            row["photo"],
            str(row["index"]),
            *map(str, row["box"]),
            f"{row['score']:.2f}",
            "-" if row["smile"] is None else f"{row['smile']:.2f}",
            "yes" if row["edited"] else "no",
        )
        for row in rows
    ]
    print_table(header, cells)
    if not all(row["edited"] for row in rows):
        note(
            "not edited: the detector is unsure of them; edit `min_score` or `face` says otherwise"
        )
