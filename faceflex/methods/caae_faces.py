"""Valence and arousal by a conditional adversarial autoencoder: its faces, the same motion.

The autoencoder paints a face at its own place and at another one; the photo's pixels move as the
surfaces over the plane say, and what else changes between both pictures is transferred.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from faceflex.assets.registry import sha256_of
from faceflex.errors import AssetError
from faceflex.faces.align import SIZE
from faceflex.faces.aligned_face import AlignedFace
from faceflex.methods.valence_arousal import AffectCode, Crop, Move, ValenceArousalMethod
from faceflex.tensors import read_metadata

if TYPE_CHECKING:
    from faceflex.models.caae import CAAE

_KIND, _LABEL = "faceflex-caae-1", "conditional adversarial autoencoder"


def is_caae(path: Path) -> bool:
    """Tell whether a file holds such an autoencoder, without loading it."""
    try:
        read_metadata(path, _KIND, _LABEL)
    except AssetError:
        return False
    return True


class CAAEMethod(ValenceArousalMethod):
    """Edits faces by an autoencoder's pictures.

    Parameters
    ----------
    file
        The autoencoder.
    vectors
        Of the bundled face model, which tells a content renderer smile and age.
    device
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    """

    def __init__(
        self, file: Path, *, vectors: str | Path = "vectors", device: str = "auto"
    ) -> None:
        super().__init__("vae", vectors, device=device)
        self._file, self._caae_key = file, (file, vectors, device)

    def __reduce__(self) -> tuple[Any, ...]:
        return _shared_caae, self._caae_key

    @cached_property
    def autoencoder(self) -> CAAE:
        """The autoencoder."""
        from faceflex.models.caae import load_caae
        from faceflex.models.device import pick_device

        return load_caae(self._file, pick_device(self._caae_key[2]))

    @cached_property
    def fingerprints(self) -> Mapping[str, str]:
        """Those of the surfaces, and a hash of the autoencoder's file."""
        return {**super().fingerprints, "autoencoder": sha256_of(self._file)[:12]}

    def load(self) -> None:
        """Load all files now."""
        super().load()
        _ = self.autoencoder

    def encode(self, faces: Sequence[AlignedFace], photo: NDArray[np.uint8]) -> list[AffectCode]:
        """Encode faces, estimate their places, and paint them there."""
        codes = super().encode(faces, photo)
        if not codes:
            return codes
        inner = self.autoencoder.encode(np.stack([face.crop for face in faces]))
        before = self.autoencoder.generate(inner, np.array([c.place for c in codes]), SIZE)
        if not np.isfinite(before).all():
            raise AssetError(f"{self._file}: damaged {_LABEL} (its faces are not finite)")
        return [
            replace(code, inner=z, before=picture)
            for code, z, picture in zip(codes, inner, before, strict=True)
        ]

    def decode(self, moves: Sequence[Move]) -> Sequence[Crop]:
        """Return the autoencoder's pictures (128, 128, 3) of faces where they have gone."""
        if not moves:
            return ()
        codes = np.array([m.code.inner for m in moves])
        pictures = self.autoencoder.generate(codes, np.array([m.end for m in moves]), SIZE)
        return list(pictures)

    def decoded_motion(self, move: Move) -> NDArray[np.float32] | None:
        """Return how far (68, 2) the landmarks move in its pictures: as in a mean face."""
        return move.motion


@lru_cache(maxsize=2)
def _shared_caae(file: Path, vectors: str | Path, device: str) -> CAAEMethod:
    """Return this process' method of such a kind."""
    return CAAEMethod(file, vectors=vectors, device=device)
