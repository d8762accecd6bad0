"""Records of labelled pictures, which face sets are made of."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceflex.errors import UsageError

HELD_OUT_SHARE = 20
"""One face in this many is never trained on."""


@dataclass(frozen=True)
class Record:
    """One labelled picture.

    Attributes
    ----------
    path
        The picture.
    source
        Name of the reader: ``celeba``, ``utkface`` or ``folder``.
    points
        (68, 2) float32 landmarks in pixels of the picture, or None when not known yet.
    labels
        Label name -> number; CelebA's attributes are +1 or -1. One that is not there is unknown.
    five
        (5, 2) float32 centres of the eyes, tip of the nose and corners of the mouth, or None.
    partition
        Part of the set's published split (0 is training), or None when it has none.
    """

    path: Path
    source: str
    points: NDArray[np.float32] | None = None
    labels: Mapping[str, float] = field(default_factory=dict)
    five: NDArray[np.float32] | None = None
    partition: int | None = None

    @property
    def held_out(self) -> bool:
        """Whether it is held out for evaluation: by the set's split, or else by its name."""
        return is_held_out(self.path.name) if self.partition is None else self.partition != 0


def is_held_out(name: str) -> bool:
    """Tell whether the picture called ``name`` belongs to the held-out twentieth."""
    digest = hashlib.sha256(name.encode()).digest()
    return int.from_bytes(digest[:4], "big") % HELD_OUT_SHARE == 0


def read_points(path: Path | None) -> dict[str, NDArray[np.float32]]:
    """Read a landmark file: npz with ``name`` (N,) and ``points`` (N, 68, 2).

    Returns
    -------
    File name -> (68, 2) float32; empty when ``path`` is None.

    Raises
    ------
    UsageError
        If the file is damaged, or not such a file.
    """
    if path is None:
        return {}
    try:
        with np.load(path, allow_pickle=False) as data:
            points = data["points"].astype(np.float32)
            if points.shape[1:] != (68, 2) or not np.isfinite(points).all():
                raise ValueError(f"points of shape {points.shape}, or not finite")
            return dict(zip(data["name"].tolist(), points, strict=True))
    except Exception as error:  # zipfile and numpy raise many kinds.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UsageError(f"{path}: not a landmark file ({reason[:160]})") from error
