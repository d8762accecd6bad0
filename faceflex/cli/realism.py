"""``faceflex evaluate realism``: how well edited faces are told from real ones."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from faceflex.cli.common import (
    DetectorOption,
    JsonOption,
    MinScoreOption,
    OfflineOption,
    check_choice,
    expand,
    go_offline,
    print_json,
    print_table,
    progress,
    read_source,
    report_error,
)
from faceflex.errors import UsageError
from faceflex.faces import MIN_SCORE

if TYPE_CHECKING:
    from faceflex.evaluate.realism_faces import RealismFace
    from faceflex.faces.find import FaceFinder
    from faceflex.faces.landmarks import LandmarkModel

PlaceOption = Annotated[
    str, typer.Option(metavar="mouth|face", help="The place that edits change, for realism.")
]
PersonOption = Annotated[
    str | None,
    typer.Option(
        metavar="PATTERN",
        help="Regular expression of what names the person in a photo's path (its first group, if"
        " it has one), for realism.  [default: the file's name, without -edited]",
    ),
]


def realism(
    real: Annotated[
        list[str],
        typer.Argument(help="Real photos that show what edits should: files, folders, patterns."),
    ],
    edited: Annotated[
        list[str],
        typer.Option(metavar="PHOTO", help="Edited photos, folders or patterns; repeatable."),
    ],
    place: PlaceOption = "mouth",
    person: PersonOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Of folds and trainings.")] = 0,
    detector: DetectorOption = "hog",
    min_score: MinScoreOption = MIN_SCORE,
    offline: OfflineOption = False,
    json_: JsonOption = False,
) -> None:
    """Measure how well a small network tells edited faces from real ones.

    It is trained anew in five folds, and asked about persons that it has not seen: the area under
    the ROC curve is 0.5 where nothing tells them apart, 1 where everything does, with a 95 %
    interval. As a control it is trained again with the changed place covered. Give 100 faces a
    side or more; the area rises with their number.
    """
    check_place(place)
    check_person(person)
    check_choice("--detector", detector, ("hog", "cnn"))
    go_offline(offline)
    sides = {"real": expand(real), "edited": expand(edited)}
    if both := set(sides["real"]) & set(sides["edited"]):
        raise UsageError(f"--edited: {min(both)} is among the real photos")
    from faceflex.evaluate.edits import Instruments
    from faceflex.evaluate.realism import check_faces, realism_auc
    from faceflex.faces.find import FaceFinder

    finder, landmarks = FaceFinder(detector=detector, min_score=min_score), Instruments().landmarks
    faces, failed = {}, 0
    for side, names in sides.items():
        faces[side], errors = read_faces(names, finder, landmarks, place, person, f"{side} faces")
        failed += errors
        check_faces(faces[side], side)
    with progress("training", None) as advance:
        found = realism_auc(
            faces["real"], faces["edited"], place=place, seed=seed, progress=advance
        )
    if json_:
        print_json({"place": place, "seed": seed} | found.as_dict())
    else:
        header = ("place", "edited", "real", "told from real: AUC", "control, covered: AUC")
        row = (place, str(found.edited), str(found.real), str(found.seen), str(found.covered))
        print_table(header, [row])
    if failed:
        raise typer.Exit(1)


def check_place(place: str) -> None:
    """Raise ``UsageError`` unless it is one of the places."""
    from faceflex.evaluate.realism_faces import PLACES

    check_choice("--place", place, list(PLACES))


def check_person(pattern: str | None) -> None:
    """Raise ``UsageError`` unless it is a regular expression."""
    try:
        re.compile(pattern or "")
    except re.error as error:
        raise UsageError(f"--person {pattern}: is no regular expression ({error})") from None


def read_faces(
    names: list[str],
    finder: FaceFinder,
    landmarks: LandmarkModel,
    place: str,
    person: str | None,
    text: str,
) -> tuple[list[RealismFace], int]:
    """Find the faces of photos; return them, and how many photos failed or had none."""
    from faceflex.edit.selection import NO_FACE
    from faceflex.errors import FaceflexError, NoFaceError
    from faceflex.evaluate.realism_faces import find_realism_faces, person_of
    from faceflex.photo import load_photo

    faces: list[RealismFace] = []
    failed = 0
    with progress(f"finding {text}", len(names)) as advance:
        for number, argument in enumerate(names):
            source, name = read_source(argument)
            try:
                rgb = load_photo(source, name).rgb
                whom = person_of(name, person)
                found = list(
                    find_realism_faces(rgb, whom, finder=finder, landmarks=landmarks, place=place)
                )
                if not found:
                    raise NoFaceError(f"{name}: {NO_FACE}")
                faces += found
            except FaceflexError as error:
                failed += 1
                report_error(error)
            advance(number + 1, len(names))
    return faces, failed
