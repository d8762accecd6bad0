"""``faceflex train``: the face model, the landmark predictor and the judge."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from faceflex.cli.common import DeviceOption, note, progress, require_folder_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from faceflex.data.cache import AlignedCache
    from faceflex.train.vae import TrainConfig

app = typer.Typer(help="Train models.", no_args_is_help=True, rich_markup_mode=None)


Value = TypeVar("Value")
CacheOption = Annotated[Path, typer.Option(help="Folder for aligned faces.")]
DataArgument = Annotated[
    list[Path], typer.Argument(help="Folders: UTKFace, CelebA, or any pictures.")
]
FolderOption = Annotated[Path, typer.Option(help="Folder for state, model, losses and samples.")]
FeaturesOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Feature network of the perceptual terms.")
]


def _open(data: list[Path], cache: Path) -> AlignedCache:
    """Open the faces, saying how many there are."""
    from faceflex.data.cache import open_cache

    with progress("aligning", None) as advance:
        faces = open_cache(data, cache, advance)
    note(f"{len(faces):,} faces, {int(faces.held_out.sum()):,} of them held out")
    return faces


def _every_hundred(
    advance: Callable[[int, int], None], tell: Callable[[Value], str]
) -> Callable[[int, int, Value], None]:
    """Return a report that moves the progress on, and prints a line every hundred steps."""

    def report(step: int, everything: int, value: Value) -> None:
        advance(step, everything)
        if step % 100 == 0 or step == everything:
            note(f"step {step:,}: {tell(value)}")

    return report


def _terms(terms: dict[str, float]) -> str:
    return ", ".join(f"{k} {v:.4g}" for k, v in terms.items())


def _loss(loss: float) -> str:
    return f"loss {loss:.4f}"


def _train(
    data: list[Path],
    out: Path,
    config: TrainConfig,
    start: str | None,
    features: Path | None,
    cache: Path,
    device: str,
) -> None:
    """Train a face model with whatever processes there are."""
    from faceflex.assets import resolve
    from faceflex.data.cache import open_cache
    from faceflex.models.checkpoint import load_vae
    from faceflex.models.device import pick_device
    from faceflex.models.feature_extractor import load_extractor
    from faceflex.train.vae import Trainer
    from faceflex.train.workers import join_workers

    workers, where = join_workers(pick_device(device))
    model = None if start is None else load_vae(resolve(start))[0]
    compared = None if features is None else load_extractor(features)
    # The first process makes the cache, if need be; the others find it there.
    if workers.first:
        faces = _open(data, cache)
    workers.wait()
    if not workers.first:
        faces = open_cache(data, cache)
    trainer = Trainer(
        faces, out, config, device=where, start=model, features=compared, workers=workers
    )
    if not workers.first:
        trainer.run()
        return
    if trainer.step:
        note(f"going on from step {trainer.step:,}")
    with progress("training", config.steps) as advance:
        trainer.run(_every_hundred(advance, _terms))
    note(f"written to {out / 'model.safetensors'}")


@app.command("vae")
def vae(
    data: DataArgument,
    out: FolderOption,
    steps: Annotated[int, typer.Option(min=1, help="Batches in all.")] = 5000,
    batch: Annotated[int, typer.Option(min=1, help="Faces in a batch, over all processes.")] = 16,
    rate: Annotated[float, typer.Option(help="Peak learning rate.")] = 1e-3,
    beta: Annotated[float, typer.Option(help="Weight of the KL term.")] = 1.0,
    features: FeaturesOption = None,
    perceptual: Annotated[
        float, typer.Option(help="Weight of the features' distance; needs --features.")
    ] = 0.0,
    reading: Annotated[
        float, typer.Option(help="Weight of reading the features' labels from the latent.")
    ] = 0.0,
    start: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="Model to begin with.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Fixes start, order and noise.")] = 0,
    cache: CacheOption = Path("cache"),
    device: DeviceOption = "auto",
) -> None:
    """Train the face model; started again with the same --out, it goes on where it stopped.

    With torchrun, several processes, GPUs or machines train it together.
    """
    from faceflex.train.vae import TrainConfig

    config = TrainConfig(
        steps=steps,
        batch=batch,
        rate=rate,
        beta=beta,
        perceptual=perceptual,
        reading=reading,
        seed=seed,
    )
    _train(data, out, config, start, features, cache, device)


@app.command("polish")
def polish(
    data: DataArgument,
    out: FolderOption,
    start: Annotated[str, typer.Option(metavar="NAME|FILE", help="Model to polish.")] = "vae",
    steps: Annotated[int, typer.Option(min=1, help="Batches in all.")] = 1100,
    batch: Annotated[int, typer.Option(min=1, help="Faces in a batch, over all processes.")] = 16,
    rate: Annotated[float, typer.Option(help="Peak learning rate.")] = 3e-4,
    adversary: Annotated[float, typer.Option(help="Weight of the discriminator.")] = 0.02,
    matching: Annotated[float, typer.Option(help="Weight of matching its maps.")] = 0.1,
    share: Annotated[
        float,
        typer.Option(min=0, max=1, help="How far from the model to its polish the result lies."),
    ] = 0.5,
    features: FeaturesOption = None,
    perceptual: Annotated[
        float, typer.Option(help="Weight of the features' distance; needs --features.")
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="Fixes start, order and noise.")] = 0,
    cache: CacheOption = Path("cache"),
    device: DeviceOption = "auto",
) -> None:
    """Polish a model's decoder against a patch discriminator; its encoder stays as it is."""
    from faceflex.train.vae import TrainConfig

    config = TrainConfig(
        steps=steps,
        batch=batch,
        rate=rate,
        adversary=adversary,
        matching=matching,
        perceptual=perceptual,
        noise=0.5,
        share=share,
        seed=seed,
    )
    _train(data, out, config, start, features, cache, device)


