"""What the settings of attribute vectors do to a face: steps in the latent, and where it moves."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceflex.compose.layers import Layer
from faceflex.compose.mustache import Mustache
from faceflex.faces.aligned_face import AlignedFace
from faceflex.faces.lips import Lips
from faceflex.methods.attribute_styles import blend_styles, style_of
from faceflex.methods.base import Shot
from faceflex.methods.face_years import FaceYears
from faceflex.methods.landmark_readout import landmark_targets
from faceflex.methods.latent_steps import (
    FaceCode,
    LatentStep,
    SmileStep,
    keeps_lips_closed,
    opening_share,
)
from faceflex.methods.smile_motion import SmileMotion
from faceflex.methods.smile_targets import smile_targets
from faceflex.methods.years import OLDER, YEARS, YOUNGER, Appearance, without_droop

if TYPE_CHECKING:
    from faceflex.methods.vectors import AttributeVectors

SMILE = "Smiling"  # Its motion is learned from pairs of pictures.
MUSTACHE = "Mustache"
"""An attribute that is drawn, hair by hair."""
_YOUNG = "Young"  # It goes by statistics of years, too.
_OPEN = "Mouth_Slightly_Open"  # Set to 0, a smile keeps lips closed.


@dataclass(frozen=True)
class VectorSteps:
    """Turns settings into steps of a face.

    Attributes
    ----------
    vectors
        The attribute vectors.
    smile_motion
        How people smile; None where that is read from the latent.
    years
        How faces look at each age.
    seed
        Fixes which versions of a vector are drawn as variants.
    """

    vectors: AttributeVectors
    smile_motion: SmileMotion | None
    years: FaceYears
    seed: int

    def of_shot(self, shot: Shot, code: FaceCode) -> list[LatentStep]:
        """Return what a shot does to a face: first what moves nothing, then what moves."""
        offsets = np.zeros((2, self.vectors.width), np.float32)
        groups: tuple[dict[str, float], dict[str, float]] = ({}, {})
        smile, years = None, 0.0
        layers: list[Layer] = []
        closed = keeps_lips_closed(code) or dict(shot.settings).get(_OPEN, 1.0) <= 0
        for name, strength in shot.settings:
            if name == MUSTACHE and strength > 0:
                if not self.years.is_child(code.face):
                    kind = shot.variant * _varies(name, shot)
                    layers.append(Mustache(strength, self.seed + kind))
                continue
            moves = int(style_of(name).moves)
            learned = name == SMILE and self.smile_motion is not None
            closes = learned and closed and strength > 0
            part = np.float32(strength) * self._vector(name, shot, closed=closes)
            if name == _YOUNG:
                years = -YEARS * strength
                part = np.float32((OLDER if years > 0 else YOUNGER).latent) * part
            offsets[moves] += part
            groups[moves][name] = strength
            if learned:
                smile = SmileStep(part, strength, shot.variant * _varies(name, shot), closes)
        still, moving = (blend_styles(g) for g in groups)
        return [
            LatentStep(offsets[0], still, layers=tuple(layers)),
            LatentStep(offsets[1], moving, smile, years=years),
        ]

    def _vector(self, name: str, shot: Shot, *, closed: bool = False) -> NDArray[np.float32]:
        """Return the version (D,) of an attribute's vector that a shot asks for."""
        vectors = self._closed_vectors if closed else self.vectors
        if not _varies(name, shot):
            return vectors.mean(name)
        return vectors.variant(name, shot.variant, self.seed)

    @cached_property
    def _closed_vectors(self) -> AttributeVectors:
        """The vectors without what open mouths are told by, where that is known."""
        if _OPEN not in self.vectors.linear_probes:
            return self.vectors
        return self.vectors.condition_on([*self.vectors.conditions, _OPEN])

    def smiling(self, face: AlignedFace, latent: NDArray[np.float32]) -> float:
        """Return how certainly a face smiles, 0 to 1; 1 where that is not known."""
        if self.smile_motion is None:
            return 1.0
        known = self.vectors.smile_degree(latent)
        return self.smile_motion.certainty(face.landmarks, face.lips, known)

    def of_smile(self, code: FaceCode, offset: NDArray[np.float32]) -> LatentStep:
        """Return an offset (D,) as a smile as strong as the *Smiling* that changes as much."""
        own = self.vectors.smile_degree(offset)
        unit = self.vectors.smile_degree(self.vectors.mean(SMILE)) if own else None
        smile = None
        if self.smile_motion is not None and own and unit:
            smile = SmileStep(offset, own / unit, 0, own > 0 and keeps_lips_closed(code))
        return LatentStep(offset, style_of(SMILE, negative=bool(own and own < 0)), smile)

    def targets(
        self, code: FaceCode, step: LatentStep, aged: Appearance | None = None
    ) -> tuple[NDArray[np.float32] | None, Lips | None]:
        """Return where landmarks and lips go; None, None where nothing moves."""
        if not step.style.moves:
            return None, None
        landmarks, lips, offset = code.face.landmarks, code.face.lips, step.offset
        sideways, smile = step.style.sideways, step.smile
        if smile is not None and self.smile_motion is not None:
            landmarks, lips = smile_targets(
                self.smile_motion,
                landmarks,
                lips,
                smile.strength,
                self.vectors.landmark_shift(smile.offset),
                variant=smile.variant,
                seed=self.seed,
                closed=smile.closed,
                certainty=code.smiles,
                sideways=sideways,
                opening=opening_share(code),
            )
            offset = offset - smile.offset
            if not offset.any():
                return landmarks, lips
        shift = self.vectors.landmark_shift(offset)
        if aged is not None:
            gain = np.float32((OLDER if step.years > 0 else YOUNGER).shape)
            moved = gain * without_droop(aged.shape)
            shift = moved if shift is None else shift + moved
        if shift is None:
            return (landmarks, lips) if smile else (None, None)
        return landmark_targets(landmarks, shift, lips, sideways=sideways)


def _varies(name: str, shot: Shot) -> bool:
    """Return whether a shot asks for a variant of an attribute."""
    return shot.variant > 0 and (not shot.varied or name in shot.varied)
