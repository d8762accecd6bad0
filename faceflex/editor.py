"""The pipeline: detect, align, encode, add vectors, decode, bring detail back, mask, clone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from faceflex.assets import resolve
from faceflex.attributes import Carry
from faceflex.compose.blur import edge_blur
from faceflex.compose.clone import blend
from faceflex.compose.detail import paste, transfer
from faceflex.compose.region import Region, face_region
from faceflex.compose.warp import motion
from faceflex.faces import Face, find_faces
from faceflex.faces.align import align, apply
from faceflex.faces.landmarks import LandmarkModel
from faceflex.faces.lips import Lips, find_lips
from faceflex.models.identity import read_id
from faceflex.remarks import TYPICAL, remarks

if TYPE_CHECKING:
    from faceflex.models.vae import VAE
    from faceflex.vectors import AttributeVectors


@dataclass(frozen=True)
class PreparedFace:
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


METHODS = ("transfer", "difference", "paste")
"""How an edit gets into the photo: its change is transferred to the photo's own pixels; only the
difference of the decodes is added; or the decode is pasted, as Face Flex does."""


class Editor:
    """Edits photos; loads each model once, when it is first needed.

    Parameters
    ----------
    model, vectors, landmark_model
        Registered names or paths of files.
    detector
        ``hog`` or ``cnn``.
    device
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    method
        One of :data:`METHODS`.
    keep
        Attributes that edits of others should leave as they are.
    """

    def __init__(
        self,
        model: str | Path = "vae",
        vectors: str | Path = "vectors",
        landmark_model: str | Path = "landmarks68",
        *,
        detector: str = "hog",
        device: str = "auto",
        method: str = "transfer",
        keep: Sequence[str] = (),
    ) -> None:
        self._model_name, self._vectors_name = model, vectors
        self._landmark_name, self.detector = landmark_model, detector
        self._device, self.method, self._keep = device, method, tuple(keep)

    @cached_property
    def model(self) -> VAE:
        """The face model."""
        from faceflex.models.checkpoint import load_vae
        from faceflex.models.device import pick_device

        return load_vae(resolve(self._model_name), pick_device(self._device))[0]

    @cached_property
    def model_id(self) -> str:
        """Its id; known without loading it."""
        return read_id(resolve(self._model_name))

    @cached_property
    def vectors(self) -> AttributeVectors:
        """The attribute vectors of the model."""
        from faceflex.vectors import AttributeVectors

        loaded = AttributeVectors.load(resolve(self._vectors_name), self.model_id)
        return loaded.keeping(self._keep)

    @cached_property
    def landmarks(self) -> LandmarkModel:
        """The landmark predictor."""
        return LandmarkModel(resolve(self._landmark_name))

    def find_faces(self, rgb: NDArray[np.uint8]) -> list[Face]:
        """Find the faces of an (H, W, 3) uint8 RGB photo, left to right."""
        return find_faces(rgb, self.landmarks, self.detector)

    def prepare(self, rgb: NDArray[np.uint8], faces: Sequence[Face]) -> list[PreparedFace]:
        """Align and encode faces.

        Parameters
        ----------
        rgb
            (H, W, 3) uint8 photo.
        faces
            Which of its faces.
        """
        from faceflex.models.codec import decode_float, encode_faces

        if not faces:
            return []
        aligned = [align(rgb, face.points, crop=self.model.crop) for face in faces]
        latents = encode_faces(self.model, np.stack([a.crop for a in aligned]))
        typical = latents.copy()
        typical[:, TYPICAL:] = 0
        pictures = decode_float(self.model, np.concatenate([latents, typical]))
        found = []
        for number, (face, cut) in enumerate(zip(faces, aligned, strict=True)):
            points = apply(cut.matrix, face.points)
            region = face_region(rgb.shape, face.points, cut.matrix)
            found.append(
                PreparedFace(
                    face,
                    region,
                    latents[number],
                    pictures[number],
                    cut.crop,
                    points,
                    find_lips(rgb, face.points),
                    edge_blur(region.cut(rgb)) if region is not None else 0.0,
                    remarks(face.width, points, cut.crop, pictures[len(faces) + number]),
                )
            )
        return found

    def direction(self, settings: Mapping[str, float]) -> NDArray[np.float32]:
        """Return the (D,) sum of attributes' mean vectors times their strengths."""
        total = np.zeros(self.vectors.width, np.float32)
        for name, strength in settings.items():
            total += np.float32(strength) * self.vectors.mean(name)
        return total

    def render(
        self,
        rgb: NDArray[np.uint8],
        faces: Sequence[PreparedFace],
        shifts: NDArray[np.floating],
        carries: Sequence[Carry] | None = None,
    ) -> Iterator[NDArray[np.uint8]]:
        """Make one picture for each shift of the latents.

        Parameters
        ----------
        rgb
            (H, W, 3) uint8 photo.
        faces
            From :meth:`prepare`.
        shifts
            (N, D): what to add to the faces' latents. Zeros give the photo's own pixels.
        carries
            For each shift, how its change is carried over (see :func:`faceflex.attributes.carry`);
            as for edits of shape by default.

        Yields
        ------
        (H, W, 3) uint8, all faces edited; outside their masks equal to the photo.
        """
        from faceflex.models.codec import decode_float

        moved = np.asarray(shifts, np.float32)
        active: NDArray[np.bool_] = np.asarray(moved.any(axis=1))
        latents = [p.latent + m for m in moved[active] for p in faces]
        decoded: Iterator[NDArray[np.float32]] = iter(())
        if latents:
            decoded = iter(decode_float(self.model, np.array(latents)))
        for number, changed in enumerate(active):
            canvas = rgb.copy()
            for prepared in faces if changed else ():
                after = next(decoded)
                if prepared.region is not None:
                    how = carries[number] if carries is not None else Carry()
                    patch = self.patch(canvas, prepared, moved[number], after, how)
                    blend(canvas, prepared.region, patch)
            yield canvas

    def patch(
        self,
        canvas: NDArray[np.uint8],
        face: PreparedFace,
        shift: NDArray[np.float32],
        after: NDArray[np.float32],
        how: Carry,
        trace: dict[str, Any] | None = None,
    ) -> NDArray[np.float32]:
        """Make what goes into a face's region.

        Parameters
        ----------
        canvas
            (H, W, 3) uint8 photo.
        face, shift, after
            The face, what is added to its latent (D,), and the decode (128, 128, 3) of that.
        how
            How the change is carried over.
        trace
            Gets the stages in between (see :func:`faceflex.compose.detail.transfer`).

        Returns
        -------
        (h, w, 3) float32 in 0 to 255.
        """
        assert face.region is not None
        if self.method == "paste":
            return paste(face.region, after)
        if self.method == "difference":
            return transfer(
                canvas, face.region, face.crop, face.decoded, after, None, Carry(tone=1.0)
            )
        points = self.vectors.landmark_shift(shift)
        moved = None
        if points is not None:
            moved = motion(face.points, points, face.lips, width=how.width)
        return transfer(
            canvas,
            face.region,
            face.crop,
            face.decoded,
            after,
            moved,
            how,
            blur=face.blur,
            trace=trace,
        )
