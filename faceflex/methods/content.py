"""Content renderers by name: the one place where a renderer's network meets composition."""

from __future__ import annotations

import threading
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from faceflex.assets import resolve
from faceflex.assets.registry import sha256_of
from faceflex.compose.content import ContentRenderer
from faceflex.compose.content_inputs import mirror_planes
from faceflex.compose.learned_content import LearnedContent
from faceflex.compose.mouth_codes import MouthCodes
from faceflex.compose.mouth_interior import MouthExemplars

if TYPE_CHECKING:
    from torch import Tensor

    from faceflex.models.content_unet import ContentUNet

EXEMPLARS = "exemplars"
"""The renderer without a network."""

Floats = NDArray[np.float32]


class LazyContentNetwork:
    """The network of a file, loaded when it is first needed, for several threads.

    Sent to another process, it arrives without its weights and loads them there; equal ones are one
    in that process. It computes on the CPU: half a billion multiplications are not worth the
    way to an accelerator.

    Parameters
    ----------
    name
        Registered name or path of the file.
    clips
        Compute frames of clips: quicker, and to a level of 255 the same.
    """

    def __init__(self, name: str, *, clips: bool = False) -> None:
        self._name, self._clips, self._lock = name, clips, threading.Lock()
        self._loaded: ContentUNet | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return _shared_network, (self._name, self._clips)

    def for_clips(self) -> LazyContentNetwork:
        """Return the network for frames of clips."""
        return _shared_network(self._name, True)

    @property
    def network(self) -> ContentUNet:
        """The network."""
        import torch

        from faceflex.models.checkpoint import load_network
        from faceflex.models.content_unet import ContentUNet

        with self._lock:
            if self._loaded is None:
                loaded = load_network(resolve(self._name), ContentUNet)
                for weight in loaded.parameters() if self._clips else ():
                    if weight.dim() == 4:
                        weight.data = weight.data.contiguous(memory_format=torch.channels_last)
                self._loaded = loaded
        return self._loaded

    @cached_property
    def fingerprint(self) -> str:
        """First 12 hex digits of the file's SHA-256."""
        return sha256_of(resolve(self._name))[:12]

    @cached_property
    def codes(self) -> MouthCodes:
        """Linear model of mouths' interiors."""
        return self.network.mouth_codes

    @cached_property
    def smile_scale(self) -> tuple[float, float]:
        """Mean and standard deviation of the smile degree over all faces."""
        return self.network.smile_scale

    def __call__(self, planes: Floats, condition: Floats, *, once: bool = False) -> Floats:
        """Planes (9, H, W), condition (3,) -> what to add to the picture, (H, W, 3).

        The mean over the window and its mirror image: what the network makes up on one side alone,
        such as a gap beside the teeth, loses half of its weight.
        """
        import torch

        told = torch.from_numpy(condition)[None]
        with torch.inference_mode():
            added = self._compute(torch.from_numpy(planes)[None], told)[0]
            if not once:  # One after the other: a batch may be spread over threads in other ways.
                mirrored = torch.from_numpy(mirror_planes(planes))[None]
                added = (added + self._compute(mirrored, told)[0].flip(2)) / 2
        return np.ascontiguousarray(added.permute(1, 2, 0).numpy())

    def _compute(self, planes: Tensor, told: Tensor) -> Tensor:
        import torch

        if not self._clips:
            return self.network(planes, told)
        with torch.autocast("cpu", torch.bfloat16, enabled=self._half):
            made: Tensor = self.network(planes.to(memory_format=torch.channels_last), told)
        return made.float()

    @cached_property
    def _half(self) -> bool:
        """Whether matrix units compute in bfloat16."""
        from faceflex.models.device import computes_bfloat16

        return self._clips and computes_bfloat16("cpu")


@lru_cache(maxsize=4)
def _shared_network(name: str, clips: bool = False) -> LazyContentNetwork:
    """Return this process' network of a file."""
    return LazyContentNetwork(name, clips=clips)


def make_content(name: str | Path = "content", seed: int = 0) -> ContentRenderer:
    """Make a content renderer; its file is read when it is first needed.

    Parameters
    ----------
    name
        Registered name or path of a learned renderer's file, or :data:`EXEMPLARS`.
    seed
        Fixes the kinds of mouths.

    Examples
    --------
    >>> make_content("exemplars").fingerprint
    'exemplars-1'
    >>> len(make_content("content").fingerprint)
    12
    """
    if str(name) == EXEMPLARS:
        return MouthExemplars(seed)
    return LearnedContent(_shared_network(str(name), False), seed)
