"""What every network that is kept in a checkpoint says of itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn


class Network(nn.Module):
    """A network whose checkpoints :mod:`faceflex.models.checkpoint` writes and reads.

    It is made of its configuration alone: ``config_type(...)`` -> ``network(config)``. So the class
    is the registry's entry for its kind of file, and a new network is one new file.

    Attributes
    ----------
    kind
        What the metadata of its files says they are.
    label
        What messages call such a file.
    config_type
        Dataclass of its shape; kept as JSON. Its ``__post_init__`` may refuse a file's values.
    config
        The shape of this one.
    """

    kind: ClassVar[str]
    label: ClassVar[str]
    config_type: ClassVar[type[Any]]
    config: Any


def crop_batches(
    network: nn.Module, crops: NDArray[np.uint8], batch: int, size: int | None = None
) -> Iterator[Tensor]:
    """Yield crops as a network takes them, some at a time.

    Parameters
    ----------
    network
        Its device is where they go.
    crops
        (N, S, S, 3) uint8 RGB.
    batch
        Crops at a time.
    size
        Side to which they are averaged; None leaves it.

    Yields
    ------
    (B, 3, size, size) float32 in [0, 1].
    """
    device = next(network.parameters()).device
    for start in range(0, len(crops), batch):
        part = torch.from_numpy(np.ascontiguousarray(crops[start : start + batch])).to(device)
        x = part.permute(0, 3, 1, 2).float() / 255
        yield x if size is None else F.interpolate(x, size=(size, size), mode="area")


def read_crops(
    network: nn.Module,
    crops: NDArray[np.uint8],
    read: Callable[[Tensor], Tensor],
    columns: tuple[int, ...] = (),
    *,
    batch: int,
    size: int | None = None,
) -> NDArray[np.float32]:
    """Return what a network reads from crops, as :func:`crop_batches` takes them.

    Parameters
    ----------
    network, crops, batch, size
        As there.
    read
        Pictures (B, 3, size, size) -> rows (B, *columns).
    columns
        Shape of a row.

    Returns
    -------
    (N, *columns) float32.
    """
    rows = [read(x).float().cpu().numpy() for x in crop_batches(network, crops, batch, size)]
    return np.concatenate(rows) if rows else np.zeros((0, *columns), np.float32)
