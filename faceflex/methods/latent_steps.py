"""A face in a latent space, and the steps of an edit there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from faceflex.compose.layers import Layer
from faceflex.faces.aligned_face import AlignedFace
from faceflex.faces.head_turn import HeadTurn
from faceflex.faces.infant import is_child, is_infant
from faceflex.methods.attribute_styles import AttributeStyle

Crop = NDArray[np.float32]

_AJAR = 4.0  # Pixels of the crop: lips that are less apart are as good as closed.
_INFANT_OPENING, _CHILD_OPENING = 0.15, 0.8
_APART, _APART_OPENING = (1.5, 4.5), 0.35  # Gaps, in pixels of the crop, from which lips part less.
_LESS = 0.75  # Share of a smile that mouths which are surely covered do not get.
_TURNED = (14.0, 24.0)  # Degrees from which less of a smile is given, and from which no less ...
_TURNED_SMILE, _TURNED_OPENING = 0.7, 0.5  # ... than this share; and lips part by this share of it.
_COVERED = 0.5  # From here on, lips do not part: nobody knows what is behind.


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
    covered
        How surely something lies before its mouth, 0 to 1.
    """

    face: AlignedFace
    latent: NDArray[np.float32]
    decoded: Crop
    to_template: NDArray[np.float64] | None
    smiles: float = 1.0
    covered: float = 0.0


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
        """Return the step for a face.

        A smile is taken away only as far as there is one; of one that is given, less is done to
        mouths that are covered and to heads that are turned far.
        """
        if self.smile is None:
            return self
        given = self.smile.strength >= 0
        share = given_share(code) if given else code.smiles
        if share >= 1:
            return self
        strength = share * self.smile.strength if given else self.smile.strength
        smile = replace(self.smile, offset=np.float32(share) * self.smile.offset, strength=strength)
        return replace(self, offset=self.offset - self.smile.offset + smile.offset, smile=smile)


def turned_far(face: AlignedFace) -> float:
    """Return how far a head is turned beyond what smiles are given to in full, 0 to 1."""
    low, high = _TURNED
    angle = abs(HeadTurn.estimate(face.landmarks).degrees)
    return float(np.clip((angle - low) / (high - low), 0, 1))


def given_share(code: FaceCode) -> float:
    """Return the share of a smile that a face is given, 0 to 1."""
    return (1 - _LESS * code.covered) * (1 - (1 - _TURNED_SMILE) * turned_far(code.face))


def keeps_lips_closed(code: FaceCode) -> bool:
    """Return whether a face smiles with closed lips.

    Infants do, and mouths that are covered, unless they are wide open.
    """
    if infant_keeps_lips_closed(code.face):
        return True
    return code.covered >= _COVERED and code.face.lips.gap < _AJAR


def infant_keeps_lips_closed(face: AlignedFace) -> bool:
    """Return whether a face is an infant's whose mouth is not wide open: it shows no teeth."""
    return face.lips.gap < _AJAR and is_infant(face.landmarks)


def opening_share(code: FaceCode) -> float:
    """Return how far lips part farther in a smile: infants' hardly, children's less than adults'.

    Those that are apart already less, too: what shows between them is this person's own. And those
    of heads that are turned far.
    """
    if is_infant(code.face.landmarks):
        return _INFANT_OPENING
    low, high = _APART
    apart = float(np.clip((code.face.lips.gap - low) / (high - low), 0, 1))
    left = (1 - (1 - _APART_OPENING) * apart) * (1 - (1 - _TURNED_OPENING) * turned_far(code.face))
    return min(left, _CHILD_OPENING) if is_child(code.face.landmarks) else left


def steps_of_face(code: FaceCode, steps: Sequence[LatentStep]) -> list[LatentStep]:
    """Return the steps that change a face, as they are for this face."""
    return [step for step in (s.of_face(code) for s in steps) if step.changes]


def latents_after(code: FaceCode, steps: Sequence[LatentStep]) -> Iterator[NDArray[np.float32]]:
    """Yield a face's latent (D,) after each step."""
    latent = code.latent
    for step in steps:
        latent = latent + step.offset
        yield latent
