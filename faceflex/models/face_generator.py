"""Faces from codes and degrees, and back: one way to use every conditional model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from faceflex.errors import AssetError
from faceflex.models.checkpoint import load_network, load_vae
from faceflex.models.codec import decode_faces, encode_faces
from faceflex.models.conv_autoencoder import ConvAutoencoder, shrink
from faceflex.models.network import crop_batches
from faceflex.models.smile_cvae import SmileCVAE
from faceflex.models.vae import VAE

_BATCH = 32

Floats = NDArray[np.float32]


class FaceGenerator:
    """A conditional model and what it needs, in evaluation mode.

    Parameters
    ----------
    network
        A smile CVAE, or one of the convolutional family.
    face_model
        The face model of a smile CVAE.

    Attributes
    ----------
    width
        Numbers of a code.
    size
        Side of its faces in pixels.
    """

    def __init__(self, network: SmileCVAE | ConvAutoencoder, face_model: VAE | None = None) -> None:
        self.network, self.face_model = network, face_model
        self.width = network.config.latent
        self.size = 128 if isinstance(network, SmileCVAE) else network.config.size

    @property
    def conditional(self) -> bool:
        """Whether degrees make a difference."""
        return isinstance(self.network, SmileCVAE) or self.network.config.conditional

    def draw(self, count: int, seed: int) -> Floats:
        """Draw codes from the prior, (count, width) float32; the first are those of fewer."""
        rows = [np.random.default_rng((seed, i)).standard_normal(self.width) for i in range(count)]
        return np.array(rows, np.float32).reshape(count, self.width)

    @torch.inference_mode()
    def decode(self, codes: Floats, degrees: Floats) -> NDArray[np.uint8]:
        """Decode codes (N, width) with degrees (N,) to faces (N, S, S, 3) uint8."""
        told, z = (torch.from_numpy(np.asarray(v, np.float32)) for v in (degrees, codes))
        if isinstance(self.network, SmileCVAE):
            assert self.face_model is not None
            return decode_faces(self.face_model, self.network.decode(z, told).numpy(), _BATCH)
        rows = [
            self.network.decode(z[i : i + _BATCH], told[i : i + _BATCH])
            for i in range(0, len(z), _BATCH)
        ]
        pictures = torch.cat(rows).permute(0, 2, 3, 1).numpy()
        return np.round(pictures * 255).astype(np.uint8)

    @torch.inference_mode()
    def encode(self, crops: NDArray[np.uint8], degrees: Floats) -> Floats:
        """Encode crops (N, 128, 128, 3) uint8 with degrees (N,) to codes (N, width)."""
        told = torch.from_numpy(np.asarray(degrees, np.float32))
        if isinstance(self.network, SmileCVAE):
            assert self.face_model is not None
            latents = torch.from_numpy(encode_faces(self.face_model, crops))
            codes: Floats = self.network.encode(latents, told).numpy()
            return codes
        batches = crop_batches(self.network, crops, _BATCH)
        rows = [self.network.posterior(shrink(x, self.size))[0] for x in batches]
        found: Floats = torch.cat(rows).numpy()
        return found


def load_generator(path: Path, face_model: Path) -> FaceGenerator:
    """Load a conditional model, and the face model if it shares one.

    Raises
    ------
    AssetError
        If a file is missing or damaged, or the model belongs to another face model.
    """
    network: Any = load_network(path, SmileCVAE, ConvAutoencoder)
    if not isinstance(network, SmileCVAE):
        return FaceGenerator(network)
    model, identity = load_vae(face_model)
    if network.config.face_model != identity:
        raise AssetError(
            f"{path}: this smile CVAE belongs to face model {network.config.face_model},"
            f" not to {identity}"
        )
    return FaceGenerator(network, model)
