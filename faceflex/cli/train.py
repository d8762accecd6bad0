"""``faceflex train``: the face model, the landmark predictor and the judge."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from faceflex.cli.common import DeviceOption, note, progress

app = typer.Typer(help="Train models.", no_args_is_help=True, rich_markup_mode=None)


@app.command("vae")
def vae(
    data: Annotated[list[Path], typer.Argument(help="Folders: UTKFace, CelebA, or any pictures.")],
    out: Annotated[Path, typer.Option(help="Folder for state, model, losses and samples.")],
    steps: Annotated[int, typer.Option(min=1, help="Batches in all.")] = 5000,
    batch: Annotated[int, typer.Option(min=1, help="Faces in a batch.")] = 16,
    rate: Annotated[float, typer.Option(help="Peak learning rate.")] = 1e-3,
    beta: Annotated[float, typer.Option(help="Weight of the KL term.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Fixes start, order and noise.")] = 0,
    cache: Annotated[Path, typer.Option(help="Folder for aligned faces.")] = Path("cache"),
    device: DeviceOption = "auto",
) -> None:
    """Train the face model; started again with the same --out, it goes on where it stopped."""
    from faceflex.data.cache import open_cache
    from faceflex.models.device import pick_device
    from faceflex.train.vae import TrainConfig, Trainer

    config = TrainConfig(steps=steps, batch=batch, rate=rate, beta=beta, seed=seed)
    where = pick_device(device)
    with progress("aligning", None) as advance:
        faces = open_cache(data, cache, advance)
    note(f"{len(faces):,} faces, {int(faces.held_out.sum()):,} of them held out")
    trainer = Trainer(faces, out, config, device=where)
    if trainer.step:
        note(f"going on from step {trainer.step:,}")
    with progress("training", steps) as advance:

        def report(step: int, everything: int, terms: dict[str, float]) -> None:
            advance(step, everything)
            if step % 100 == 0 or step == everything:
                note(f"step {step:,}: " + ", ".join(f"{k} {v:.4g}" for k, v in terms.items()))

        trainer.run(report)
    note(f"written to {out / 'model.safetensors'}")


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
    from faceflex.errors import UsageError
    from faceflex.faces.landmarks import LandmarkModel
    from faceflex.train.landmarks import (
        LandmarkConfig,
        landmark_error,
        machine_labelled,
        read_hand_labelled,
        split_hand_labelled,
        train_landmarks,
    )

    if not out.parent.is_dir():
        raise UsageError(f"{out.parent}: no such folder")
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
    cache: Annotated[Path, typer.Option(help="Folder for aligned faces.")] = Path("cache"),
) -> None:
    """Train the judge that measures edits; it shares nothing with the networks that make them."""
    from faceflex.data.cache import open_cache
    from faceflex.errors import UsageError
    from faceflex.train.judge import JudgeTraining, train_judge

    if not out.parent.is_dir():
        raise UsageError(f"{out.parent}: no such folder")
    with progress("aligning", None) as advance:
        faces = open_cache(data, cache, advance)
    with progress("training", steps) as advance:

        def report(step: int, everything: int, loss: float) -> None:
            advance(step, everything)
            if step % 100 == 0 or step == everything:
                note(f"step {step:,}: loss {loss:.4f}")

        auc = train_judge(faces, out, JudgeTraining(steps=steps, batch=batch, seed=seed), report)
    worst = sorted(auc, key=lambda name: auc[name])[:3]
    note(
        f"{out}: mean AUC {sum(auc.values()) / max(len(auc), 1):.3f} over {len(auc)} attributes, "
        f"the lowest {', '.join(f'{n} {auc[n]:.3f}' for n in worst)}"
    )
