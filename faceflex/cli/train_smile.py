"""``faceflex train degree`` and ``faceflex train cvae``: the smile dial's networks."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from faceflex.cli.common import DeviceOption, note, progress
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
    from collections.abc import Callable

    from faceflex.data.cache import AlignedCache
    from faceflex.train.conv_autoencoder import ConvAutoencoderObjective
    from faceflex.train.degree import DegreeObjective
    from faceflex.train.objective import Objective
    from faceflex.train.smile_cvae import SmileCVAEObjective
    from faceflex.train.workers import Workers

    Make = Callable[[AlignedCache, Workers], Objective[Any, Any, Any]]

DegreesOption = Annotated[
    Path,
    typer.Option(
        metavar="FILE", help="CSV of smile degrees: columns file and degree (from -1 to 1)."
    ),
]


def _matched(path: Path, faces: AlignedCache) -> dict[str, float]:
    """Return the degrees of a face set's pictures, and say which names are unknown."""
    from faceflex.data.degrees import match_degrees

    found, unknown = match_degrees(path, faces.names)
    if unknown:
        note(
            f"{path}: {len(unknown)} of {len(found) + len(unknown)} names are no picture of the"
            f" face sets, like {unknown[0]}; left out"
        )
    return found


def degree(
    data: DataArgument,
    degrees: DegreesOption,
    out: FolderOption,
    steps: StepsOption = 2600,
    batch: BatchOption = 64,
    rate: RateOption = 2e-3,
    fold: Annotated[
        int, typer.Option(min=0, max=3, help="Quarter of the degrees that is held out.")
    ] = 0,
    seed: SeedOption = 60,
    cache: CacheOption = Path("cache"),
    device: DeviceOption = "auto",
) -> None:
    """Train the regressor of smile degrees: hand-made ones, and CelebA's Smiling labels."""
    from faceflex.data.degrees import read_degrees
    from faceflex.train.degree import DegreeObjective, DegreeTraining

    read_degrees(degrees)  # What is wrong with it is said before anything is aligned.
    config = DegreeTraining(steps=steps, batch=batch, rate=rate, fold=fold, seed=seed)

    def make(faces: AlignedCache, workers: Workers) -> DegreeObjective:
        return DegreeObjective(faces, _matched(degrees, faces), config, workers)

    metrics = train_objective(make, data, out, cache, device)
    if metrics:
        note(
            f"{metrics['held_out_degrees']} held-out degrees: Spearman correlation"
            f" {metrics['spearman']:.3f}, mean error {metrics['mean_error']:.3f}"
        )


class Config(str, Enum):
    """Named networks."""

    shared = "shared"
    smilecvae_2021 = "smilecvae-2021"
    smilevae_2021 = "smilevae-2021"
    smileae_2021 = "smileae-2021"


def cvae(
    data: DataArgument,
    degrees: DegreesOption,
    out: FolderOption,
    config: Annotated[
        Config,
        typer.Option(
            help="shared: encoder and decoder are the face model's; the others are small networks"
            " of their own, smilecvae-2021 in SmileCVAE's published sizes."
        ),
    ] = Config.shared,
    size: Annotated[
        int | None,
        typer.Option(min=16, max=128, help="Side of the faces.", show_default="128, or 50"),
    ] = None,
    regressor: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE|none",
            help="Gives faces without a hand-made degree one; none: learn from hand-made ones.",
        ),
    ] = "smile-degree",
    model: Annotated[str, typer.Option(metavar="NAME|FILE", help="Face model to share.")] = "vae",
    steps: Annotated[
        int | None, typer.Option(min=1, help="Batches in all.", show_default="3000, or 20000")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Faces in a batch.", show_default="256, or 8")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Peak learning rate.", show_default="5e-4, or 2e-4")
    ] = None,
    beta: Annotated[
        float | None,
        typer.Option(help="Weight of the KL term.", show_default="1, or SmileCVAE's weighting"),
    ] = None,
    gain: Annotated[
        float, typer.Option(help="How much more than a degree's effect an edit does.")
    ] = 2.2,
    gain_down: Annotated[float, typer.Option(help="The same, where the degree is lowered.")] = 1.5,
    seed: SeedOption = 70,
    cache: CacheOption = Path("cache"),
    device: DeviceOption = "auto",
) -> None:
    """Train the smile CVAE; run again with the same --out, it resumes where it stopped."""
    from faceflex.data.degrees import read_degrees
    from faceflex.errors import UsageError

    read_degrees(degrees)
    given = {"steps": steps, "batch": batch, "rate": rate, "beta": beta, "seed": seed}
    settings: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
    if config is Config.shared:
        if size not in (None, 128):
            raise UsageError(f"--size {size}: the face model has 128; use another --config")
        if regressor == "none":
            raise UsageError("--regressor none: needs a --config of its own networks")
        made = _shared_cvae(
            degrees, regressor, model, settings | {"gain": gain, "gain_down": gain_down}, cache
        )
    else:
        made = _own_cvae(degrees, regressor, config.value, size, settings)
    metrics = train_objective(made, data, out, cache, device)
    if metrics:
        note(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in metrics.items()))


def _shared_cvae(
    degrees: Path, regressor: str, model: str, settings: dict[str, Any], cache: Path
) -> Make:
    """Return what makes the objective of a CVAE that shares the face model."""
    from faceflex.assets import resolve
    from faceflex.assets.registry import sha256_of
    from faceflex.data.smile_faces import smile_faces
    from faceflex.models.checkpoint import load_network, load_vae
    from faceflex.models.degree_regressor import DegreeRegressor
    from faceflex.train.smile_cvae import SmileCVAEObjective, SmileCVAETraining

    network, identity = load_vae(resolve(model))
    judge = load_network(resolve(regressor), DegreeRegressor)
    known = f"{identity} {sha256_of(resolve(regressor))}"

    def make(faces: AlignedCache, workers: Workers) -> SmileCVAEObjective:
        by_hand = _matched(degrees, faces)
        with progress("encoding", None) as advance:
            encoded = smile_faces(faces, by_hand, network, judge, cache, known, advance)
        training = SmileCVAETraining(**settings)
        return SmileCVAEObjective(encoded, identity, training, model=network, workers=workers)

    return make


def _own_cvae(
    degrees: Path, regressor: str, config: str, size: int | None, settings: dict[str, Any]
) -> Make:
    """Return what makes the objective of a network of the convolutional family."""
    import numpy as np

    from faceflex.assets import resolve
    from faceflex.models.checkpoint import load_network
    from faceflex.models.conv_autoencoder import named_config
    from faceflex.models.degree_regressor import DegreeRegressor
    from faceflex.train.conv_autoencoder import ConvAutoencoderObjective, ConvTraining

    def make(faces: AlignedCache, workers: Workers) -> ConvAutoencoderObjective:
        known = _matched(degrees, faces)
        if regressor != "none":
            judge, names = load_network(resolve(regressor), DegreeRegressor), faces.names
            for start in range(0, len(faces), 256):
                index = np.arange(start, min(len(faces), start + 256))
                found = judge.degrees(faces.crops(index)).tolist()
                known = dict(zip(names[start:], found, strict=False)) | known
        shape = named_config(config, size)
        return ConvAutoencoderObjective(faces, known, shape, ConvTraining(**settings), workers)

    return make
