"""Attribute classifier: CelebA's 40 attributes of a face, to measure edits by.

It shares nothing with the networks that make edits: another architecture (a plain convolutional
network with batch normalisation, Ioffe and Szegedy 2015), seed and split, and labels instead of
pixels to learn from. It looks at 96x96 pixels of the aligned crop.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from faceflex.models.checkpoint import load_network
from faceflex.models.network import Network, read_crops
from faceflex.tensors import valid_names

_LARGEST = 1024  # Side in pixels.


@dataclass(frozen=True)
class ClassifierConfig:
    """Shape of a :class:`AttributeClassifier`; saved with its weights.

    Attributes
    ----------
    names
        The attributes, in the order of its outputs.
    size
        Side in pixels of the picture that it looks at.
    widths
        Channels at 1/2, 1/4, 1/8 and 1/16 of the size.
    """

    names: tuple[str, ...]
    size: int = 96
    widths: tuple[int, int, int, int] = (24, 48, 96, 128)

    def __post_init__(self) -> None:
        if not (isinstance(self.size, int) and 16 <= self.size <= _LARGEST):
            raise ValueError(f"a size of {self.size!r}")
        if not valid_names(self.names):
            raise ValueError("names that are not distinct, or cannot be shown")


def conv(inside: int, outside: int, stride: int = 1) -> nn.Sequential:
    """3x3 convolution, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(),
    )


class AttributeClassifier(Network):
    """Picture -> a logit for each attribute.

    Parameters
    ----------
    config
        Its shape.
    """

    kind, label, config_type = "faceflex-judge-1", "attribute judge", ClassifierConfig
    config: ClassifierConfig

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config = config
        a, b, c, d = config.widths
        self.body = nn.Sequential(
            conv(3, a, 2),
            conv(a, b, 2),
            conv(b, b),
            conv(b, c, 2),
            conv(c, c),
            conv(c, d, 2),
            conv(d, d),
        )
        self.head = nn.Linear(d, len(config.names))

    def forward(self, x: Tensor) -> Tensor:
        """Pictures (B, 3, size, size) in [0, 1] -> logits (B, attributes)."""
        logits: Tensor = self.head(self.body(x * 4 - 2).mean(dim=(2, 3)))
        return logits

    @torch.inference_mode()
    def scores(self, crops: NDArray[np.uint8], batch: int = 64) -> NDArray[np.float32]:
        """Probability of each attribute, for aligned crops.

        Parameters
        ----------
        crops
            (N, 128, 128, 3) uint8 RGB.
        batch
            Crops at a time.

        Returns
        -------
        (N, attributes) float32 probabilities; the mean of a face and its mirror image.
        """

        def read(x: Tensor) -> Tensor:
            return (torch.sigmoid(self(x)) + torch.sigmoid(self(x.flip(3)))) / 2

        columns = (len(self.config.names),)
        return read_crops(self, crops, read, columns, batch=batch, size=self.config.size)


def load_classifier(path: Path, device: str = "cpu") -> AttributeClassifier:
    """Read an attribute classifier; see :func:`faceflex.models.checkpoint.load_network`."""
    return load_network(path, AttributeClassifier, device=device)
