"""Attribute vectors in a VAE's latent space (Face Flex), as a way to edit.

A face is encoded, a vector times its strength is added to the latent, and what changes between the
two decodes is the change. What lies on a face (hair, glasses, make-up) is one step that moves
nothing; what moves it is the next.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.assets import resolve
from faceflex.compose.change import FaceChange
from faceflex.errors import AssetError, UsageError
from faceflex.faces.align import SIZE, align, compose_affine, invert
from faceflex.faces.aligned_face import AlignedFace
from faceflex.methods.attribute_styles import AttributeStyle, blend_styles, style_of
from faceflex.methods.base import Shot
from faceflex.methods.controls import Control, MethodOptions, Settings
from faceflex.methods.landmark_readout import landmark_targets
from faceflex.models.model_id import read_id

if TYPE_CHECKING:
    from faceflex.methods.vectors import AttributeVectors
    from faceflex.models.codec import Codec
    from faceflex.models.vae import VAE

_LATENTS = 64  # Decoded at a time; more would only need more memory.
_MEASURED = 2.5  # Strengths up to this were measured.

Crop = NDArray[np.float32]


@dataclass(frozen=True)
class FaceCode:
    """A face as this method knows it.

    Attributes
    ----------
    face
        The aligned face.
    latent
        (D,) float32 posterior mean.
    decoded
        (128, 128, 3) float32 in [0, 1]: its decode, in the template's frame.
    to_template
        (2, 3) from the model's own crop to the template's; None where they are the same.
    """

    face: AlignedFace
    latent: NDArray[np.float32]
    decoded: Crop
    to_template: NDArray[np.float64] | None


@dataclass(frozen=True)
class _Step:
    """A latent offset (D,), and how what it changes gets into the photo."""

    offset: NDArray[np.float32]
    style: AttributeStyle


class AttributeVectorMethod:
    """Edits faces by attribute vectors; loads each file when it is first needed.

    Sent to another process, it arrives without its models and loads them there; equal ones are one
    in that process.

    Parameters
    ----------
    model, vectors
        Registered names or paths of files.
    condition_on
        Attributes that edits of others should leave as they are.
    device
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    seed
        Fixes which versions of a vector are drawn as variants.
    """

    name = "attribute-vectors"

    def __init__(
        self,
        model: str | Path = "vae",
        vectors: str | Path = "vectors",
        *,
        condition_on: Sequence[str] = (),
        device: str = "auto",
        seed: int = 0,
    ) -> None:
        self._model_name, self._vectors_name = model, vectors
        self._condition_on, self._device, self._seed = tuple(condition_on), device, seed

    def __reduce__(self) -> tuple[Any, ...]:
        key = (self._model_name, self._vectors_name, self._condition_on, self._device, self._seed)
        return _shared_method, key

    @cached_property
    def model(self) -> VAE:
        """The face model."""
        from faceflex.models.checkpoint import load_vae
        from faceflex.models.device import pick_device

        path = resolve(self._model_name)
        model = load_vae(path, pick_device(self._device))[0]
        if model.config.size != SIZE:
            raise AssetError(f"{path}: makes faces of {model.config.size} pixels; {SIZE} are used")
        return model

    @cached_property
    def codec(self) -> Codec:
        """Its encoder and decoder, for several threads at once."""
        from faceflex.models.codec import Codec

        return Codec(self.model)

    @cached_property
    def vectors(self) -> AttributeVectors:
        """The attribute vectors of the model."""
        from faceflex.methods.vectors import AttributeVectors

        loaded = AttributeVectors.load(resolve(self._vectors_name), self.fingerprints["model"])
        return loaded.condition_on(self._condition_on)

    @property
    def vectors_name(self) -> str | Path:
        """Registered name or path of the vector file."""
        return self._vectors_name

    @cached_property
    def fingerprints(self) -> Mapping[str, str]:
        """The face model's id; known without loading it."""
        return {"model": read_id(resolve(self._model_name))}

    @cached_property
    def controls(self) -> Mapping[str, Control]:
        """The attributes of the vector file."""
        controls = {}
        for name in self.vectors.names:
            info, count = self.vectors.info[name], len(self.vectors.versions[name])
            useful = _MEASURED if info.success is not None else np.inf
            controls[name] = Control(
                name, -useful, useful, 0.0, f"CelebA's {name}", info.reliability, count
            )
        return controls

    @property
    def accelerated(self) -> bool:
        """Whether something else than the CPU computes."""
        from faceflex.models.device import is_accelerated

        return is_accelerated(self._device)

    def load(self) -> None:
        """Load model and vectors now."""
        _ = self.codec, self.vectors

    def resolve(self, settings: Mapping[str, float]) -> Settings:
        """Return settings under the attributes' proper names.

        Raises
        ------
        UsageError
            If an attribute is unknown, given twice, or conditioned on.
        """
        resolved: dict[str, float] = {}
        for given, strength in settings.items():
            name = self.vectors.find(given)
            if name in resolved:
                raise UsageError(f"{name}: is set twice")
            self.vectors.mean(name)  # Says now what cannot be edited under the conditions.
            resolved[name] = float(strength)
        return tuple(resolved.items())

    def encode(self, faces: Sequence[AlignedFace], photo: NDArray[np.uint8]) -> list[FaceCode]:
        """Encode faces, each cut as the model learned it.

        Raises
        ------
        AssetError
            If the vectors do not fit the model, or the model is damaged.
        """
        if not faces:
            return []
        crops: list[NDArray[np.uint8]] = []
        matrices: list[NDArray[np.float64] | None] = []
        for face in faces:
            if self.model.crop == "template":
                crops.append(face.crop)
                matrices.append(None)
            else:
                own = align(photo, face.face.points, crop=self.model.crop)
                crops.append(own.crop)
                matrices.append(compose_affine(face.matrix, invert(own.matrix)))
        latents = self.codec.encode(np.stack(crops))
        if latents.shape[1] != self.vectors.width:
            counts = f"{self.vectors.width} numbers a vector, the model's faces {latents.shape[1]}"
            raise AssetError(f"{self._vectors_name}: damaged vector file (it has {counts})")
        decodes = self.codec.decode(latents)
        if not np.isfinite(decodes).all():
            raise AssetError(f"{self._model_name}: damaged face model (its faces are not finite)")
        return [
            FaceCode(face, latent, _to_template(decoded, matrix), matrix)
            for face, latent, decoded, matrix in zip(faces, latents, decodes, matrices, strict=True)
        ]

    def changes(
        self, codes: Sequence[FaceCode], shots: Sequence[Shot]
    ) -> Iterator[list[list[FaceChange]]]:
        """Yield, for each shot, the steps of each face; decodes many at a time."""
        batch = max(1, _LATENTS // max(1, 2 * len(codes)))
        for start in range(0, len(shots), batch):
            steps = [self._steps(shot) for shot in shots[start : start + batch]]
            latents = [
                latent for parts in steps for code in codes for latent in _latents(code, parts)
            ]
            decoded: Iterator[Crop] = iter(self.codec.decode(np.array(latents)) if latents else ())
            for parts in steps:
                yield [self._face_changes(code, parts, decoded) for code in codes]

    def _steps(self, shot: Shot) -> list[_Step]:
        """Return what a shot adds to a latent: first what moves nothing, then what moves."""
        offsets = np.zeros((2, self.vectors.width), np.float32)
        groups: tuple[dict[str, float], dict[str, float]] = ({}, {})
        for name, strength in shot.settings:
            moves = int(style_of(name).moves)
            offsets[moves] += np.float32(strength) * self._vector(name, shot)
            groups[moves][name] = strength
        steps = (_Step(o, blend_styles(g)) for o, g in zip(offsets, groups, strict=True))
        return [step for step in steps if step.offset.any()]

    def _vector(self, name: str, shot: Shot) -> NDArray[np.float32]:
        """Return the version (D,) of an attribute's vector that a shot asks for."""
        if shot.variant == 0 or (shot.varied and name not in shot.varied):
            return self.vectors.mean(name)
        return self.vectors.variant(name, shot.variant, self._seed)

    def _face_changes(
        self, code: FaceCode, steps: Sequence[_Step], decoded: Iterator[Crop]
    ) -> list[FaceChange]:
        before, changes = code.decoded, []
        for step, latent in zip(steps, _latents(code, steps), strict=True):
            after = _to_template(next(decoded), code.to_template)
            landmarks = lips = None
            shift = self.vectors.landmark_shift(step.offset) if step.style.moves else None
            if shift is not None:
                landmarks, lips = landmark_targets(
                    code.face.landmarks, shift, code.face.lips, sideways=step.style.sideways
                )
            condition = self.condition(code, latent)
            style = step.style.transfer
            changes.append(FaceChange(before, after, landmarks, lips, style, condition))
            before = after
        return changes

    def in_template(self, code: FaceCode, decoded: Crop) -> Crop:
        """Bring a decode (128, 128, 3) of a face from the model's own crop to the template's."""
        return _to_template(decoded, code.to_template)

    def condition(self, code: FaceCode, latent: NDArray[np.float32]) -> dict[str, float]:
        """Return what a content renderer is told of a face whose latent (D,) is edited.

        That is the ``smile`` of the edited face and the ``age`` of the photo's, as far as the
        vectors can tell them.
        """
        known = {"smile": self.vectors.smile_degree(latent), "age": self.vectors.age(code.latent)}
        return {name: value for name, value in known.items() if value is not None}


def _latents(code: FaceCode, steps: Sequence[_Step]) -> Iterator[NDArray[np.float32]]:
    """Yield a face's latent (D,) after each step."""
    latent = code.latent
    for step in steps:
        latent = latent + step.offset
        yield latent


def _to_template(decoded: Crop, matrix: NDArray[np.float64] | None) -> Crop:
    """Bring a decode (128, 128, 3) from the model's own crop to the template's."""
    if matrix is None:
        return decoded
    border = cv2.BORDER_REFLECT_101
    return cv2.warpAffine(decoded, matrix, (SIZE, SIZE), flags=cv2.INTER_CUBIC, borderMode=border)


def make_method(options: MethodOptions) -> AttributeVectorMethod:
    """Make the method that these options ask for."""
    return AttributeVectorMethod(
        options.model or "vae",
        options.vectors or "vectors",
        condition_on=options.condition_on,
        device=options.device,
        seed=options.seed,
    )


@lru_cache(maxsize=2)
def _shared_method(
    model: str | Path,
    vectors: str | Path,
    condition_on: tuple[str, ...],
    device: str,
    seed: int,
) -> AttributeVectorMethod:
    """Return this process' method of such a kind."""
    return AttributeVectorMethod(
        model, vectors, condition_on=condition_on, device=device, seed=seed
    )
