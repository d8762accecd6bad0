"""Encoding of uint8 faces to latents, and decoding: the one place that scales pixels to [0, 1]."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from faceflex.models.network import read_crops
from faceflex.models.vae import VAE
from faceflex.parallel.batching import BatchingQueue


def _device(model: VAE) -> torch.device:
    return next(model.parameters()).device


@torch.inference_mode()
def encode_faces(model: VAE, faces: NDArray[np.uint8], batch: int = 32) -> NDArray[np.float32]:
    """Encode faces to posterior means.

    Parameters
    ----------
    model
        A VAE in evaluation mode.
    faces
        (N, S, S, 3) uint8 RGB crops.
    batch
        Faces at a time.

    Returns
    -------
    (N, latent) float32.
    """
    return read_crops(model, faces, model.encode, (model.config.latent,), batch=batch)


@torch.inference_mode()
def decode_float(
    model: VAE, latents: NDArray[np.floating], batch: int | None = None
) -> NDArray[np.float32]:
    """Decode latents to pictures.

    Parameters
    ----------
    model
        A VAE in evaluation mode.
    latents
        (N, latent).
    batch
        Latents at a time. By default as many as an accelerator likes, but one on a CPU: it is as
        quick, and a face then comes out the same to the last bit, whatever is decoded with it.

    Returns
    -------
    (N, S, S, 3) float32 RGB in [0, 1].
    """
    device, rows = _device(model), []
    batch = batch or (1 if device.type == "cpu" else 32)
    for start in range(0, len(latents), batch):
        part = np.ascontiguousarray(latents[start : start + batch], dtype=np.float32)
        y = model.decode(torch.from_numpy(part).to(device)).float().clamp(0, 1)
        rows.append(y.permute(0, 2, 3, 1).cpu().numpy())
    if not rows:
        return np.zeros((0, model.config.size, model.config.size, 3), np.float32)
    return np.ascontiguousarray(np.concatenate(rows))


def decode_faces(
    model: VAE, latents: NDArray[np.floating], batch: int | None = None
) -> NDArray[np.uint8]:
    """Decode latents (N, latent) to (N, S, S, 3) uint8 RGB."""
    return np.round(decode_float(model, latents, batch) * 255).astype(np.uint8)


class Codec:
    """Encoder and decoder of a model, for several threads at once.

    Parameters
    ----------
    model
        A VAE in evaluation mode.
    together
        Join the calls of several threads; by default where an accelerator computes.

    Attributes
    ----------
    encode
        (N, S, S, 3) uint8 crops to (N, latent), as :func:`encode_faces`.
    decode
        (N, latent) to (N, S, S, 3), as :func:`decode_float`.
    """

    def __init__(self, model: VAE, together: bool | None = None) -> None:
        self.encode: Callable[[NDArray[Any]], NDArray[Any]] = partial(encode_faces, model)
        self.decode: Callable[[NDArray[Any]], NDArray[Any]] = partial(decode_float, model)
        if _device(model).type != "cpu" if together is None else together:
            self.encode, self.decode = BatchingQueue(self.encode), BatchingQueue(self.decode)
