"""``faceflex train years`` and ``faceflex train age``: what years do to faces."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faceflex.cli.common import DeviceOption, note, progress, require_folder_of
from faceflex.cli.train import (
    BatchOption,
    CacheOption,
    DataArgument,
    FolderOption,
    RateOption,
    SeedOption,
    StepsOption,
    train_objective,
)

if TYPE_CHECKING:
    from faceflex.data.cache import AlignedCache
    from faceflex.train.age import AgeObjective
    from faceflex.train.workers import Workers


def years(
    data: Annotated[Path, typer.Argument(help="UTKFace, landmarks beside it.")],
    out: Annotated[Path, typer.Option(help="File to write.")],
    classifier: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE",
            help="Attribute classifier that tells glasses, beards and expressions apart from age.",
        ),
    ] = "judge",
) -> None:
    """Fit what years do to faces: means of shape, color and detail at each age."""
    from faceflex.assets import resolve
    from faceflex.data.years_faces import read_years
    from faceflex.models.attribute_classifier import load_classifier
    from faceflex.train.years import fit_years

    require_folder_of(out)
    judge = load_classifier(resolve(classifier))
    with progress("reading", None) as advance:
        faces = read_years(data, judge.scores, judge.config.names, advance)
    note(f"{len(faces.age):,} frontal faces of known age without glasses")
    fit_years(faces).save(out)
    note(f"written to {out}")


def age(
    data: DataArgument,
    out: FolderOption,
    steps: StepsOption = 3000,
    batch: BatchOption = 64,
    rate: RateOption = 3e-3,
    seed: SeedOption = 0,
    cache: CacheOption = Path("cache"),
    device: DeviceOption = "auto",
) -> None:
    """Train the regressor of ages; it resumes like the face model."""
    from faceflex.train.age import AgeObjective, AgeTraining

    config = AgeTraining(steps=steps, batch=batch, rate=rate, seed=seed)

    def make(faces: AlignedCache, workers: Workers) -> AgeObjective:
        return AgeObjective(faces, config, workers)

    metrics = train_objective(make, data, out, cache, device)
    if metrics:
        note(
            f"held out: mean error {metrics['mean_error']:.1f} years,"
            f" {metrics['children_taken_for_older']:.1%} of children taken for older,"
            f" {metrics['adults_taken_for_children']:.1%} of adults for children"
        )
