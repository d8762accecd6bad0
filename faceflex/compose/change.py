"""What an edit does to a face: all that composition knows of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from faceflex.compose.layers import Layer
from faceflex.compose.warp import FaceWarp
from faceflex.faces.lips import Lips


@dataclass(frozen=True)
class TransferStyle:
    """How the difference between two pictures of a face is transferred to the photo.

    Attributes
    ----------
    color
        Share of the difference's color that is transferred, 0 to 1; the rest of the difference only
        makes the photo's own colors lighter or darker.
    max_shading
        The most by which that lightens or darkens, as a share of the brightness.
    highpass_sigma
        What is smoother than a Gaussian of this many pixels of the 128-pixel crop is tone, and is
        left to the photo.
    removal
        Share of the edit, 0 to 1, that takes away what lies on a face: where nothing lies there,
        nothing is changed.
    rendered
        Share of the edit, 0 to 1, that is an expression: its folds are new content too, which a
        learned renderer adds to what is transferred.
    """

    color: float = 0.0
    max_shading: float = 0.4
    highpass_sigma: float = 7.0
    removal: float = 0.0
    rendered: float = 0.0


@dataclass(frozen=True)
class FaceChange:
    """One step of an edit, in the frame of the aligned 128-pixel crop.

    Attributes
    ----------
    before, after
        (128, 128, 3) float32 in [0, 1]: a model's picture of the face without and with the step.
    landmarks
        (68, 2) float32: where the landmarks go, in pixels of the crop; taken literally. None: no
        pixel moves.
    lips
        Where the edges of the inner lips go, if that is known better than from ``landmarks``.
    style
        How the difference is transferred.
    condition
        What a content renderer is told about the face to be, such as its smile degree or age.
    eyes_shut
        How far the upper lids come down over the eyes: 0 as they are, 1 shut.
    relaxed
        Share of a smile, 0 to 1, that is taken away: lips keep their thickness, and folds go.
    layers
        What is put on the face last, such as hair or the marks of years.
    warp
        How that moves the face, where it has been estimated already; None: it is estimated from
        ``landmarks`` and ``lips``.
    """

    before: NDArray[np.float32]
    after: NDArray[np.float32]
    landmarks: NDArray[np.float32] | None = None
    lips: Lips | None = None
    style: TransferStyle = TransferStyle()
    condition: Mapping[str, float] = field(default_factory=dict)
    eyes_shut: float = 0.0
    relaxed: float = 0.0
    layers: tuple[Layer, ...] = ()
    warp: FaceWarp | None = None