@app.command("features")
def features(
    data: DataArgument,
    out: Annotated[Path, typer.Option(help="File to write.")],
    steps: Annotated[int, typer.Option(min=1, help="Batches in all.")] = 2600,
    batch: Annotated[int, typer.Option(min=1, help="Faces in a batch.")] = 48,
    seed: Annotated[int, typer.Option(help="Fixes start, order and disturbance.")] = 40,
    cache: CacheOption = Path("cache"),
) -> None:
    """Train the network whose maps perceptual losses compare."""
    from faceflex.train.classifier import ClassifierTraining
    from faceflex.train.features import train_features

    require_folder_of(out)
    faces = _open(data, cache)
    with progress("training", steps) as advance:
        config = ClassifierTraining(steps=steps, batch=batch, seed=seed)
        count = train_features(faces, out, config, _every_hundred(advance, _loss))
    note(f"{out}: trained on {count:,} faces")


@app.command("landmarks")
def landmarks(
    hand: Annotated[Path, typer.Argument(help="Hand-labelled faces: images/ and landmarks68.csv.")],
    out: Annotated[Path, typer.Option(help="File to write; .dat keeps dlib's own format.")],
    machine: Annotated[
        list[Path] | None,
        typer.Option(metavar="FOLDER", help="Face set with machine-made landmarks; repeatable."),
    ] = None,
    cascades: Annotated[int, typer.Option(min=1, help="Cascade levels.")] = 14,
    trees: Annotated[int, typer.Option(min=1, help="Trees a level.")] = 320,
    copies: Annotated[int, typer.Option(min=1, help="Disturbed copies of each face.")] = 12,
    extra: Annotated[int, typer.Option(min=0, help="Machine-labelled faces to add.")] = 9000,
    seed: Annotated[int, typer.Option(help="Fixes disturbance and training.")] = 0,
) -> None:
    """Train the 68-point landmark predictor with dlib, and measure it on a held-out fifth."""
    from faceflex.faces.landmarks import LandmarkModel
    from faceflex.train.landmarks import (
        LandmarkConfig,
        landmark_error,
        machine_labelled,
        read_hand_labelled,
        split_hand_labelled,
        train_landmarks,
    )

    require_folder_of(out)
    train, apart = split_hand_labelled(read_hand_labelled(hand))
    config = LandmarkConfig(cascades=cascades, trees=trees, copies=copies, extra=extra, seed=seed)
    more = machine_labelled(machine or [], config.extra, config.seed)
    note(
        f"{len(train)} hand-labelled and {len(more)} machine-labelled faces, {len(apart)} held out"
    )
    train_landmarks(train, more, out, config)
    found = landmark_error(LandmarkModel(out), apart)
    note(
        f"{out}: {out.stat().st_size:,} bytes; mean point error {found['mean']:.2%}, median "
        f"{found['median']:.2%} of the distance between the outer eye corners; "
        f"{found['detected']:.1%} of the faces detected"
    )


@app.command("judge")
def judge(
    data: Annotated[list[Path], typer.Argument(help="CelebA's folder, with its labels.")],
    out: Annotated[Path, typer.Option(help="File to write.")],
    steps: Annotated[int, typer.Option(min=1, help="Batches in all.")] = 3600,
    batch: Annotated[int, typer.Option(min=1, help="Faces in a batch.")] = 64,
    seed: Annotated[int, typer.Option(help="Fixes start, order and disturbance.")] = 20,
    cache: CacheOption = Path("cache"),
) -> None:
    """Train the judge that measures edits; it shares nothing with the networks that make them."""
    from faceflex.train.classifier import ClassifierTraining
    from faceflex.train.judge import train_judge

    require_folder_of(out)
    faces = _open(data, cache)
    with progress("training", steps) as advance:
        config = ClassifierTraining(steps=steps, batch=batch, seed=seed)
        auc = train_judge(faces, out, config, _every_hundred(advance, _loss))
    worst = sorted(auc, key=lambda name: auc[name])[:3]
    note(
        f"{out}: mean AUC {sum(auc.values()) / max(len(auc), 1):.3f} over {len(auc)} attributes, "
        f"the lowest {', '.join(f'{n} {auc[n]:.3f}' for n in worst)}"
    )
