"""Degree regressor: how much an aligned face smiles, a number from -1 to 1.

A plain convolutional network (batch normalisation, Ioffe and Szegedy 2015) looks at the lower part
of the aligned crop. One score serves two kinds of labels: its sigmoid is the probability that
somebody called the face smiling, its tanh, with a scale and a shift of their own, the degree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from faceflex.models.attribute_classifier import conv
from faceflex.models.network import Network, read_crops

_LARGEST = 512
# The window that it looks at, as shares of the side: top, bottom, left, right.
_WINDOW = (0.3, 1.0, 0.125, 0.875)


@dataclass(frozen=True)
class RegressorConfig:
    """Shape of a :class:`DegreeRegressor`; saved with its weights.

    Attributes
    ----------
    size
        Side in pixels of the aligned picture.
    widths
        Channels at 1/2, 1/4 and 1/8 of the size.
    """

    size: int = 96
    widths: tuple[int, int, int] = (24, 48, 96)

    def __post_init__(self) -> None:
        if not (isinstance(self.size, int) and 32 <= self.size <= _LARGEST):
            raise ValueError(f"a size of {self.size!r}")


class DegreeRegressor(Network):
    """Picture -> smile score; and its degree.

    Parameters
    ----------
    config
        Its shape.
    """

    kind, label = "faceflex-smile-degree-1", "smile degree regressor"
    config_type = RegressorConfig
    config: RegressorConfig

    def __init__(self, config: RegressorConfig | None = None) -> None:
        super().__init__()
        self.config = config or RegressorConfig()
        a, b, c = self.config.widths
        self.body = nn.Sequential(conv(3, a, 2), conv(a, b, 2), conv(b, b), conv(b, c, 2))
        self.last = conv(c, c)
        self.head = nn.Linear(2 * c, 1)
        self.scale = nn.Parameter(torch.tensor([0.3]))
        self.shift = nn.Parameter(torch.tensor([0.0]))

    def forward(self, x: Tensor) -> Tensor:
        """Pictures (B, 3, size, size) in [0, 1] -> scores (B,): log odds of smiling."""
        top, bottom, left, right = (round(share * x.shape[-1]) for share in _WINDOW)
        h = self.last(self.body(x[:, :, top:bottom, left:right] * 4 - 2))
        pooled = torch.cat([h.mean(dim=(2, 3)), h.amax(dim=(2, 3))], 1)
        scores: Tensor = self.head(pooled)[:, 0]
        return scores

    def degree(self, scores: Tensor) -> Tensor:
        """Scores -> degrees in (-1, 1)."""
        return torch.tanh(scores * self.scale + self.shift)

    @torch.inference_mode()
    def degrees(self, crops: NDArray[np.uint8], batch: int = 64) -> NDArray[np.float32]:
        """Estimate degrees of aligned crops.

        Parameters
        ----------
        crops
            (N, 128, 128, 3) uint8 RGB.
        batch
            Crops at a time.

        Returns
        -------
        (N,) float32 in (-1, 1): of the mean score of a face and its mirror image.
        """
        degrees: NDArray[np.float32] = np.tanh(self.raw_degrees(crops, batch))
        return degrees

    @torch.inference_mode()
    def raw_degrees(self, crops: NDArray[np.uint8], batch: int = 64) -> NDArray[np.float32]:
        """Return the inverse hyperbolic tangent of :meth:`degrees`, which has no bounds; (N,)."""

        def read(x: Tensor) -> Tensor:
            scores: Tensor = (self(x) + self(x.flip(3))) / 2
            return scores * self.scale + self.shift

        return read_crops(self, crops, read, batch=batch, size=self.config.size)
