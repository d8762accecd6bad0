"""``faceflex train affect``, ``affect-plane`` and ``caae``: valence and arousal."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from faceflex.cli.common import DeviceOption, note, progress, require_folder_of
from faceflex.cli.train import (
    CacheOption,
    FeaturesOption,
    FolderOption,
    SeedOption,
    train_objective,
)

if TYPE_CHECKING:
    from faceflex.data.cache import AlignedCache
    from faceflex.data.records import Record
    from faceflex.models.network import Network
    from faceflex.train.affect import AffectObjective
    from faceflex.train.caae import CAAEObjective
    from faceflex.train.workers import Workers

AffectNetArgument = Annotated[
    list[Path], typer.Argument(help="AffectNet: labels.csv, training.csv, or annotations/.")
]


class Part(str, Enum):
    """What a regressor is for."""

    edits = "edits"
    judge = "judge"


class Configuration(str, Enum):
    """Named autoencoders."""

    caae = "caae"
    published = "caae-2019"


def affect(
    data: AffectNetArgument,
    out: FolderOption,
    purpose: Annotated[
        Part, typer.Option("--for", help="Edits, or to judge them; each has faces of its own.")
    ],
    start: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Trained network to begin with: an attribute classifier for edits, a feature"
            " extractor for the judge.",
        ),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Batches in all.")] = 700,
    batch: Annotated[int, typer.Option(min=2, help="Faces in a batch.")] = 64,
    rate: Annotated[float, typer.Option(help="Peak learning rate.")] = 1e-3,
    seed: SeedOption = 50,
    cache: CacheOption = Path("cache"),
    device: DeviceOption = "auto",
) -> None:
    """Train a regressor of valence and arousal; its held-out agreement (CCC) is printed."""
    from faceflex.train.affect import AffectObjective, AffectTraining

    config = AffectTraining(
        steps=steps, batch=batch, rate=rate, warmup=max(1, steps // 10), seed=seed
    )
    first = None if start is None else _backbone(start)

    def make(faces: AlignedCache, workers: Workers) -> AffectObjective:
        return AffectObjective(faces, purpose.value, config, start=first, workers=workers)

    metrics = train_objective(make, data, out, cache, device).get("held_out")
    if metrics:
        told = ", ".join(
            f"{name} CCC {metrics[name]['ccc']:.3f} RMSE {metrics[name]['rmse']:.3f}"
            for name in ("valence", "arousal")
        )
        note(f"{metrics['faces']} held-out faces: {told}")


def _backbone(name: str) -> Network:
    from faceflex.assets import resolve
    from faceflex.models.attribute_classifier import AttributeClassifier
    from faceflex.models.checkpoint import load_network
    from faceflex.models.feature_extractor import FeatureExtractor

    network: Network = load_network(resolve(name), AttributeClassifier, FeatureExtractor)
    return network


def caae(
    data: AffectNetArgument,
    out: FolderOption,
    configuration: Annotated[
        Configuration, typer.Option(help="Ours, or as published (Lindt et al. 2019).")
    ] = Configuration.caae,
    features: FeaturesOption = None,
    vgg_face: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="vgg-face.mat, for the identity loss as published."),
    ] = None,
    regressor: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="Says what place edits reach.")
    ] = "affect",
    steps: Annotated[int, typer.Option(min=1, help="Batches in all.")] = 4000,
    batch: Annotated[int, typer.Option(min=2, help="Faces in a batch.")] = 49,
    rate: Annotated[float, typer.Option(help="Peak learning rate.")] = 2e-4,
    seed: SeedOption = 60,
    cache: CacheOption = Path("cache"),
    device: DeviceOption = "auto",
) -> None:
    """Train a conditional adversarial autoencoder; edit with it by edit --valence V --model FILE.

    The identity loss needs --vgg-face or --features; without either it is left out.
    """
    from dataclasses import replace

    from faceflex.errors import UsageError
    from faceflex.train.caae import PUBLISHED, CAAEObjective, CAAETraining

    if features is not None and vgg_face is not None:
        raise UsageError("`features` and `vgg_face`: give one of them")
    published = configuration is Configuration.published
    base = PUBLISHED if published else CAAETraining()
    identity = _identity(features, vgg_face)
    config = replace(base, steps=steps, batch=batch, rate=rate, seed=seed)
    if identity is None:
        config = replace(config, identity=0.0)
        note("no identity loss: give vgg-face.mat or a feature extractor")
    judge = None if published else _regressor(regressor)

    def make(faces: AlignedCache, workers: Workers) -> CAAEObjective:
        return CAAEObjective(faces, config, identity=identity, regressor=judge, workers=workers)

    metrics = train_objective(make, data, out, cache, device)
    if metrics:
        note(f"mean error of held-out reconstructions: {metrics['held_out_l1']:.4f}")


def _identity(features: Path | None, vgg_face: Path | None) -> Any:
    if vgg_face is not None:
        from faceflex.models.vgg_face import read_vgg_face

        return read_vgg_face(vgg_face)
    if features is not None:
        from faceflex.models.feature_extractor import load_extractor

        return load_extractor(features)
    return None


def _regressor(name: str) -> Any:
    from faceflex.assets import resolve
    from faceflex.models.affect_regressor import load_affect_regressor

    return load_affect_regressor(resolve(name))


def affect_plane(
    data: AffectNetArgument,
    out: Annotated[Path, typer.Option(help="File to write.")],
    landmark_model: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE",
            help="Finds the faces' landmarks anew; dlib's own tell brows and lids best.",
        ),
    ] = "dlib68",
    model: Annotated[str, typer.Option(metavar="NAME|FILE", help="Face model.")] = "vae",
    vectors: Annotated[str, typer.Option(metavar="NAME|FILE", help="Its vectors.")] = "vectors",
    cache: Annotated[Path, typer.Option(help="Folder for latents.")] = Path("cache"),
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes; all cores by default.")
    ] = None,
) -> None:
    """Fit how landmarks and latents change over the plane of valence and arousal."""
    from faceflex.assets import resolve
    from faceflex.data.latents import encode_records
    from faceflex.data.readers import read_any
    from faceflex.methods.vectors import AttributeVectors
    from faceflex.models.model_id import read_id
    from faceflex.train.affect_plane import fit_affect_plane, part_of_faces, refined

    require_folder_of(out)
    loaded = AttributeVectors.load(resolve(vectors), read_id(resolve(model)))
    records: list[Record] = [r for root in data for r in read_any(root) if "valence" in r.labels]
    with progress("encoding", len(records)) as advance:
        faces = encode_records(records, model, cache, jobs=jobs, progress=advance)
    faces = part_of_faces(faces, "edits")
    with progress("finding landmarks", len(faces.records)) as advance:
        faces, shadings = refined(faces, landmark_model, advance)
    plane = fit_affect_plane(faces, shadings, loaded)
    plane.save(out, {"faces": len(faces.records)})
    note(f"{out}: fitted to {len(faces.records)} faces")
