"""The pipeline: detect, align, encode, add vectors, decode, bring detail back, mask, clone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from faceflex.assets import resolve
from faceflex.compose.seamless_clone import seamless_clone
from faceflex.compose.transfer import paste, transfer
from faceflex.compose.warp import estimate_warp
from faceflex.errors import AssetError
from faceflex.faces import Face, find_faces
from faceflex.faces.align import SIZE, align, transform_points
from faceflex.faces.aligned_face import AlignedFace, Edit
from faceflex.faces.landmarks import LandmarkModel
from faceflex.faces.lips import find_lips
from faceflex.faces.region import make_region
from faceflex.faces.sharpness import estimate_blur
from faceflex.faces.warnings import TYPICAL, remarks
from faceflex.methods.attribute_styles import TransferStyle, carry
from faceflex.models.model_id import read_id

if TYPE_CHECKING:
    from faceflex.methods.vectors import AttributeVectors
    from faceflex.models.codec import Codec
    from faceflex.models.vae import VAE


Decodes = list[list[NDArray[np.float32]]]
"""A list for each face: the face after each part of an edit."""

_LATENTS = 64  # Decoded at a time; more would only need more memory.

METHODS = ("transfer", "difference", "paste")
"""How an edit gets into the photo: its change is transferred to the photo's own pixels; only the
difference of the decodes is added; or the decode is pasted, as Face Flex does."""


class Editor:
    """Edits photos; loads each model once, when it is first needed.

    Sent to another process, it arrives without its models and loads them there; equal editors are
    one in that process.

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

    def __reduce__(self) -> tuple[Any, ...]:
        names = (self._model_name, self._vectors_name, self._landmark_name)
        return _same_editor, (*names, self.detector, self._device, self.method, self._keep)

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
        """Its two ways, for several threads at once."""
        from faceflex.models.codec import Codec

        return Codec(self.model)

    @property
    def accelerated(self) -> bool:
        """Whether something else than a CPU computes."""
        from faceflex.models.device import is_accelerated

        return is_accelerated(self._device)

    @cached_property
    def model_id(self) -> str:
        """Its id; known without loading it."""
        return read_id(resolve(self._model_name))

    @cached_property
    def vectors(self) -> AttributeVectors:
        """The attribute vectors of the model."""
        from faceflex.methods.vectors import AttributeVectors

        loaded = AttributeVectors.load(resolve(self._vectors_name), self.model_id)
        return loaded.keeping(self._keep)

    @cached_property
    def landmarks(self) -> LandmarkModel:
        """The landmark predictor."""
        return LandmarkModel(resolve(self._landmark_name))

    def find_faces(self, rgb: NDArray[np.uint8]) -> list[Face]:
        """Find the faces of an (H, W, 3) uint8 RGB photo, left to right."""
        return find_faces(rgb, self.landmarks, self.detector)

    def prepare(self, rgb: NDArray[np.uint8], faces: Sequence[Face]) -> list[AlignedFace]:
        """Align and encode faces.

        Parameters
        ----------
        rgb
            (H, W, 3) uint8 photo.
        faces
            Which of its faces.
        """
        if not faces:
            return []
        aligned = [align(rgb, face.points, crop=self.model.crop) for face in faces]
        latents = self.codec.encode(np.stack([a.crop for a in aligned]))
        if latents.shape[1] != self.vectors.width:
            counts = f"{self.vectors.width} numbers a vector, the model's faces {latents.shape[1]}"
            raise AssetError(f"{self._vectors_name}: damaged vector file (it has {counts})")
        typical = latents.copy()
        typical[:, TYPICAL:] = 0
        pictures = self.codec.decode(np.concatenate([latents, typical]))
        if not np.isfinite(pictures).all():
            raise AssetError(f"{self._model_name}: damaged face model (its faces are not finite)")
        found = []
        for number, (face, cut) in enumerate(zip(faces, aligned, strict=True)):
            points = transform_points(cut.matrix, face.points)
            region = make_region(rgb.shape, face.points, cut.matrix)
            found.append(
                AlignedFace(
                    face,
                    region,
                    latents[number],
                    pictures[number],
                    cut.crop,
                    points,
                    find_lips(rgb, face.points),
                    estimate_blur(region.cut(rgb)) if region is not None else 0.0,
                    remarks(face.width, points, cut.crop, pictures[len(faces) + number]),
                )
            )
        return found

    def edit_of(
        self,
        settings: Mapping[str, float],
        drawn: Mapping[str, NDArray[np.float32]] | None = None,
    ) -> Edit:
        """Return what attributes at their strengths do to a latent.

        Parameters
        ----------
        settings
            Strength of each attribute.
        drawn
            A version (D,) of an attribute to use instead of the mean of all.

        Raises
        ------
        UsageError
            If an attribute is unknown.
        """
        totals = np.zeros((2, self.vectors.width), np.float32)
        kinds: tuple[dict[str, float], dict[str, float]] = ({}, {})
        for given, strength in settings.items():
            name = self.vectors.find(given)
            moves = int(carry({name: 1.0}).motion > 0)
            vector = (drawn or {}).get(name)
            totals[moves] += np.float32(strength) * (
                self.vectors.mean(name) if vector is None else vector
            )
            kinds[moves][name] = strength
        return Edit(totals[1], carry(kinds[1]), totals[0], carry(kinds[0]))

    def render(
        self, rgb: NDArray[np.uint8], faces: Sequence[AlignedFace], edits: Sequence[Edit]
    ) -> Iterator[NDArray[np.uint8]]:
        """Make one picture for each edit.

        Parameters
        ----------
        rgb
            (H, W, 3) uint8 photo.
        faces
            From :meth:`prepare`.
        edits
            From :meth:`edit_of`. Without any shift they give the photo's own pixels.

        Yields
        ------
        (H, W, 3) uint8, all faces edited; outside their masks equal to the photo.
        """
        for edit, decoded in zip(edits, self.decode(faces, edits), strict=True):
            yield self.draw(rgb, faces, edit, decoded)

    def decode(self, faces: Sequence[AlignedFace], edits: Sequence[Edit]) -> Iterator[Decodes]:
        """Decode edited faces, many at a time.

        Yields
        ------
        For each edit, a list for each face: the decodes that :meth:`apply` takes.
        """
        step = max(1, _LATENTS // max(1, 2 * len(faces)))
        for start in range(0, len(edits), step):
            some = edits[start : start + step]
            latents = [z for edit in some for face in faces for z in edit.latents(face.latent)]
            decoded: Iterator[NDArray[np.float32]] = iter(())
            if latents:
                decoded = iter(self.codec.decode(np.array(latents)))
            for edit in some:
                count = len(edit.parts())
                yield [[next(decoded) for _ in range(count)] for _ in faces]

    def draw(
        self,
        rgb: NDArray[np.uint8],
        faces: Sequence[AlignedFace],
        edit: Edit,
        decoded: Decodes,
    ) -> NDArray[np.uint8]:
        """Make the picture of one edit; several threads may do so at once.

        Parameters
        ----------
        rgb, faces, edit
            As for :meth:`render`.
        decoded
            From :meth:`decode`.

        Returns
        -------
        (H, W, 3) uint8.
        """
        canvas = rgb.copy()
        for face, after in zip(faces, decoded, strict=True):
            if face.region is not None:
                self.apply(canvas, face, edit, after)
        return canvas

    def apply(
        self,
        canvas: NDArray[np.uint8],
        face: AlignedFace,
        edit: Edit,
        decoded: Sequence[NDArray[np.float32]],
        trace: dict[str, Any] | None = None,
    ) -> None:
        """Edit a face in place.

        Parameters
        ----------
        canvas
            (H, W, 3) uint8 photo, changed.
        face, edit
            The face, and what to do.
        decoded
            (128, 128, 3) decodes of the edit's latents (see :meth:`Edit.latents`).
        trace
            As for :meth:`patch`, of the last of them.
        """
        assert face.region is not None
        for (shift, how), after in zip(edit.parts(), decoded, strict=True):
            patch = self.patch(canvas, face, shift, after, how, trace)
            seamless_clone(canvas, face.region, patch)
            # What comes next is done to the face as it now is.
            changed = face.crop + 255 * (after - face.decoded)
            crop = np.clip(changed, 0, 255).astype(np.uint8)
            face = replace(face, latent=face.latent + shift, decoded=after, crop=crop)

    def patch(
        self,
        canvas: NDArray[np.uint8],
        face: AlignedFace,
        shift: NDArray[np.float32],
        after: NDArray[np.float32],
        how: TransferStyle,
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
            Gets the stages in between (see :func:`faceflex.compose.transfer.transfer`).

        Returns
        -------
        (h, w, 3) float32 in 0 to 255.
        """
        assert face.region is not None
        if self.method == "paste":
            return paste(face.region, after)
        if self.method == "difference":
            return transfer(
                canvas, face.region, face.crop, face.decoded, after, None, TransferStyle(tone=1.0)
            )
        points = self.vectors.landmark_shift(shift) if how.motion > 0 else None
        moved = None
        if points is not None:
            moved = estimate_warp(face.points, points, face.lips, width=how.width)
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


@lru_cache(maxsize=2)
def _same_editor(
    model: str | Path,
    vectors: str | Path,
    landmark_model: str | Path,
    detector: str,
    device: str,
    method: str,
    keep: tuple[str, ...],
) -> Editor:
    """Return this process' editor of such a kind."""
    return Editor(
        model, vectors, landmark_model, detector=detector, device=device, method=method, keep=keep
    )
