"""Attribute vectors in a VAE's latent space (Face Flex), as a way to edit.

A face is encoded, a vector times its strength is added to the latent, and what changes between the
two decodes is the change. What lies on a face (hair, glasses, make-up) is one step that moves
nothing; what moves it is the next.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
from faceflex.faces.covered import WARNING, covered_score, covered_share
from faceflex.faces.head_turn import HeadTurn
from faceflex.faces.warnings import HIDDEN
from faceflex.methods.attribute_styles import DRAWN
from faceflex.methods.base import Shot
from faceflex.methods.controls import Control, MethodOptions, Settings
from faceflex.methods.face_years import shared_years
from faceflex.methods.latent_steps import (
    Crop,
    FaceCode,
    LatentStep,
    latents_after,
    steps_of_face,
    turned_far,
)
from faceflex.methods.smile_motion import SmileMotion
from faceflex.methods.vector_steps import MUSTACHE, SMILE, VectorSteps
from faceflex.methods.years import (
    aging_layer,
)
from faceflex.models.model_id import read_id

if TYPE_CHECKING:
    from faceflex.methods.vectors import AttributeVectors
    from faceflex.models.codec import Codec
    from faceflex.models.vae import VAE

_LATENTS = 64  # Decoded at a time; more would only need more memory.
_UNSEEN = 0.75  # How surely a mouth is covered whose landmarks say so.
_MEASURED_MODEL = "vae"  # Whose pictures tell covered mouths.
_MEASURED = 2.5  # Strengths up to this were measured.


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
    smile_motion
        Registered name or path of what moves faces that smile; None: motion is read from the latent
        as for all other attributes.
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
        smile_motion: str | Path | None = "smile-motion",
    ) -> None:
        self._model_name, self._vectors_name = model, vectors
        self._smile_motion_name, self._years = smile_motion, shared_years()
        self._condition_on, self._device, self._seed = tuple(condition_on), device, seed

    def __reduce__(self) -> tuple[Any, ...]:
        names = (self._model_name, self._vectors_name)
        options = (self._condition_on, self._device, self._seed, self._smile_motion_name)
        return _shared_method, (*names, *options)

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
    def smile_motion(self) -> SmileMotion | None:
        """How people smile; None where that is read from the latent."""
        name = self._smile_motion_name
        return None if name is None else SmileMotion.load(resolve(name))

    @cached_property
    def _steps(self) -> VectorSteps:
        return VectorSteps(self.vectors, self.smile_motion, self._years, self._seed)

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
            tier = DRAWN.get(name, info.reliability)
            controls[name] = Control(name, -useful, useful, 0.0, f"CelebA's {name}", tier, count)
        return controls

    @property
    def accelerated(self) -> bool:
        """Whether something else than the CPU computes."""
        from faceflex.models.device import is_accelerated

        return is_accelerated(self._device)

    def load(self) -> None:
        """Load model and vectors now."""
        _ = self.codec, self.vectors, self.smile_motion

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
            self._code(face, latent, _to_template(decoded, matrix), matrix)
            for face, latent, decoded, matrix in zip(faces, latents, decodes, matrices, strict=True)
        ]

    def _code(
        self,
        face: AlignedFace,
        latent: NDArray[np.float32],
        decoded: Crop,
        matrix: NDArray[np.float64] | None,
    ) -> FaceCode:
        covered = 0.0
        if self._model_name == _MEASURED_MODEL and self.smile_motion is not None:
            covered = covered_share(covered_score(face.crop, decoded, face.landmarks))
        if HIDDEN in face.warnings:
            covered = max(covered, _UNSEEN)
        return FaceCode(face, latent, decoded, matrix, self._steps.smiling(face, latent), covered)

    def warnings(self, code: FaceCode) -> tuple[str, ...]:
        """Return what this method alone can tell of a face that makes a good edit unlikely."""
        return (WARNING,) if code.covered >= 1 else ()

    def changes(
        self, codes: Sequence[FaceCode], shots: Sequence[Shot]
    ) -> Iterator[list[list[FaceChange]]]:
        """Yield, for each shot, the steps of each face; decodes many at a time."""
        batch = max(1, _LATENTS // max(1, 2 * len(codes)))
        for start in range(0, len(shots), batch):
            faces = [
                [steps_of_face(code, self._steps.of_shot(shot, code)) for code in codes]
                for shot in shots[start : start + batch]
            ]
            latents = [
                latent
                for shot in faces
                for code, steps in zip(codes, shot, strict=True)
                for latent in latents_after(code, steps)
            ]
            decoded: Iterator[Crop] = iter(self.codec.decode(np.array(latents)) if latents else ())
            for shot in faces:
                yield [
                    self._face_changes(code, steps, decoded)
                    for code, steps in zip(codes, shot, strict=True)
                ]

    def _face_changes(
        self, code: FaceCode, steps: Sequence[LatentStep], decoded: Iterator[Crop]
    ) -> list[FaceChange]:
        before, changes = code.decoded, []
        for step, latent in zip(steps, latents_after(code, steps), strict=True):
            after = _to_template(next(decoded), code.to_template)
            aged = self._years.change(code.face, step.years) if step.years else None
            landmarks, lips = self._steps.targets(code, step, aged)
            layers = step.layers
            if aged is not None:
                at = code.face.landmarks if landmarks is None else landmarks
                layers = (*layers, aging_layer(aged, at, self._seed))
            condition = self.condition(code, latent)
            style, smile = step.style.transfer, step.smile
            relaxed = min(1.0, max(0.0, -smile.strength)) * code.smiles if smile else 0.0
            changes.append(
                FaceChange(
                    before,
                    after,
                    landmarks,
                    lips,
                    style,
                    condition,
                    relaxed=relaxed,
                    layers=layers,
                )
            )
            before = after
        return changes

    def remarks(self, code: FaceCode, shot: Shot) -> tuple[str, ...]:
        """Return what a shot leaves undone of what it asks for, a phrase each."""
        asked, said = dict(shot.settings), []
        if asked.get(SMILE, 0.0) > 0 and self.smile_motion is not None and turned_far(code.face):
            angle = abs(HeadTurn.estimate(code.face.landmarks).degrees)
            said.append(f"its head is turned by about {angle:.0f}°: a smaller smile is given")
        if asked.get(MUSTACHE, 0.0) > 0 and (looks := self._years.looks(code.face)).child:
            said.append(f"looks like a child of about {looks.age:.0f}: no mustache is drawn")
        return tuple(said)

    def smile_changes(
        self, codes: Sequence[FaceCode], offsets: Sequence[NDArray[np.float32]]
    ) -> list[list[FaceChange]]:
        """Return the steps that a smile, given or taken away by a latent offset (D,), makes.

        For methods that find such offsets otherwise, in the same latent space. Faces move by the
        learned motion, and one that has no smile to lose keeps what it has.
        """
        pairs = [
            (code, steps_of_face(code, [self._steps.of_smile(code, offset)]))
            for code, offset in zip(codes, offsets, strict=True)
        ]
        latents = [latent for code, own in pairs for latent in latents_after(code, own)]
        decoded: Iterator[Crop] = iter(self.codec.decode(np.array(latents)) if latents else ())
        return [self._face_changes(code, own, decoded) for code, own in pairs]

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
    smile_motion: str | Path | None,
) -> AttributeVectorMethod:
    """Return this process' method of such a kind."""
    return AttributeVectorMethod(
        model,
        vectors,
        condition_on=condition_on,
        device=device,
        seed=seed,
        smile_motion=smile_motion,
    )
