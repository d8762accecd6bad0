"""What an editor works with: a face made ready, and what is to be done to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceflex.faces import Face
from faceflex.faces.lips import Lips
from faceflex.faces.region import Region
from faceflex.methods.attribute_styles import TransferStyle


@dataclass(frozen=True)
class AlignedFace:
    """A face, encoded.

    Attributes
    ----------
    face
        Where it is.
    region
        The part of the photo that an edit of it touches; None when it lies outside.
    latent
        (D,) float32 posterior mean.
    decoded
        (128, 128, 3) float32 in [0, 1]: what the model makes of the face as it is.
    crop
        (128, 128, 3) uint8: the aligned face.
    points
        (68, 2) float32 landmarks in pixels of the crop.
    lips
        The edges of the inner lips, in pixels of the crop.
    blur
        How blurred it is, in pixels of the photo.
    remarks
        What is hard about it, a phrase each.
    """

    face: Face
    region: Region | None
    latent: NDArray[np.float32]
    decoded: NDArray[np.float32]
    crop: NDArray[np.uint8]
    points: NDArray[np.float32]
    lips: Lips
    blur: float = 0.0
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Edit:
    """What is done to a face: first what lies on it, then what moves it.

    Attributes
    ----------
    shift, how
        (D,) what is added to its latent and moves the photo's pixels, and how that is carried over.
    content, how_content
        (D,) what is added before and moves nothing, such as hair on the skin; likewise.
    """

    shift: NDArray[np.float32]
    how: TransferStyle
    content: NDArray[np.float32]
    how_content: TransferStyle

    def parts(self) -> list[tuple[NDArray[np.float32], TransferStyle]]:
        """Return the parts that change anything, in their order."""
        both = ((self.content, self.how_content), (self.shift, self.how))
        return [(shift, how) for shift, how in both if shift.any()]

    def latents(self, latent: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Return a face's latent (D,) after each part."""
        found = []
        for shift, _ in self.parts():
            latent = latent + shift
            found.append(latent)
        return found

    @property
    def size(self) -> float:
        """How much is added in all, as a sum of absolute values."""
        return float(np.abs(self.shift).sum() + np.abs(self.content).sum())
