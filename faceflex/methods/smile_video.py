"""Smile videos from one photo (CMM-Net), as a way to edit: many smiles over time for one face.

After Wang et al., "Every smile is unique: landmark-guided diverse smile generation", CVPR 2018. As
there, a recurrent network that is told the style (posed or spontaneous) says where landmarks go at
each moment, and there are several modes for each face. Unlike there, landmarks move the photo's own
pixels, at its own resolution; the face model only says what folds shade, and the content renderer
makes teeth.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from faceflex.assets import resolve
from faceflex.assets.registry import sha256_of
from faceflex.compose.change import FaceChange
from faceflex.errors import UsageError
from faceflex.faces.aligned_face import AlignedFace
from faceflex.methods.action_motion import ActionMotion
from faceflex.methods.attribute_styles import style_of
from faceflex.methods.attribute_vectors import AttributeVectorMethod
from faceflex.methods.base import Shot
from faceflex.methods.controls import Control, MethodOptions, Settings, settings_by_name
from faceflex.methods.head_sway import head_sway, swayed
from faceflex.methods.latent_steps import FaceCode
from faceflex.methods.smile_amounts import boost_of, smile_amounts
from faceflex.methods.smile_sequences import MODES, SmileModes, SmileSequence
from faceflex.methods.smile_targets import smile_targets

if TYPE_CHECKING:
    from faceflex.models.smile_dynamics import SmileDynamics

CONTROLS = (
    Control(
        "intensity", 0.0, 1.5, 0.0, "How far the smile goes; 1 as it was learned", "good", MODES
    ),
    Control("spontaneous", 0.0, 1.0, 1.0, "1 for a spontaneous smile, 0 for a posed one", "fair"),
    Control("loop", 0.0, 1.0, 0.0, "1 for a clip that goes back to rest", "good"),
    Control("seconds", 0.5, 10.0, 2.0, "Length of the clip", "good"),
    Control("boost", 0.0, 1.0, 0.0, "By how much a smile is raised that would hardly show", "good"),
    Control("person", 0.0, 2.0**24, 0.0, "Whose smile: the same number, the same smile", "good"),
)

_STRENGTHS = (0.0, 1.1, 2.2)
"""Strengths of Smiling at which the face model's pictures are made; between, they are blended."""
_SHADED, _DEEPER = 1.6, 0.4  # Strength of Smiling that a usual smile is shaded with; boosted, more.
_STILL = 1e-3  # Amounts of motion below which nothing moves.
_SMILES = (-0.2, 0.8)  # Smile degrees between which a face begins to smile, and does.
_NOTED = 0.5  # Smiles at first that are reported.
_OWN = 0.5  # Share of this face's own motion, as its shape foretells it, in that of the corners.


@dataclass(frozen=True)
class SmileCode:
    """A face as this method knows it.

    Attributes
    ----------
    code
        Its latent, decode and aligned face.
    pictures
        (3, 128, 128, 3): the face model's pictures of it, without a smile to a broad one.
    degrees
        Its smile degree, and by how much a strength of 1 raises it; None when not known.
    age
        In years; None when not known.
    motion
        How this face moves.
    person
        Says whose face it is, unless a shot does.
    """

    code: FaceCode
    pictures: NDArray[np.float32]
    degrees: tuple[float, float] | None
    age: float | None
    motion: ActionMotion
    person: int

    @property
    def smiling(self) -> float:
        """How far the face smiles already, 0 to 1."""
        if self.degrees is None:
            return 0.0
        low, high = _SMILES
        return float(np.clip((self.degrees[0] - low) / (high - low), 0, 1))


