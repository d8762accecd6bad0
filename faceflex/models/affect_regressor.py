"""Valence, arousal and expression of an aligned face, by a small convolutional network.

Two such networks are used, which share neither faces nor shape: one estimates where a face is in
the plane, the other judges edits.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faceflex.models.attribute_classifier import AttributeClassifier, ClassifierConfig
from faceflex.models.checkpoint import load_network
from faceflex.models.feature_extractor import ExtractorConfig, FeatureExtractor
from faceflex.models.network import Network, read_crops

BACKBONES = ("attributes", "features")
_LARGEST, _MOST_EXPRESSIONS = 512, 64


@dataclass(frozen=True)
class AffectConfig:
    """Shape of an :class:`AffectRegressor`; saved with its weights.

    Attributes
    ----------
    backbone
        Whose layers it has: ``attributes`` (:class:`AttributeClassifier`), or ``features``
        (:class:`FeatureExtractor`).
    size
        Side in pixels of the picture that it looks at.
    expressions
        How many expressions it tells apart, beside valence and arousal.
    """

    backbone: str = "attributes"
    size: int = 96
    expressions: int = 8

    def __post_init__(self) -> None:
        if self.backbone not in BACKBONES:
            raise ValueError(f"a backbone {self.backbone!r}")
        if not (isinstance(self.size, int) and 32 <= self.size <= _LARGEST and self.size % 16 == 0):
            raise ValueError(f"a size of {self.size!r}")
        if not (isinstance(self.expressions, int) and 0 <= self.expressions <= _MOST_EXPRESSIONS):
            raise ValueError(f"{self.expressions!r} expressions")


class AffectRegressor(Network):
    """Picture -> valence, arousal, and a logit for each expression.

    Parameters
    ----------
    config
        Its shape.
    """

    kind, label, config_type = "faceflex-affect-1", "valence and arousal regressor", AffectConfig
    config: AffectConfig

    def __init__(self, config: AffectConfig) -> None:
        super().__init__()
        self.config = config
        outputs = 2 + config.expressions
        self.backbone: AttributeClassifier | FeatureExtractor
        if config.backbone == "attributes":
            names = tuple(f"{i}" for i in range(outputs))
            self.backbone = AttributeClassifier(ClassifierConfig(names, config.size))
        else:
            names = tuple(f"{i}" for i in range(outputs))
            self.backbone = FeatureExtractor(ExtractorConfig(names, config.size))

    def start_from(self, trained: Network) -> None:
        """Take over the layers, but for the last, of a trained network of the backbone's shape."""
        weights = {k: v for k, v in trained.state_dict().items() if not k.startswith("head.")}
        missing, unexpected = self.backbone.load_state_dict(weights, strict=False)
        if unexpected or any(not k.startswith("head.") for k in missing):
            raise ValueError(f"not the layers of the backbone {self.config.backbone!r}")

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures (B, 3, size, size) in [0, 1] -> (B, 2) in [-1, 1], and logits (B, K)."""
        outputs = self.backbone(x)
        return torch.tanh(outputs[:, :2]), outputs[:, 2:]

    @torch.inference_mode()
    def estimate(self, crops: NDArray[np.uint8], batch: int = 64) -> NDArray[np.float32]:
        """Return valence and arousal (N, 2) of aligned crops (N, S, S, 3) uint8.

        They are the mean over a face and its mirror image.
        """

        def read(x: Tensor) -> Tensor:
            places: Tensor = (self(x)[0] + self(x.flip(3))[0]) / 2
            return places

        return read_crops(self, crops, read, (2,), batch=batch, size=self.config.size)


def load_affect_regressor(path: Path, device: str = "cpu") -> AffectRegressor:
    """Read a regressor; see :func:`faceflex.models.checkpoint.load_network`."""
    return load_network(path, AffectRegressor, device=device)
