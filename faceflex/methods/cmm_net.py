"""CMM-Net as it was published, as a way to edit: the reference to compare the smile videos with.

Wang et al., CVPR 2018: the face's landmark picture is encoded, recurrent networks make sequences of
codes of it, which are decoded to landmark pictures; a U-Net makes faces of 64 pixels of them. What
changes between two such faces is added to the photo; nothing of the photo moves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.assets import resolve
from faceflex.assets.registry import sha256_of
from faceflex.compose.change import FaceChange, TransferStyle
from faceflex.errors import UsageError
from faceflex.faces.align import SIZE
from faceflex.faces.aligned_face import AlignedFace
from faceflex.faces.landmark_pictures import PICTURE, draw_landmarks
from faceflex.methods.base import Shot
from faceflex.methods.controls import Control, MethodOptions, Settings, find_control

if TYPE_CHECKING:
    from faceflex.models.face_translation import FaceTranslation
    from faceflex.models.landmark_sequences import LandmarkSequences

CONTROLS = (
    Control("intensity", 0.0, 1.5, 0.0, "Share of the change that is made", "unknown"),
    Control("spontaneous", 0.0, 1.0, 1.0, "1 for a spontaneous smile, 0 for a posed one"),
    Control("loop", 0.0, 1.0, 0.0, "1 for a clip that goes back to rest"),
    Control("seconds", 0.5, 10.0, 2.0, "Length of the clip, over which the 32 frames are spread"),
)

_NEEDS = "cmm-net: needs `model` (its landmark sequences) and `vectors` (its translation)"


@dataclass(frozen=True)
class ReferenceCode:
    """A face as this method knows it: 64 pixels, in [0, 255], and its landmark picture."""

    face: NDArray[np.uint8]
    landmarks: NDArray[np.uint8]


class ReferenceMethod:
    """CMM-Net. A shot's variant is the mode: 0 the conditional LSTM's, 1 to K the multi-mode ones.

    Parameters
    ----------
    sequences, translation
        Files that ``faceflex train cmm-net`` made.
    """

    name = "cmm-net"

    def __init__(self, sequences: str, translation: str) -> None:
        self._key = (sequences, translation)
        self._pictures: dict[tuple[bytes, int, int], NDArray[np.float32]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return _shared_method, self._key

    @cached_property
    def sequences(self) -> LandmarkSequences:
        """The landmark VAE and the recurrent networks."""
        from faceflex.models.checkpoint import load_network
        from faceflex.models.landmark_sequences import LandmarkSequences

        return load_network(resolve(self._key[0]), LandmarkSequences)

    @cached_property
    def translation(self) -> FaceTranslation:
        """The U-Net."""
        from faceflex.models.checkpoint import load_network
        from faceflex.models.face_translation import FaceTranslation

        return load_network(resolve(self._key[1]), FaceTranslation)

    @cached_property
    def fingerprints(self) -> Mapping[str, str]:
        """Ids of both files."""
        names = ("sequences", "translation")
        pairs = zip(names, self._key, strict=True)
        return {name: sha256_of(resolve(file))[:12] for name, file in pairs}

    @property
    def controls(self) -> Mapping[str, Control]:
        """Intensity, style, loop and length."""
        return {control.name: control for control in CONTROLS}

    @property
    def accelerated(self) -> bool:
        """False: it computes on the CPU."""
        return False

    def load(self) -> None:
        """Load both files now."""
        _ = self.sequences, self.translation

    def resolve(self, settings: Mapping[str, float]) -> Settings:
        """Return settings under their proper names.

        Raises
        ------
        UsageError
            If one is unknown.
        """
        return tuple((find_control(k, self.controls), float(v)) for k, v in settings.items())

    def encode(self, faces: Sequence[AlignedFace], photo: NDArray[np.uint8]) -> list[ReferenceCode]:
        """Make small faces and their landmark pictures."""
        return [
            ReferenceCode(
                cv2.resize(f.crop, (PICTURE, PICTURE), interpolation=cv2.INTER_AREA),
                draw_landmarks(f.landmarks),
            )
            for f in faces
        ]

    def faces(self, code: ReferenceCode, style: int, mode: int) -> NDArray[np.float32]:
        """Return the translated faces (33, 64, 64, 3) in [0, 1] of a mode; first the neutral one.

        Raises
        ------
        UsageError
            If there is no such mode.
        """
        key = code.face.tobytes(), style, mode
        if key not in self._pictures:
            self._pictures[key] = self._translate(code, self.landmark_pictures(code, style, mode))
        return self._pictures[key]

    def landmark_pictures(self, code: ReferenceCode, style: int, mode: int) -> NDArray[np.float32]:
        """Return the landmark pictures (33, 64, 64) of a mode, 0 to 1; first the photo's own."""
        import torch

        known = self.sequences.config.modes
        if mode > known:
            raise UsageError(f"mode {mode}: this model has modes 0 to {known}")
        with torch.inference_mode():
            first = torch.from_numpy(np.float32(code.landmarks))[None, None]
            codes = self.sequences(first, torch.tensor([style]))
            if mode:
                codes = self.sequences.mode_sequences(codes)[:, mode - 1]
            made = torch.sigmoid(self.sequences.pictures(codes))[0].numpy()
        return np.concatenate([np.float32(code.landmarks)[None], made])

    def _translate(self, code: ReferenceCode, pictures: NDArray[np.float32]) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            face = torch.from_numpy(np.float32(code.face) / 127.5 - 1).permute(2, 0, 1)[None]
            landmarks = torch.from_numpy(pictures)[:, None]
            made = self.translation(face.expand(len(landmarks), -1, -1, -1), landmarks)
        return np.ascontiguousarray(((made + 1) / 2).permute(0, 2, 3, 1).numpy())

    def changes(
        self, codes: Sequence[ReferenceCode], shots: Sequence[Shot]
    ) -> Iterator[list[list[FaceChange]]]:
        """Yield, for each shot, the step of each face; none at rest."""
        for shot in shots:
            yield [self._face_changes(code, shot) for code in codes]

    def _face_changes(self, code: ReferenceCode, shot: Shot) -> list[FaceChange]:
        settings = dict(shot.settings)
        intensity = settings.get("intensity", 0.0)
        time = 1.0 if shot.time is None else shot.time
        if settings.get("loop", 0.0) >= 0.5:
            time = 1 - abs(2 * time - 1)
        if time <= 0 or not intensity:
            return []
        style = int(settings.get("spontaneous", 1.0) >= 0.5)
        faces = self.faces(code, style, shot.variant)
        place = time * (len(faces) - 1)
        low = min(int(place), len(faces) - 2)
        now = faces[low] + np.float32(place - low) * (faces[low + 1] - faces[low])
        before, after = (
            cv2.resize(p, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC) for p in (faces[0], now)
        )
        after = before + np.float32(intensity) * (after - before)
        return [FaceChange(before, after, style=TransferStyle(color=1.0))]


def make_method(options: MethodOptions) -> ReferenceMethod:
    """Make the method of the two files that these options name.

    Raises
    ------
    UsageError
        If one of them is missing.
    """
    if options.model is None or options.vectors is None:
        raise UsageError(_NEEDS)
    return ReferenceMethod(options.model, options.vectors)


@lru_cache(maxsize=2)
def _shared_method(sequences: str, translation: str) -> ReferenceMethod:
    """Return this process' method of such files."""
    return ReferenceMethod(sequences, translation)
