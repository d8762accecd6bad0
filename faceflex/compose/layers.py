"""Layers: what is put on a face after its pixels were moved, such as hair or the marks of years."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from faceflex.faces.region import Region
from faceflex.faces.sharpness import eye_blur

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class LayerScene:
    """What a layer sees of a face.

    Attributes
    ----------
    photo
        (h, w, 3) uint8: the region of the photo before this step.
    patch
        (h, w, 3) float32 in 0 to 255: the region as the step has made it so far; a layer changes
        it in place.
    region
        Where it is in the photo.
    landmarks
        (68, 2) where the landmarks are now, in pixels of the crop.
    blur
        Standard deviation of the photo's blur, in its pixels.
    """

    photo: NDArray[np.uint8]
    patch: Floats
    region: Region
    landmarks: Floats
    blur: float

    @cached_property
    def edge_blur(self) -> float:
        """The same, told by the steepest edges of the eyes where these are softer."""
        return max(self.blur, eye_blur(self.photo, self.region, self.landmarks))


class Layer(Protocol):
    """Something that is put on a face."""

    def paint(self, scene: LayerScene) -> None:
        """Put it on the scene's patch, in place."""
        ...
