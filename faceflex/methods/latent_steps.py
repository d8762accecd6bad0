"""A face in a latent space, and the steps of an edit there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from faceflex.compose.layers import Layer
from faceflex.faces.aligned_face import AlignedFace
from faceflex.faces.infant import is_infant
from faceflex.methods.attribute_styles import AttributeStyle

Crop = NDArray[np.float32]

_AJAR = 4.0  # Pixels of the crop: lips that are less apart are as good as closed.


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
    smiles
        How certainly it smiles, 0 to 1.
    """

    face: AlignedFace
    latent: NDArray[np.float32]
    decoded: Crop
    to_template: NDArray[np.float64] | None
    smiles: float = 1.0


@dataclass(frozen=True)
class SmileStep:
    """The part of a step that is a smile whose motion was learned.

    Attributes
    ----------
    offset
        (D,) its part of the latent offset.
    strength
        Of the smile.
    variant
        Which kind of smile; 0 is the usual one.
    closed
        Whether lips meet.
    """

    offset: NDArray[np.float32]
    strength: float
    variant: int
    closed: bool


@dataclass(frozen=True)
class LatentStep:
    """What is added to a latent, and how what it changes gets into the photo.

    Attributes
    ----------
    offset
        (D,) all that is added.
    style
        How it gets into the photo.
    smile
        The part that is a smile, if there is one.
    layers
        What is put on the face.
    years
        By how many years the face gets older.
    """

    offset: NDArray[np.float32]
    style: AttributeStyle
    smile: SmileStep | None = None
    layers: tuple[Layer, ...] = ()
    years: float = 0.0

    @property
    def changes(self) -> bool:
        """Whether it changes anything."""
        return bool(self.offset.any() or self.layers or self.years)

    def of_face(self, code: FaceCode) -> LatentStep:
        """Return the step for a face: a smile is taken away only as far as there is one."""
        if self.smile is None or self.smile.strength >= 0 or code.smiles >= 1:
            return self
        smile = replace(self.smile, offset=np.float32(code.smiles) * self.smile.offset)
        return replace(self, offset=self.offset - self.smile.offset + smile.offset, smile=smile)


def keeps_lips_closed(code: FaceCode) -> bool:
    """Return whether a face smiles with closed lips: infants whose mouths are not wide open."""
    return code.face.lips.gap < _AJAR and is_infant(code.face.landmarks)


def steps_of_face(code: FaceCode, steps: Sequence[LatentStep]) -> list[LatentStep]:
    """Return the steps that change a face, as they are for this face."""
    return [step for step in (s.of_face(code) for s in steps) if step.changes]


def latents_after(code: FaceCode, steps: Sequence[LatentStep]) -> Iterator[NDArray[np.float32]]:
    """Yield a face's latent (D,) after each step."""
    latent = code.latent
    for step in steps:
        latent = latent + step.offset
        yield latent