class SmileVideoMethod:
    """Makes faces smile over time; loads each file when it is first needed.

    A :class:`~faceflex.methods.base.Shot`'s variant is the mode, its time the moment of the clip;
    without a time it is the apex.

    Parameters
    ----------
    model, vectors
        Face model and its vectors, which know how smiles are shaded.
    motion, dynamics
        Registered names or paths: how landmarks move, and how smiles go over time.
    device
        ``auto``, ``cpu``, ``cuda`` or ``mps``, for the face model.
    seed
        Varies each mode.
    """

    name = "smile-video"

    def __init__(
        self,
        model: str = "vae",
        vectors: str = "vectors",
        motion: str = "action-motion",
        dynamics: str = "smile-dynamics",
        *,
        device: str = "auto",
        seed: int = 0,
    ) -> None:
        self._key = (model, vectors, motion, dynamics, device, seed)
        self._motion_name, self._dynamics_name, self._seed = motion, dynamics, seed
        self._faces = AttributeVectorMethod(model, vectors, device=device)
        self._lock = threading.Lock()
        self._modes: dict[int, SmileModes] = {}
        self._sequences: dict[tuple[int, int, int], SmileSequence] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return _shared_method, self._key

    @cached_property
    def motion(self) -> ActionMotion:
        """How landmarks move."""
        return ActionMotion.load(resolve(self._motion_name))

    @cached_property
    def dynamics(self) -> SmileDynamics:
        """How smiles go over time."""
        from faceflex.models.checkpoint import load_network
        from faceflex.models.smile_dynamics import SmileDynamics

        return load_network(resolve(self._dynamics_name), SmileDynamics)

    @cached_property
    def fingerprints(self) -> Mapping[str, str]:
        """Ids of the face model, the motion and the dynamics."""
        motion, dynamics = (
            sha256_of(resolve(n))[:12] for n in (self._motion_name, self._dynamics_name)
        )
        return {**self._faces.fingerprints, "motion": motion, "dynamics": dynamics}

    @property
    def controls(self) -> Mapping[str, Control]:
        """Intensity, style, loop and length."""
        return {control.name: control for control in CONTROLS}

    @property
    def accelerated(self) -> bool:
        """Whether something else than the CPU computes."""
        return self._faces.accelerated

    def load(self) -> None:
        """Load all files now."""
        self._faces.load()
        _ = self.motion, self.dynamics

    def resolve(self, settings: Mapping[str, float]) -> Settings:
        """Return settings under their proper names.

        Raises
        ------
        UsageError
            If one is unknown, given twice, or makes no sense.
        """
        resolved = settings_by_name(settings, self.controls)
        if not (seconds := resolved.get("seconds", 1.0)) > 0:
            raise UsageError(f"seconds {seconds:g}: needs more than 0")
        return tuple(resolved.items())

    def encode(self, faces: Sequence[AlignedFace], photo: NDArray[np.uint8]) -> list[SmileCode]:
        """Encode faces, and make the face model's pictures of their smiles."""
        codes = self._faces.encode(faces, photo)
        if not codes:
            return []
        vectors = self._faces.vectors
        smile, found = vectors.mean("Smiling"), []
        for code in codes:
            latents = np.stack([code.latent + np.float32(s) * smile for s in _STRENGTHS[1:]])
            made = [self._faces.in_template(code, p) for p in self._faces.codec.decode(latents)]
            pictures = np.stack([code.decoded, *made])
            low, high = (vectors.smile_degree(code.latent + s * smile) for s in (0, 1))
            degrees = None if low is None or high is None else (low, high - low)
            person = zlib.crc32(np.ascontiguousarray(code.face.landmarks).tobytes())
            age, motion = vectors.age(code.latent), self._motion_of(code)
            found.append(SmileCode(code, pictures, degrees, age, motion, person))
        return found

    def _motion_of(self, code: FaceCode) -> ActionMotion:
        """Return how a face moves: between everybody's way to a smile and its own."""
        learned, face = self._faces.smile_motion, code.face
        if learned is None:
            return self.motion
        shift = self._faces.vectors.landmark_shift(self._faces.vectors.mean("Smiling"))
        goal, lips = smile_targets(
            learned, face.landmarks, face.lips, 1.0, shift, certainty=code.smiles
        )
        opened = lips.gap - face.lips.gap
        return self.motion.towards(face.landmarks, goal - face.landmarks, opened, _OWN)

    def modes(self, style: int) -> SmileModes:
        """Return the modes of a style: 0 posed, 1 spontaneous."""
        with self._lock:
            if style not in self._modes:
                self._modes[style] = SmileModes(self.dynamics, style)
            return self._modes[style]

    def sequence(self, code: SmileCode, shot: Shot) -> SmileSequence:
        """Return a face's smile of a shot's mode."""
        style = int(dict(shot.settings).get("spontaneous", 1.0) >= 0.5)
        key = _person(code, shot), style, shot.variant
        if key not in self._sequences:
            self._sequences[key] = self.modes(style).sequence(key[0], shot.variant, self._seed)
        return self._sequences[key]

    def changes(
        self, codes: Sequence[SmileCode], shots: Sequence[Shot]
    ) -> Iterator[list[list[FaceChange]]]:
        """Yield, for each shot, the step of each face; none where nothing moves yet."""
        for shot in shots:
            yield [self._face_changes(code, shot) for code in codes]

    def amounts(self, code: SmileCode, shot: Shot) -> tuple[NDArray[np.float64], float]:
        """Return how far a face's corners, lips and cheeks go in a shot (3,), and its blink."""
        if shot.variant >= MODES:
            raise UsageError(f"mode {shot.variant}: there are modes 0 to {MODES - 1}")
        face = code.code.face
        return smile_amounts(self.motion, face, code.smiling, self.sequence(code, shot), shot)

    def describe(self, code: SmileCode, shot: Shot) -> dict[str, object]:
        """Return how far a face smiles already, and what there is in a clip, for reports."""
        settings = dict(shot.settings)
        sequence = self.sequence(code, shot)
        seconds, loop = settings.get("seconds", 2.0), settings.get("loop", 0.0) >= 0.5
        told: dict[str, object] = {
            "smiling": round(code.smiling, 3),
            "speed": round(sequence.speed(seconds, loop=loop), 3),
            "blinks": [round(b, 2) for b in sequence.blinks if b < seconds],
        }
        if code.smiling > _NOTED:
            told["note"] = "smiles already; the clip starts from that, and little is left to do"
        return told

    def _face_changes(self, code: SmileCode, shot: Shot) -> list[FaceChange]:
        amounts, shut = self.amounts(code, shot)
        sway = _sway(code, shot)
        if float(np.abs([*amounts, *sway]).max()) < _STILL and shut < _STILL:
            return []
        face = code.code.face
        kind = self._kind(code, shot)
        landmarks, lips = code.motion.targets(face.landmarks, face.lips, amounts, kind)
        landmarks, lips = swayed(landmarks, lips, sway)
        strength = (_SHADED + _DEEPER * boost_of(shot)) * float(min(amounts[0], 1.2))
        condition = {} if code.age is None else {"age": code.age}
        if code.degrees is not None:
            condition["smile"] = code.degrees[0] + code.degrees[1] * strength
        style = style_of("Smiling").transfer
        after = _blend(code.pictures, strength)
        return [FaceChange(code.pictures[0], after, landmarks, lips, style, condition, shut)]

    def _kind(self, code: SmileCode, shot: Shot) -> NDArray[np.float64]:
        """Return how this face's smile of a mode differs from the usual one."""
        own, mode = (
            self.motion.draw_kind(np.random.default_rng((_person(code, shot), 7, n)))
            for n in (0, 1 + shot.variant)
        )
        return 0.75 * own + 0.65 * mode


