"""Age regressor: how old an aligned face looks, and whether it looks like a woman's.

A small plain convolutional network (batch normalisation, Ioffe and Szegedy 2015) at 64 pixels; it
decides where edits of years begin, and who is a child.
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
_OLDEST = 100.0
_UNIT = 20.0  # Years.


@dataclass(frozen=True)
class AgeConfig:
    """Shape of an :class:`AgeRegressor`; saved with its weights.

    Attributes
    ----------
    size
        Side in pixels of the aligned picture.
    widths
        Channels at 1/2, 1/4, 1/8 and 1/16 of the size.
    """

    size: int = 64
    widths: tuple[int, int, int, int] = (16, 32, 64, 96)

    def __post_init__(self) -> None:
        if not (isinstance(self.size, int) and 32 <= self.size <= _LARGEST):
            raise ValueError(f"a size of {self.size!r}")


class AgeRegressor(Network):
    """Picture -> age, and log odds of a woman.

    Parameters
    ----------
    config
        Its shape.
    """

    kind, label, config_type = "faceflex-age-1", "age regressor", AgeConfig
    config: AgeConfig

    def __init__(self, config: AgeConfig | None = None) -> None:
        super().__init__()
        self.config = config or AgeConfig()
        a, b, c, d = self.config.widths
        self.body = nn.Sequential(
            conv(3, a, 2), conv(a, b, 2), conv(b, b), conv(b, c, 2), conv(c, c), conv(c, d, 2)
        )
        self.head = nn.Linear(2 * d, 2)
        with torch.no_grad():
            self.head.bias.copy_(torch.tensor([33 / _UNIT, 0.0]))

    def forward(self, x: Tensor) -> Tensor:
        """Pictures (B, 3, size, size) in [0, 1] -> (B, 2): age in units of 20 years; log odds."""
        h = self.body(x * 4 - 2)
        out: Tensor = self.head(torch.cat([h.mean(dim=(2, 3)), h.amax(dim=(2, 3))], 1))
        return out

    @torch.inference_mode()
    def read(self, crops: NDArray[np.uint8], batch: int = 64) -> NDArray[np.float32]:
        """Estimate ages of aligned crops.

        Parameters
        ----------
        crops
            (N, 128, 128, 3) uint8 RGB.
        batch
            Crops at a time.

        Returns
        -------
        (N, 2) float32: years, and the probability of a woman; means of a face and its mirror image.
        """

        def read(x: Tensor) -> Tensor:
            out = (self(x) + self(x.flip(3))).float() / 2
            age = (out[:, 0] * _UNIT).clamp(0, _OLDEST)
            return torch.stack([age, torch.sigmoid(out[:, 1])], 1)

        return read_crops(self, crops, read, (2,), batch=batch, size=self.config.size)


def targets(ages: NDArray[np.floating], female: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return (N, 2) what :meth:`AgeRegressor.forward` should give: ages in its unit, and women."""
    return np.float32(np.stack([np.asarray(ages) / _UNIT, female], axis=1))
