"""``faceflex train action-motion``, ``smile-dynamics``, ``cmm-net``: how faces smile over time."""

from __future__ import annotations

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
    batch: Annotated[int, typer.Option(min=1, help="Smiles in a batch.")] = 64,
    rate: RateOption = 2e-3,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
) -> None:
    """Train how posed and spontaneous smiles go over time; it resumes like the face model."""
    from faceflex.models.device import pick_device
    from faceflex.train.smile_dynamics import DynamicsObjective, DynamicsTraining
    from faceflex.train.workers import Workers

    config = DynamicsTraining(steps=steps, batch=batch, rate=rate, seed=seed)
    workers = Workers(device=pick_device(device))
    metrics = _train(DynamicsObjective(_clips(clips), config, workers=workers), out)
    if metrics:
        note(f"held-out curves are remade to {metrics['held_out_l1']:.3f} of intensity")


@cmm_net.command("landmarks")
def landmarks(
    pairs: PairsArgument,
    clips: ClipsOption,
    out: FolderOption,
    steps: StepsOption = 1500,
    batch: Annotated[int, typer.Option(min=1, help="Pictures in a batch.")] = 48,
    rate: RateOption = 1e-3,
    motion: MotionOption = "action-motion",
    landmark_model: PredictorOption = "dlib68",
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
) -> None:
    """First phase: the variational autoencoder of landmark pictures."""
    from faceflex.models.device import pick_device
    from faceflex.train.cmm_net import LandmarkVAEObjective, LandmarkVAETraining
    from faceflex.train.workers import Workers

    config = LandmarkVAETraining(steps=steps, batch=batch, rate=rate, seed=seed)
    workers = Workers(device=pick_device(device))
    maker = _maker(pairs, clips, landmark_model, motion)
    _train(LandmarkVAEObjective(maker, config, workers=workers), out)


@cmm_net.command("sequences")
def sequences(
    pairs: PairsArgument,
    clips: ClipsOption,
    out: FolderOption,
    start: StartOption,
    steps: StepsOption = 600,
    batch: Annotated[int, typer.Option(min=1, help="Sequences in a batch.")] = 4,
    rate: RateOption = 1e-3,
    motion: MotionOption = "action-motion",
    landmark_model: PredictorOption = "dlib68",
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
) -> None:
    """Second phase: the conditional LSTM, and the autoencoder with it."""
    _recurrent(pairs, clips, out, start, steps, batch, rate, motion, landmark_model, seed, device)


@cmm_net.command("modes")
def modes(
    pairs: PairsArgument,
    clips: ClipsOption,
    out: FolderOption,
    start: StartOption,
    steps: StepsOption = 300,
    batch: Annotated[int, typer.Option(min=1, help="Sequences in a batch.")] = 4,
    rate: RateOption = 1e-3,
    motion: MotionOption = "action-motion",
    landmark_model: PredictorOption = "dlib68",
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
) -> None:
    """Third phase: the multi-mode LSTMs, pulled to the conditional one and pushed apart."""
    _recurrent(
        pairs, clips, out, start, steps, batch, rate, motion, landmark_model, seed, device, True
    )


def _recurrent(
    pairs: list[Path],
    clips: Path,
    out: Path,
    start: Path,
    steps: int,
    batch: int,
    rate: float,
    motion: str,
    landmark_model: str,
    seed: int,
    device: str,
    modes: bool = False,
) -> None:
    from faceflex.models.checkpoint import load_network
    from faceflex.models.device import pick_device
    from faceflex.models.landmark_sequences import LandmarkSequences
    from faceflex.models.landmark_vae import LandmarkVAE
    from faceflex.train.cmm_net import SequenceObjective, SequenceTraining
    from faceflex.train.workers import Workers

    kinds: tuple[type[Any], ...] = (LandmarkVAE, LandmarkSequences)
    first = load_network(start, *kinds)
    config = SequenceTraining(steps=steps, batch=batch, rate=rate, seed=seed, modes=modes)
    workers = Workers(device=pick_device(device))
    maker = _maker(pairs, clips, landmark_model, motion)
    _train(SequenceObjective(maker, config, start=first, workers=workers), out)


@cmm_net.command("translation")
def translation(
    pairs: PairsArgument,
    out: FolderOption,
    steps: StepsOption = 2000,
    batch: Annotated[int, typer.Option(min=1, help="Faces in a batch.")] = 8,
    rate: RateOption = 1e-3,
    landmark_model: PredictorOption = "dlib68",
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
) -> None:
    """Train, apart from the others, the translation of landmark pictures to faces."""
    from faceflex.data.translation_faces import pair_states
    from faceflex.models.device import pick_device
    from faceflex.train.face_translation import TranslationObjective, TranslationTraining
    from faceflex.train.workers import Workers

    config = TranslationTraining(steps=steps, batch=batch, rate=rate, seed=seed)
    workers = Workers(device=pick_device(device))
    people = pair_states(pairs, _pairs(pairs, landmark_model))
    metrics = _train(TranslationObjective(people, config, workers=workers), out)
    if metrics:
        note(f"mean distance from held-out photos: {metrics['held_out_l1']:.4f}")
