"""``faceflex train``: the face model, its polish, classifiers and the landmark predictor."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from faceflex.cli.common import DeviceOption, note, progress, require_folder_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from faceflex.data.cache import AlignedCache
    from faceflex.models.feature_extractor import FeatureExtractor
    from faceflex.models.vae import VAE
    from faceflex.train.loop import Trainer
    from faceflex.train.objective import Objective
    from faceflex.train.workers import Workers

app = typer.Typer(help="Train models.", no_args_is_help=True, rich_markup_mode=None)

CacheOption = Annotated[Path, typer.Option(help="Folder for aligned faces.")]
DataArgument = Annotated[
    list[Path], typer.Argument(help="Folders: UTKFace, CelebA, or any pictures.")
]
FolderOption = Annotated[Path, typer.Option(help="Folder for state, model, losses and samples.")]
FeaturesOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Feature extractor of the perceptual loss.")
]
PerceptualOption = Annotated[
    float, typer.Option(help="Weight of the perceptual loss; needs --features.")
]
BatchOption = Annotated[int, typer.Option(min=1, help="Faces in a batch, over all processes.")]
StepsOption = Annotated[int, typer.Option(min=1, help="Batches in all.")]
RateOption = Annotated[float, typer.Option(help="Peak learning rate.")]
SeedOption = Annotated[int, typer.Option(help="Fixes first weights, order and noise.")]


class Purpose(str, Enum):
    """What a classifier is for."""

    attributes = "attributes"
    features = "features"


def train_objective(
    make: Callable[[AlignedCache, Workers], Objective[Any, Any, Any]],
    data: list[Path],
    out: Path,
    cache: Path,
    device: str,
) -> dict[str, Any]:
    """Train an objective with whatever processes there are; return its metrics."""
    from faceflex.data.cache import open_cache
    from faceflex.models.device import pick_device
    from faceflex.train.loop import Trainer
    from faceflex.train.workers import join_workers

    workers = join_workers(pick_device(device))
    if not workers.first:
        workers.wait()  # The first process makes the cache, if need be; the others find it there.
        return Trainer(make(open_cache(data, cache), workers), out).run()
    with progress("aligning", None) as advance:
        faces = open_cache(data, cache, advance)
    note(f"{len(faces):,} faces, {int(faces.held_out.sum()):,} of them held out")
    workers.wait()
    return _run(Trainer(make(faces, workers), out))


def _run(trainer: Trainer) -> dict[str, Any]:
    """Run a training, telling how it goes; return its objective's metrics."""
    if trainer.step:
        note(f"resuming at step {trainer.step:,}")
    with progress("training", trainer.config.steps) as advance:

        def report(step: int, steps: int, values: dict[str, float]) -> None:
            advance(step, steps)
            if step % 100 == 0 or step == steps:
                note(f"step {step:,}: " + ", ".join(f"{k} {v:.4g}" for k, v in values.items()))

        metrics = trainer.run(report)
    note(f"written to {trainer.out / 'model.safetensors'}")
    return metrics


def _face_model(name: str) -> VAE:
    from faceflex.assets import resolve
    from faceflex.models.checkpoint import load_vae

    return load_vae(resolve(name))[0]


def _extractor(path: Path | None) -> FeatureExtractor | None:
    from faceflex.models.feature_extractor import load_extractor

    return None if path is None else load_extractor(path)


@app.command("vae")
def vae(
    data: DataArgument,
    out: FolderOption,
    steps: StepsOption = 5000,
    batch: BatchOption = 16,
    rate: RateOption = 1e-3,
    beta: Annotated[float, typer.Option(help="Weight of the KL term.")] = 1.0,
    features: FeaturesOption = None,
    perceptual: PerceptualOption = 0.0,
    probes: Annotated[
        float,
        typer.Option(help="Weight of linear probes of the latent; needs --features."),
    ] = 0.0,
    start: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="Model to begin with.")
    ] = None,
    seed: SeedOption = 0,
    cache: CacheOption = Path("cache"),
    device: DeviceOption = "auto",
) -> None:
    """Train the face model; run again with the same --out, it resumes where it stopped.

    With torchrun, several processes, GPUs or machines train it together.
    """
    from faceflex.train.vae import VAEObjective, VAETraining

    config = VAETraining(
        steps=steps,
        batch=batch,
        rate=rate,
        beta=beta,
        perceptual=perceptual,
        probes=probes,
        seed=seed,
    )
    first, extractor = None if start is None else _face_model(start), _extractor(features)

    def make(faces: AlignedCache, workers: Workers) -> VAEObjective:
        return VAEObjective(faces, config, start=first, features=extractor, workers=workers)

    train_objective(make, data, out, cache, device)