def _person(code: SmileCode, shot: Shot) -> int:
    """Return whose smile a face has: as the shot says, or else as its landmarks do.

    Landmarks are a little elsewhere in a photo that was scaled; who it is should not depend on it.
    """
    named = dict(shot.settings).get("person")
    return code.person if named is None else int(named) * 256 + code.code.face.face.index


def _sway(code: SmileCode, shot: Shot) -> tuple[float, float, float]:
    """Return how far a face's head has moved at a shot's moment; not at all without one."""
    settings = dict(shot.settings)
    if shot.time is None or not settings.get("intensity", 0.0):
        return 0.0, 0.0, 0.0
    seconds = settings.get("seconds", 2.0)
    rests = seconds if settings.get("loop", 0.0) >= 0.5 else None
    return head_sway(_person(code, shot), shot.time * seconds, rests)


def _blend(pictures: NDArray[np.float32], strength: float) -> NDArray[np.float32]:
    """Blend the pictures (3, 128, 128, 3) of two strengths."""
    place = float(np.clip(np.interp(strength, _STRENGTHS, (0, 1, 2)), 0, 2))
    low = min(int(place), 1)
    share = np.float32(place - low)
    return pictures[low] + share * (pictures[low + 1] - pictures[low])


def make_method(options: MethodOptions) -> SmileVideoMethod:
    """Make the method that these options ask for."""
    return SmileVideoMethod(
        options.model or "vae",
        options.vectors or "vectors",
        device=options.device,
        seed=options.seed,
    )


@lru_cache(maxsize=2)
def _shared_method(
    model: str, vectors: str, motion: str, dynamics: str, device: str, seed: int
) -> SmileVideoMethod:
    """Return this process' method of such a kind."""
    return SmileVideoMethod(model, vectors, motion, dynamics, device=device, seed=seed)
