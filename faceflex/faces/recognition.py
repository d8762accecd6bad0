"""Identity distance of edits: dlib's face descriptor.

The network embeds a face in 128 dimensions such that photos of one person are within 0.6 of each
other (King, "High quality face recognition with deep metric learning", 2017; 99.38 % on LFW). A
neutral and a smiling photo of one person are about 0.24 apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceflex.assets import locate, resolve
from faceflex.assets.registry import find_asset
from faceflex.errors import AssetError
from faceflex.faces.align import estimate_similarity, template, warp
from faceflex.faces.landmarks import LandmarkModel

ASSET = "dlib-descriptor"
_SIDE, _PADDING = 150, 0.25


class FaceDescriptor:
    """dlib's face descriptor.

    Parameters
    ----------
    path
        ``dlib_face_recognition_resnet_model_v1.dat``; by default the registered file, downloaded if
        missing.

    Raises
    ------
    AssetError
        If it cannot be downloaded, or is not such a file.
    """

    def __init__(self, path: Path | None = None) -> None:
        import dlib

        path = path or resolve(ASSET)
        try:
            self._network = dlib.face_recognition_model_v1(str(path))
        except RuntimeError as error:
            raise AssetError(f"{path}: not dlib's face descriptor ({error})") from error
        self._shape, self._face_chip = dlib.full_object_detection, dlib.get_face_chip
        self._point, self._rectangle = dlib.point, dlib.rectangle

    @classmethod
    @cache
    def default(cls) -> FaceDescriptor:
        """Return the registered descriptor, loaded once."""
        return cls()

    def __call__(
        self, picture: NDArray[np.uint8], points: NDArray[np.floating]
    ) -> NDArray[np.float64]:
        """Compute the descriptor of a face.

        Parameters
        ----------
        picture
            (H, W, 3) uint8 RGB.
        points
            (68, 2) landmarks in its pixels.

        Returns
        -------
        (128,) float64.
        """
        # The face is warped to a fixed size first, antialiased: dlib's face chip then costs the
        # same for every photo.
        side = 2 * _SIDE
        matrix = estimate_similarity(points, template(_SIDE) + np.float32(_SIDE / 2))
        frame, _ = warp(picture, matrix, side)
        aligned = np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2]
        parts = [self._point(round(float(x)), round(float(y))) for x, y in aligned]
        shape = self._shape(self._rectangle(0, 0, side - 1, side - 1), parts)
        chip = self._face_chip(frame, shape, _SIDE, _PADDING)
        return np.array(self._network.compute_face_descriptor(chip))


def descriptor_available() -> bool:
    """Return whether the descriptor is on this machine, without downloading it."""
    return locate(find_asset(ASSET)) is not None


def descriptor_distance(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """Return the Euclidean distance between two descriptors."""
    return float(np.linalg.norm(first - second))


class IdentityMeter:
    """Identity distances between a photo's faces and their edits.

    Parameters
    ----------
    landmarks
        Predicts the faces' landmarks anew in each edit.
    rgb
        (H, W, 3) uint8 photo.
    points
        (68, 2) landmarks of each face.
    descriptor
        The registered one by default.
    """

    def __init__(
        self,
        landmarks: LandmarkModel,
        rgb: NDArray[np.uint8],
        points: Sequence[NDArray[np.floating]],
        descriptor: FaceDescriptor | None = None,
    ) -> None:
        self._landmarks, self._points = landmarks, points
        self._descriptor = descriptor or FaceDescriptor.default()
        self._before = [self._describe(rgb, p) for p in points]

    def _describe(
        self, picture: NDArray[np.uint8], points: NDArray[np.floating]
    ) -> NDArray[np.float64]:
        return self._descriptor(picture, self._landmarks.refine(picture, points))

    def distances(self, picture: NDArray[np.uint8]) -> list[float | None]:
        """Return each face's descriptor distance between the photo and an edit of it."""
        return [
            descriptor_distance(self._describe(picture, p), before)
            for p, before in zip(self._points, self._before, strict=True)
        ]