@app.command("polish")
def polish(
    data: DataArgument,
    out: FolderOption,
    start: Annotated[str, typer.Option(metavar="NAME|FILE", help="Model to polish.")] = "vae",
    steps: StepsOption = 1100,
    batch: BatchOption = 16,
    rate: RateOption = 3e-4,
    adversary: Annotated[float, typer.Option(help="Weight of the discriminator.")] = 0.02,
    matching: Annotated[float, typer.Option(help="Weight of feature matching.")] = 0.1,
    blend: Annotated[
        float,
        typer.Option(min=0, max=1, help="Weight of the polished weights against the first ones."),
    ] = 0.5,
    features: FeaturesOption = None,
    perceptual: PerceptualOption = 0.0,
    seed: SeedOption = 0,
    cache: CacheOption = Path("cache"),
    device: DeviceOption = "auto",
) -> None:
    """Polish a model's decoder against a patch discriminator; its encoder stays as it is."""
    from faceflex.train.polish import PolishObjective, PolishTraining

    config = PolishTraining(
        steps=steps,
        batch=batch,
        rate=rate,
        adversary=adversary,
        matching=matching,
        perceptual=perceptual,
        blend=blend,
        seed=seed,
    )
    first, extractor = _face_model(start), _extractor(features)

    def make(faces: AlignedCache, workers: Workers) -> PolishObjective:
        return PolishObjective(faces, first, config, features=extractor, workers=workers)

    train_objective(make, data, out, cache, device)


@app.command("content")
def content(
    data: Annotated[
        list[Path], typer.Argument(help="Folders of photos for round trips, such as UTKFace.")
    ],
    out: FolderOption,
    people: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Pairs of photos: NAMEa.jpg (neutral) and NAMEb.jpg (smiling), such as FEI's.",
        ),
    ] = None,
    photos: Annotated[int, typer.Option(min=1, help="Photos to make round trips of.")] = 10_000,
    start: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="Renderer to begin with.")
    ] = None,
    steps: StepsOption = 5000,
    batch: BatchOption = 16,
    rate: RateOption = 1e-3,
    adversary: Annotated[float, typer.Option(help="Weight of the discriminator.")] = 0.03,
    matching: Annotated[float, typer.Option(help="Weight of feature matching.")] = 0.6,
    model: Annotated[str, typer.Option(metavar="NAME|FILE", help="Face model of the trips.")] = (
        "vae"
    ),
    vectors: Annotated[str, typer.Option(metavar="NAME|FILE", help="Its vectors.")] = "vectors",
    seed: SeedOption = 0,
    cache: Annotated[
        Path, typer.Option(help="Folder for pairs; a stopped run goes on from there.")
    ] = Path("cache"),
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes that make pairs; all cores by default.")
    ] = None,
    device: DeviceOption = "auto",
) -> None:
    """Train the renderer of new content on round trips; it resumes like the face model.

    The pairs are made first, on all cores, and cached. Held-out photos only measure the result.
    """
    import numpy as np

    from faceflex.assets import resolve
    from faceflex.data.readers import read_any
    from faceflex.data.round_trip_files import make_pairs, person_records
    from faceflex.methods.attribute_vectors import AttributeVectorMethod
    from faceflex.models.checkpoint import load_network
    from faceflex.models.content_unet import ContentUNet
    from faceflex.models.device import pick_device
    from faceflex.train.content import ContentObjective, ContentTraining
    from faceflex.train.loop import Trainer
    from faceflex.train.workers import join_workers

    config = ContentTraining(
        steps=steps, batch=batch, rate=rate, adversary=adversary, matching=matching, seed=seed
    )
    first = None if start is None else load_network(resolve(start), ContentUNet)
    records = [record for folder in data for record in read_any(folder)]
    order = np.random.default_rng(0).permutation(len(records))[:photos]
    persons = [] if people is None else person_records(people)
    method = AttributeVectorMethod(model, vectors, device="cpu")
    workers = join_workers(pick_device(device))
    if not workers.first:
        workers.wait()  # The first process makes the pairs; the others find them there.
    with progress("making pairs", None) as advance:
        files = make_pairs(
            [records[i] for i in order], persons, method, cache, jobs=jobs, progress=advance
        )
    objective = ContentObjective(files, config, start=first, workers=workers)
    if not workers.first:
        Trainer(objective, out).run()
        return
    note(
        f"{len(objective.pairs):,} pairs, {len(objective.edits):,} edits without a target,"
        f" {len(objective.held_out):,} held-out pairs"
    )
    workers.wait()
    metrics = _run(Trainer(objective, out))
    if metrics:
        note(f"mean distance from held-out photos: {metrics['held_out_l1']:.4f}")


