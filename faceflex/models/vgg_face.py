"""VGG-Face (Parkhi et al., "Deep face recognition", BMVC 2015) from MatConvNet's ``vgg-face.mat``.

Only its convolutions up to ``conv5_2`` are read: they measure whether a picture shows the same
person.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from faceflex.errors import AssetError

SIDE = 224
LAYERS = (
    ("conv1_1", 64), ("conv1_2", 64),
    ("conv2_1", 128), ("conv2_2", 128),
    ("conv3_1", 256), ("conv3_2", 256), ("conv3_3", 256),
    ("conv4_1", 512), ("conv4_2", 512), ("conv4_3", 512),
    ("conv5_1", 512), ("conv5_2", 512),
)  # fmt: skip
"""Convolutions that are read, and their channels; all are 3x3."""

COMPARED = ("conv1_2", "conv2_2", "conv3_2", "conv4_2", "conv5_2")
"""Layers at which faces are compared."""

_MEAN = (129.1863, 104.7624, 93.5940)  # Of the faces that it learned from, red, green and blue.
_LARGEST = 1 << 30


class VGGFace(nn.Module):
    """The convolutions of VGG-Face, frozen.

    Parameters
    ----------
    weights
        For each of :data:`LAYERS` kernels (C', C, 3, 3) and biases (C').
    """

    def __init__(self, weights: dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]) -> None:
        super().__init__()
        self.convs = nn.ModuleDict()
        for name, (kernel, bias) in weights.items():
            conv = nn.Conv2d(kernel.shape[1], kernel.shape[0], 3, padding=1)
            conv.load_state_dict(
                {"weight": torch.from_numpy(kernel), "bias": torch.from_numpy(bias)}
            )
            self.convs[name] = conv
        self.mean: Tensor
        self.register_buffer("mean", torch.tensor(_MEAN)[:, None, None])
        self.requires_grad_(False)

    def maps(self, x: Tensor) -> list[Tensor]:
        """Pictures (B, 3, S, S) in [0, 1] -> activations at :data:`COMPARED`."""
        h = F.interpolate(255 * x, (SIDE, SIDE), mode="bilinear", align_corners=False) - self.mean
        maps, stage = [], "1"
        for name, conv in self.convs.items():
            if name[4] != stage:
                h, stage = F.max_pool2d(h, 2, ceil_mode=True), name[4]
            h = conv(h)
            if name in COMPARED:
                maps.append(h)
            h = F.relu(h)
        return maps


def read_vgg_face(path: Path) -> VGGFace:
    """Read ``vgg-face.mat`` as MatConvNet distributes it.

    Raises
    ------
    AssetError
        If the file is missing, damaged, or not VGG-Face.
    """
    from scipy.io import loadmat

    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError(f"{path.stat().st_size:,} bytes; at most {_LARGEST:,} are read")
        content = loadmat(str(path), squeeze_me=True, struct_as_record=False)
        layers = {str(layer.name): layer for layer in np.atleast_1d(content["layers"])}
        weights = {name: _weights(layers[name]) for name, _ in LAYERS}
        inside = 3
        for name, outside in LAYERS:
            kernel, bias = weights[name]
            if kernel.shape != (outside, inside, 3, 3) or bias.shape != (outside,):
                raise ValueError(f"{name} has kernels of {kernel.shape}, {bias.size} biases")
            inside = outside
    except FileNotFoundError:
        raise AssetError(f"{path}: no such file") from None
    except Exception as error:  # A foreign file can provoke any type.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        known = f"not VGG-Face as MatConvNet distributes it ({reason[:160]})"
        raise AssetError(f"{path}: {known}; get vgg-face.mat, or leave it out") from error
    return VGGFace(weights)


def _weights(layer: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return a layer's kernels (C', C, 3, 3) and biases (C'); older files name them otherwise."""
    if hasattr(layer, "weights"):
        kernel, bias = layer.weights
    else:
        kernel, bias = layer.filters, layer.biases
    kernel = np.asarray(kernel, np.float32).transpose(3, 2, 0, 1)  # From (height, width, C, C').
    bias = np.asarray(bias, np.float32).ravel()
    if not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
        raise ValueError(f"{layer.name} is not finite")
    return np.ascontiguousarray(kernel), bias
