"""``faceflex train action-motion``, ``smile-dynamics``, ``cmm-net``: how faces smile over time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from faceflex.cli.common import DeviceOption, note, progress, require_folder_of
from faceflex.cli.train import FolderOption, SeedOption, StepsOption, _run

if TYPE_CHECKING:
    from faceflex.data.landmark_pictures import SequenceMaker
    from faceflex.data.smile_clips import SmileClip
    from faceflex.data.smile_pairs import SmilePair
    from faceflex.train.objective import Objective
    from faceflex.train.workers import Workers

cmm_net = typer.Typer(
    help="Train CMM-Net's networks, a phase each.", no_args_is_help=True, rich_markup_mode=None
)

PairsArgument = Annotated[
    list[Path],
    typer.Argument(help="Folders of pairs: FEI (Na.jpg, Nb.jpg) or the London set's."),
]
ClipsOption = Annotated[
    Path,
    typer.Option(
        metavar="FILE|FOLDER",
        help="Real smiles: UvA-NEMO's action units (.npz), or a folder of OpenFace's tables.",
    ),
]
PredictorOption = Annotated[
    str, typer.Option(metavar="NAME|FILE", help="Landmark predictor for the photos.")
]
MotionOption = Annotated[str, typer.Option(metavar="NAME|FILE", help="How landmarks move.")]
BatchOption = Annotated[int, typer.Option(min=1, help="Pictures or sequences in a batch.")]
RateOption = Annotated[float, typer.Option(help="Peak learning rate.")]
StartOption = Annotated[Path, typer.Option(metavar="FILE", help="Model of the phase before.")]


def _pairs(folders: list[Path], predictor: str) -> list[SmilePair]:
    """Find the landmarks of pairs of photos."""
    from faceflex.data.smile_pairs import read_pairs
    from faceflex.faces.find import FaceFinder

    with progress("finding landmarks", None) as advance:
        pairs = read_pairs(folders, FaceFinder(predictor), advance)
    note(f"{len(pairs)} people, {sum(p.held_out for p in pairs)} of them held out")
    return pairs


def _clips(path: Path) -> list[SmileClip]:
    """Read real smiles."""
    from faceflex.data.smile_videos import read_smiles

    clips = read_smiles(path)
    note(f"{len(clips)} smiles, {sum(c.held_out for c in clips)} of them held out")
    return clips


def _maker(folders: list[Path], clips: Path, predictor: str, motion: str) -> SequenceMaker:
    from faceflex.assets import resolve
    from faceflex.data.landmark_pictures import SequenceMaker
    from faceflex.methods.action_motion import ActionMotion

    known = ActionMotion.load(resolve(motion))
    return SequenceMaker(_pairs(folders, predictor), _clips(clips), known)


def _workers(device: str) -> Workers:
    from faceflex.models.device import pick_device
    from faceflex.train.workers import Workers

    return Workers(device=pick_device(device))


def _train(objective: Objective[Any, Any, Any], out: Path) -> dict[str, Any]:
    from faceflex.train.loop import Trainer

    return _run(Trainer(objective, out))


def action_motion(
    pairs: PairsArgument,
    clips: ClipsOption,
    out: Annotated[Path, typer.Option(help="File to write.")],
    without: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Person to leave out, such as 012; repeatable."),
    ] = None,
    landmark_model: PredictorOption = "dlib68",
) -> None:
    """Fit how landmarks move with action units, to neutral and smiling photos of people."""
    from faceflex.data.smile_videos import person_of
    from faceflex.train.action_motion import fit_motion

    require_folder_of(out)
    left_out = set(without or ())
    people = [p for p in _pairs(pairs, landmark_model) if person_of(Path(p.name)) not in left_out]
    motion = fit_motion(people, _clips(clips))
    motion.save(out)
    note(f"written to {out}")


def smile_dynamics(
    clips: Annotated[
        Path,
        typer.Argument(
            metavar="FILE|FOLDER",
            help="Real smiles: UvA-NEMO's action units (.npz), or a folder of OpenFace's tables.",
        ),
    ],
    out: FolderOption,
    steps: StepsOption = 2500,
    batch: BatchOption = 64,
    rate: RateOption = 2e-3,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
) -> None:
    """Train how posed and spontaneous smiles go over time; it resumes like the face model."""
    from faceflex.train.smile_dynamics import DynamicsObjective, DynamicsTraining

    config = DynamicsTraining(steps=steps, batch=batch, rate=rate, seed=seed)
    metrics = _train(DynamicsObjective(_clips(clips), config, workers=_workers(device)), out)
    if metrics:
        note(f"held-out curves are remade to {metrics['held_out_l1']:.3f} of intensity")


@cmm_net.command("landmarks")
def landmarks(
    pairs: PairsArgument,
    clips: ClipsOption,
    out: FolderOption,
    steps: StepsOption = 1500,
    batch: BatchOption = 48,
    rate: RateOption = 1e-3,
    motion: MotionOption = "action-motion",
    landmark_model: PredictorOption = "dlib68",
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
) -> None:
    """First phase: the variational autoencoder of landmark pictures."""
    from faceflex.train.cmm_net import LandmarkVAEObjective, LandmarkVAETraining

    config = LandmarkVAETraining(steps=steps, batch=batch, rate=rate, seed=seed)
    maker = _maker(pairs, clips, landmark_model, motion)
    _train(LandmarkVAEObjective(maker, config, workers=_workers(device)), out)


def _recurrent(about: str, steps_by_default: int, *, modes: bool) -> Callable[..., None]:
    """Make a command that trains a phase of the recurrent networks: they take the same options."""

    def command(
        pairs: PairsArgument,
        clips: ClipsOption,
        out: FolderOption,
        start: StartOption,
        steps: StepsOption = steps_by_default,
        batch: BatchOption = 4,
        rate: RateOption = 1e-3,
        motion: MotionOption = "action-motion",
        landmark_model: PredictorOption = "dlib68",
        seed: SeedOption = 0,
        device: DeviceOption = "auto",
    ) -> None:
        from faceflex.models.checkpoint import load_network
        from faceflex.models.landmark_sequences import LandmarkSequences
        from faceflex.models.landmark_vae import LandmarkVAE
        from faceflex.train.cmm_net import SequenceObjective, SequenceTraining

        kinds: tuple[type[Any], ...] = (LandmarkVAE, LandmarkSequences)
        first = load_network(start, *kinds)
        config = SequenceTraining(steps=steps, batch=batch, rate=rate, seed=seed, modes=modes)
        maker = _maker(pairs, clips, landmark_model, motion)
        _train(SequenceObjective(maker, config, start=first, workers=_workers(device)), out)

    command.__doc__ = about
    return command


cmm_net.command("sequences")(
    _recurrent("Second phase: the conditional LSTM, and the autoencoder with it.", 600, modes=False)
)
cmm_net.command("modes")(
    _recurrent(
        "Third phase: the multi-mode LSTMs, pulled to the conditional one and pushed apart.",
        300,
        modes=True,
    )
)


@cmm_net.command("translation")
def translation(
    pairs: PairsArgument,
    out: FolderOption,
    steps: StepsOption = 2000,
    batch: BatchOption = 8,
    rate: RateOption = 1e-3,
    landmark_model: PredictorOption = "dlib68",
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
) -> None:
    """Train, apart from the others, the translation of landmark pictures to faces."""
    from faceflex.data.translation_faces import pair_states
    from faceflex.train.face_translation import TranslationObjective, TranslationTraining

    config = TranslationTraining(steps=steps, batch=batch, rate=rate, seed=seed)
    people = pair_states(pairs, _pairs(pairs, landmark_model))
    metrics = _train(TranslationObjective(people, config, workers=_workers(device)), out)
    if metrics:
        note(f"mean distance from held-out photos: {metrics['held_out_l1']:.4f}")
