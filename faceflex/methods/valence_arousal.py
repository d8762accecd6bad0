"""Valence and arousal as a way to edit: two dials for a feeling.

A regressor says where a face is in the plane. What differs between that place and the one that is
asked for, on the surfaces of :class:`~faceflex.methods.affect_plane.AffectPlane`, moves the face's
landmarks and its latent; as for attribute vectors, what changes between two decodes is transferred.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from faceflex.assets import resolve
from faceflex.assets.registry import sha256_of
from faceflex.compose.change import FaceChange, TransferStyle
from faceflex.compose.warp import estimate_warp
from faceflex.errors import UsageError
from faceflex.faces.align import align
from faceflex.faces.aligned_face import AlignedFace
from faceflex.methods.affect_controls import AROUSAL, CONTROLS, VALENCE, shift_of
from faceflex.methods.affect_plane import AffectPlane
from faceflex.methods.attribute_vectors import AttributeVectorMethod
from faceflex.methods.base import Shot
from faceflex.methods.controls import Control, MethodOptions, Settings, settings_by_name
from faceflex.methods.expression_actions import action_motion, jaw_share
from faceflex.methods.expression_motion import after_motion, droop_of, expression_targets
from faceflex.methods.latent_steps import FaceCode

if TYPE_CHECKING:
    from faceflex.models.affect_regressor import AffectRegressor

NAME = "valence-arousal"
PLANE, REGRESSOR = "affect-plane", "affect"

HELD_OUT_ERROR = {"valence": 0.41, "arousal": 0.43}
"""Root mean square error of the estimates on held-out faces of AffectNet (docs/emotion.md)."""

_STYLE = TransferStyle(max_shading=0.2, highpass_sigma=5.0, rendered=1.0)
_LATENT_GAIN = 1.5
_TOLD_GAIN = 2.5  # A renderer is told of more: at the mean smile of happy faces it shows no teeth.
# What the regressor says is certain in part only; the rest is what faces usually have.
_CERTAINTY = np.array([0.8, 0.5], np.float32)
_USUAL = np.array([0.06, 0.0], np.float32)
_LATENTS = 64  # Decoded at a time.

Place = tuple[float, float]
Crop = NDArray[np.float32]


@dataclass(frozen=True)
class AffectCode:
    """A face as this method knows it.

    Attributes
    ----------
    code
        As attribute vectors know it: face, latent and decode.
    place
        Its estimated valence and arousal.
    before
        (128, 128, 3) float32 in [0, 1]: the model's picture of the face as it is.
    inner
        What else the model needs of it.
    """

    code: FaceCode
    place: Place
    before: Crop
    inner: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Move:
    """A face on its way through the plane.

    Attributes
    ----------
    code
        The face.
    end
        Where it goes.
    motion
        (68, 2) how far the landmarks of a mean face move.
    offset
        (D,) how far the latent of a mean face moves.
    """

    code: AffectCode
    end: Place
    motion: NDArray[np.float32]
    offset: NDArray[np.float32]


class ValenceArousalMethod:
    """Edits faces by valence and arousal; loads each file when it is first needed.

    Parameters
    ----------
    model, vectors
        Registered names or paths of files: the face model, and its vectors, whose probes tell a
        content renderer smile and age.
    plane, regressor
        The surfaces over the plane, and what estimates a face's place in it.
    device
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    """

    name = NAME

    def __init__(
        self,
        model: str | Path = "vae",
        vectors: str | Path = "vectors",
        *,
        plane: str | Path = PLANE,
        regressor: str | Path = REGRESSOR,
        device: str = "auto",
    ) -> None:
        self._faces = AttributeVectorMethod(model, vectors, device=device)
        self._plane_name, self._regressor_name = plane, regressor
        self._key = (model, vectors, plane, regressor, device)

    def __reduce__(self) -> tuple[Any, ...]:
        return _shared_method, self._key

    @cached_property
    def plane(self) -> AffectPlane:
        """Surfaces over the plane."""
        return AffectPlane.load(resolve(self._plane_name), self._faces.fingerprints["model"])

    @cached_property
    def regressor(self) -> AffectRegressor:
        """What estimates places; on the CPU, where one face takes milliseconds."""
        from faceflex.models.affect_regressor import load_affect_regressor

        return load_affect_regressor(resolve(self._regressor_name))

    @cached_property
    def fingerprints(self) -> Mapping[str, str]:
        """The face model's id, and hashes of plane and regressor."""
        files = {"plane": self._plane_name, "regressor": self._regressor_name}
        hashes = {role: sha256_of(resolve(name))[:12] for role, name in files.items()}
        return {**self._faces.fingerprints, **hashes}

    @property
    def controls(self) -> Mapping[str, Control]:
        """Valence and arousal, set or shifted."""
        return {control.name: control for control in CONTROLS}

    @property
    def accelerated(self) -> bool:
        """Whether something else than the CPU computes."""
        return self._faces.accelerated

    def load(self) -> None:
        """Load all files now."""
        self._faces.load()
        _ = self.plane, self.regressor

    def resolve(self, settings: Mapping[str, float]) -> Settings:
        """Return settings under the controls' proper names.

        Raises
        ------
        UsageError
            If a control is unknown or set twice, or a value is not in [-1, 1] (shifts: [-2, 2]).
        """
        resolved = settings_by_name(settings, self.controls)
        for name, value in resolved.items():
            control = self.controls[name]
            if not control.low <= value <= control.high:
                span = f"from {control.low:g} to {control.high:g}"
                raise UsageError(f"`{name}` {value:g}: needs a value {span}")
        for name in (VALENCE, AROUSAL):
            if name in resolved and shift_of(name) in resolved:
                raise UsageError(f"{name}: is set and shifted; give one of both")
        return tuple(resolved.items())

    def encode(self, faces: Sequence[AlignedFace], photo: NDArray[np.uint8]) -> list[AffectCode]:
        """Encode faces, and estimate their places in the plane."""
        codes = self._faces.encode(faces, photo)
        if not codes:
            return []
        places = self.estimate(np.stack([face.crop for face in faces]))
        return [
            AffectCode(code, (float(v), float(a)), code.decoded)
            for code, (v, a) in zip(codes, places, strict=True)
        ]

    def estimate(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the places (N, 2) of aligned crops (N, 128, 128, 3): the likeliest ones.

        A regressor's estimates are as far apart as real places are; being uncertain, they are drawn
        towards those of usual faces.
        """
        return np.clip(_CERTAINTY * self.regressor.estimate(crops) + _USUAL, -1, 1)

    def own_values(self, code: AffectCode) -> Mapping[str, float]:
        """Return a face's estimated valence and arousal."""
        return dict(zip((VALENCE, AROUSAL), code.place, strict=True))

    def changes(
        self, codes: Sequence[AffectCode], shots: Sequence[Shot]
    ) -> Iterator[list[list[FaceChange]]]:
        """Yield, for each shot, the one step of each face; none where its place stays."""
        batch = max(1, _LATENTS // max(1, len(codes)))
        for start in range(0, len(shots), batch):
            part = shots[start : start + batch]
            moves = [[self._move(code, shot) for code in codes] for shot in part]
            decoded = iter(self.decode([m for row in moves for m in row if m is not None]))
            for row in moves:
                yield [[] if m is None else [self._change(m, next(decoded))] for m in row]

    def _move(self, code: AffectCode, shot: Shot) -> Move | None:
        """Return where a shot moves a face; None where it stays."""
        end = target_place(code.place, dict(shot.settings))
        if end == code.place:
            return None
        landmarks = code.code.face.landmarks
        return Move(code, end, *self.plane.change_of(landmarks, code.place, end))

    def decode(self, moves: Sequence[Move]) -> Sequence[Crop]:
        """Return the model's pictures (128, 128, 3) of faces where they have gone."""
        if not moves:
            return ()
        latents = [m.code.code.latent + np.float32(_LATENT_GAIN) * m.offset for m in moves]
        pictures = self._faces.codec.decode(np.array(latents))
        pairs = zip(moves, pictures, strict=True)
        return [self._faces.in_template(m.code.code, picture) for m, picture in pairs]

    def decoded_motion(self, move: Move) -> NDArray[np.float32] | None:
        """Return how far (68, 2) the landmarks move in the pictures of :meth:`decode`."""
        return self._faces.vectors.landmark_shift(np.float32(_LATENT_GAIN) * move.offset)

    def _change(self, move: Move, decoded: Crop) -> FaceChange:
        face, before = move.code.code.face, move.code.before
        droop = droop_of(move.end[1]) - droop_of(move.code.place[1])
        actions = action_motion(move.code.place, move.end, face.lips.gap)
        targets, lips = expression_targets(face.landmarks, face.lips, move.motion, actions, droop)
        shut = max(0.0, droop)
        warp = estimate_warp(face.landmarks, targets, face.lips, lips)
        folds = self.plane.shading(move.code.place, move.end)
        after = after_motion(before, decoded, self.decoded_motion(move), warp, folds)
        told = move.code.code.latent + np.float32(_TOLD_GAIN) * move.offset
        condition = self._faces.condition(move.code.code, told)
        condition["jaw"] = jaw_share(move.end)
        return FaceChange(
            before, after, targets, lips, _STYLE, condition, eyes_shut=shut, warp=warp
        )


def target_place(own: Place, settings: Mapping[str, float]) -> Place:
    """Return where a face at a place is to go, inside [-1, 1].

    Examples
    --------
    >>> target_place((0.5, 0.1), {"valence": -0.5})
    (-0.5, 0.1)
    >>> target_place((0.5, 0.0), {"valence_shift": 0.75, "arousal_shift": -0.25})
    (1.0, -0.25)
    """
    ends = []
    for name, value in zip((VALENCE, AROUSAL), own, strict=True):
        if name in settings:
            end = settings[name]
        elif settings.get(shift_of(name)):
            end = value + settings[shift_of(name)]
        else:
            ends.append(value)
            continue
        ends.append(float(np.clip(end, -1, 1)))
    return ends[0], ends[1]


def estimate_feelings(
    photo: NDArray[np.uint8], points: Sequence[NDArray[np.floating]]
) -> tuple[NDArray[np.float32], Mapping[str, float]]:
    """Estimate valence and arousal of a photo's faces.

    Parameters
    ----------
    photo
        (H, W, 3) uint8.
    points
        (68, 2) landmarks of each face, in pixels of the photo.

    Returns
    -------
    (N, 2) in [-1, 1], and the root mean square error of both on faces that were held out.
    """
    method = _shared_method("vae", "vectors", PLANE, REGRESSOR, "cpu")
    if not len(points):
        return np.zeros((0, 2), np.float32), HELD_OUT_ERROR
    return method.estimate(np.stack([align(photo, p).crop for p in points])), HELD_OUT_ERROR


def make_method(options: MethodOptions) -> ValenceArousalMethod:
    """Make the method that these options ask for; ``model`` may be an autoencoder's file."""
    if options.model is not None:
        from faceflex.methods.caae_faces import CAAEMethod, is_caae

        path = resolve(options.model)
        if is_caae(path):
            return CAAEMethod(path, vectors=options.vectors or "vectors", device=options.device)
    return ValenceArousalMethod(
        options.model or "vae", options.vectors or "vectors", device=options.device
    )


@lru_cache(maxsize=2)
def _shared_method(
    model: str | Path, vectors: str | Path, plane: str | Path, regressor: str | Path, device: str
) -> ValenceArousalMethod:
    """Return this process' method of such a kind."""
    return ValenceArousalMethod(model, vectors, plane=plane, regressor=regressor, device=device)
