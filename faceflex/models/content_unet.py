"""The content renderer's network: makes what a photo does not contain, given what is around it.

A U-Net (Ronneberger et al. 2015) on a half-resolution stem, its features scaled and shifted by a
condition (FiLM, Perez et al. 2018). Two heads: in the hole (the mouth's interior and the edges of
its lips) what it adds is free; elsewhere it is bounded, so that the photo stays.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceflex.compose.mouth_codes import CODE, FEATURES, GRID, MouthCodes
from faceflex.models.network import Network

PLANES = 9
"""Input planes: the picture (3), the maps of the mouth (5), noise (1)."""

CONDITION = 3
"""Numbers of the condition; see :func:`faceflex.compose.content_inputs.condition_vector`."""

_GROUPS = 8
_WIDEST = 1024
_SHAPES = {
    "mean": (GRID,),
    "basis": (CODE, GRID),
    "regression": (FEATURES, CODE),
    "spread": (CODE, CODE),
}


@dataclass(frozen=True)
class ContentConfig:
    """Shape of a :class:`ContentUNet`; saved with its weights.

    Attributes
    ----------
    widths
        Channels at 1/2, 1/4, 1/8 and 1/16 of the window's size.
    bound
        The most that is added outside the hole, in [0, 1].
    """

    widths: tuple[int, int, int, int] = (24, 48, 80, 128)
    bound: float = 0.25

    def __post_init__(self) -> None:
        if len(self.widths) != 4 or not all(
            isinstance(w, int) and 0 < w <= _WIDEST and w % _GROUPS == 0 for w in self.widths
        ):
            raise ValueError(f"widths {str(self.widths)[:60]}")
        if not (isinstance(self.bound, float) and 0 < self.bound <= 1):
            raise ValueError(f"a bound of {self.bound!r}")


class _Block(nn.Module):
    """Two 3x3 convolutions with group normalisation, the condition between them."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inside, outside, 3, padding=1)
        self.norm = nn.GroupNorm(_GROUPS, outside)
        self.film = nn.Linear(CONDITION, 2 * outside)
        self.second = nn.Conv2d(outside, outside, 3, padding=1)
        self.skip = nn.Conv2d(inside, outside, 1) if inside != outside else nn.Identity()
        for parameter in self.film.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.film(condition)[:, :, None, None].chunk(2, dim=1)
        h = self.norm(self.first(x)) * (1 + scale) + shift
        h = self.second(F.silu(h))
        return F.silu(h + self.skip(x))


def _zero_conv(inside: int, size: int) -> nn.Conv2d:
    """Return a convolution to 2x2 pixels of color that first gives nothing."""
    conv = nn.Conv2d(inside, 12, size, padding=size // 2)
    for parameter in conv.parameters():
        nn.init.zeros_(parameter)
    return conv


class _Fitted(nn.Module):
    """Arrays that were fitted to the training's mouths, kept with the weights."""

    mean: Tensor
    basis: Tensor
    regression: Tensor
    spread: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name, shape in _SHAPES.items():
            self.register_buffer(name, torch.zeros(shape))


class ContentUNet(Network):
    """Window of a face with a hole -> the window, whole.

    Parameters
    ----------
    config
        Its shape.

    Examples
    --------
    >>> network = ContentUNet(ContentConfig(widths=(8, 8, 8, 8)))
    >>> network(torch.zeros(1, PLANES, 128, 160), torch.zeros(1, CONDITION)).shape
    torch.Size([1, 3, 128, 160])
    """

    kind, label, config_type = "faceflex-content-1", "content renderer", ContentConfig
    config: ContentConfig
    smile: Tensor

    def __init__(self, config: ContentConfig | None = None) -> None:
        super().__init__()
        self.config = config or ContentConfig()
        a, b, c, d = self.config.widths
        self.down = nn.ModuleList([_Block(4 * PLANES, a), _Block(a, b), _Block(b, c), _Block(c, d)])
        self.up = nn.ModuleList([_Block(d + c, c), _Block(c + b, b), _Block(b + a, a)])
        self.outside = _zero_conv(a, 3)
        self.inside = nn.Sequential(nn.Conv2d(a, a, 3, padding=1), nn.SiLU(), _zero_conv(a, 1))
        self.codes = _Fitted()
        self.register_buffer("smile", torch.tensor([0.0, 1.0]))

    def forward(self, planes: Tensor, condition: Tensor) -> Tensor:
        """Planes (B, 9, H, W), condition (B, 3) -> what to add to the picture, (B, 3, H, W).

        The picture is in [0, 1], with the hole filled; the hole's map is plane 3. Height and width
        are multiples of 16.
        """
        hole = planes[:, 3:4]
        scaled = torch.cat([planes[:, :3] * 4 - 2, planes[:, 3:]], 1)
        h, skips = F.pixel_unshuffle(scaled, 2), []
        for level, block in enumerate(self.down):
            h = block(F.avg_pool2d(h, 2) if level else h, condition)
            skips.append(h)
        for block, skip in zip(self.up, skips[-2::-1], strict=True):
            h = block(torch.cat([F.interpolate(h, scale_factor=2.0), skip], 1), condition)
        free, bounded = (
            F.pixel_shuffle(head(h), 2).float() for head in (self.inside, self.outside)
        )
        bounded = self.config.bound * torch.tanh(bounded / self.config.bound)
        return bounded + hole * (free - bounded)

    @property
    def mouth_codes(self) -> MouthCodes:
        """The linear model of mouths' interiors."""
        return MouthCodes(*(getattr(self.codes, name).cpu().numpy() for name in _SHAPES))

    @property
    def smile_scale(self) -> tuple[float, float]:
        """Mean and standard deviation of the smile degree over all faces."""
        mean, deviation = self.smile.tolist()
        return float(mean), max(float(deviation), 1e-3)

    @torch.no_grad()
    def set_fitted(self, codes: MouthCodes, smile_scale: tuple[float, float]) -> None:
        """Keep what was fitted to the training's mouths."""
        for name in _SHAPES:
            getattr(self.codes, name).copy_(torch.from_numpy(getattr(codes, name)))
        self.smile.copy_(torch.tensor(smile_scale))