@app.command("classifier")
def classifier(
    data: DataArgument,
    out: FolderOption,
    purpose: Annotated[
        Purpose,
        typer.Option(
            "--for", help="Attributes, to measure edits by, or features of the perceptual loss."
        ),
    ],
    steps: Annotated[
        int | None, typer.Option(min=1, help="Batches in all.", show_default="3600 or 2600")
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(min=1, help="Faces in a batch, over all processes.", show_default="64 or 48"),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Fixes first weights, order and augmentation.", show_default="20 or 40"),
    ] = None,
    cache: CacheOption = Path("cache"),
    device: DeviceOption = "auto",
) -> None:
    """Train a classifier of CelebA's and UTKFace's labels; it resumes like the face model.

    The attribute classifier shares nothing with the networks that make edits.
    """
    from dataclasses import replace

    from faceflex.train.classifier import PURPOSES, ClassifierObjective

    given = {"steps": steps, "batch": batch, "seed": seed}
    changes: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
    config = replace(PURPOSES[purpose.value].config, **changes)

    def make(faces: AlignedCache, workers: Workers) -> ClassifierObjective:
        return ClassifierObjective(faces, purpose.value, config, workers)

    auc = train_objective(make, data, out, cache, device).get("auc")
    if auc:
        lowest = sorted(auc, key=lambda name: auc[name])[:3]
        note(
            f"mean AUC {sum(auc.values()) / len(auc):.3f} over {len(auc)} attributes,"
            f" the lowest {', '.join(f'{n} {auc[n]:.3f}' for n in lowest)}"
        )


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
    copies: Annotated[int, typer.Option(min=1, help="Augmented copies of each face.")] = 12,
    extra: Annotated[int, typer.Option(min=0, help="Machine-labelled faces to add.")] = 9000,
    seed: Annotated[int, typer.Option(help="Fixes augmentation and training.")] = 0,
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
    train, held_out = split_hand_labelled(read_hand_labelled(hand))
    config = LandmarkConfig(cascades=cascades, trees=trees, copies=copies, extra=extra, seed=seed)
    more = machine_labelled(machine or [], config.extra, config.seed)
    note(
        f"{len(train)} hand-labelled and {len(more)} machine-labelled faces,"
        f" {len(held_out)} held out"
    )
    train_landmarks(train, more, out, config)
    error = landmark_error(LandmarkModel(out), held_out)
    note(
        f"{out}: {out.stat().st_size:,} bytes; mean point error {error['mean']:.2%}, median "
        f"{error['median']:.2%} of the distance between the outer eye corners; "
        f"{error['detected']:.1%} of the faces detected"
    )


@app.command("smile-motion")
def smile_motion(
    pairs: Annotated[
        list[Path],
        typer.Argument(
            help="Folders of pairs, neutral and smiling: the FEI set (1a.jpg, 1b.jpg), the London"
            " set (neutral_front/001_03.jpg, smiling_front/001_08.jpg)."
        ),
    ],
    out: Annotated[Path, typer.Option(help="File to write.")],
) -> None:
    """Fit how people smile to pairs of pictures, and measure it in five folds of people."""
    from faceflex.faces.find import FaceFinder
    from faceflex.train.smile_motion import cross_validate, find_pairs, fit_smile_motion, read_pairs

    require_folder_of(out)
    people = sum(len(find_pairs(root)) for root in pairs)
    finder, found = FaceFinder(), []
    with progress("finding faces", people) as advance:
        for root in pairs:
            for pair in read_pairs(root, finder):
                found.append(pair)
                advance(len(found), people)
    fit_smile_motion(found).save(out)
    for source, (count, nearer, way) in cross_validate(found).items():
        note(
            f"{source}: at strength 1, {nearer:.1%} of {count} people not fitted to come nearer to"
            f" their own smile; median share of the way {way:.2f}"
        )
    note(f"{out}: {out.stat().st_size:,} bytes, from {len(found)} people")
