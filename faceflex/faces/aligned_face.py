"""A face aligned to the template, with its lips, region and blur: the input of every method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceflex.faces.align import align, transform_points
from faceflex.faces.find import Face
from faceflex.faces.landmarks import LandmarkModel
from faceflex.faces.lips import Lips, find_lips
from faceflex.faces.region import Region, make_region
from faceflex.faces.sharpness import estimate_blur
from faceflex.faces.warnings import (
    LIPS_UNSEEN,
    disturbed_starts,
    face_warnings,
    lip_line_shift,
)


@dataclass(frozen=True)
class AlignedFace:
    """A face in the template's frame, the coordinates that all models share.

    Attributes
    ----------
    face
        Detection and landmarks in the photo.
    crop
        (128, 128, 3) uint8 RGB, aligned to the template.
    landmarks
        (68, 2) float32 in pixels of the crop.
    lips
        Contours of the inner lips, in pixels of the crop.
    matrix
        (2, 3) float64 similarity, photo pixels to crop pixels.
    region
        Region of interest that an edit changes; None when the face lies outside the photo.
    blur
        Sigma of the Gaussian blur of the region's edges, in pixels of the photo.
    warnings
        What makes a good edit unlikely, a phrase each.
    """

    face: Face
    crop: NDArray[np.uint8]
    landmarks: NDArray[np.float32]
    lips: Lips
    matrix: NDArray[np.float64]
    region: Region | None
    blur: float = 0.0
    warnings: tuple[str, ...] = ()


def align_faces(
    rgb: NDArray[np.uint8],
    faces: Sequence[Face],
    landmark_model: LandmarkModel | None = None,
    *,
    hog_scores: bool = True,
) -> list[AlignedFace]:
    """Align faces to the template; measure lips, region and blur for composition.

    Parameters
    ----------
    rgb
        (H, W, 3) uint8 photo.
    faces
        Detected faces.
    landmark_model
        Finds landmarks again where a warning depends on it; without it there are no warnings.
    hog_scores
        Whether the faces' scores are those of the HOG detector, which a warning depends on.

    Returns
    -------
    Aligned faces, in the same order.
    """
    return [_align(rgb, face, landmark_model, hog_scores) for face in faces]


def _align(
    rgb: NDArray[np.uint8], face: Face, landmark_model: LandmarkModel | None, hog_scores: bool
) -> AlignedFace:
    aligned = align(rgb, face.points)
    landmarks = transform_points(aligned.matrix, face.points)
    region = make_region(rgb.shape, face.points, aligned.matrix)
    lips = find_lips(rgb, face.points)
    warnings: tuple[str, ...] = ()
    if landmark_model is not None:
        again = []
        if lip_line_shift(landmarks, lips) < LIPS_UNSEEN:
            starts = disturbed_starts(face.points)
            refined = (landmark_model.refine(rgb, start) for start in starts)
            again = [transform_points(aligned.matrix, points) for points in refined]
        score = face.score if hog_scores else None
        warnings = face_warnings(aligned.crop, aligned.valid, landmarks, lips, again, score)
    return AlignedFace(
        face,
        aligned.crop,
        landmarks,
        lips,
        aligned.matrix,
        region,
        estimate_blur(region.crop(rgb)) if region is not None else 0.0,
        warnings,
    )
