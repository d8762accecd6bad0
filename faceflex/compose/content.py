"""New content: what an edited face shows and the photo does not contain.

Teeth between lips that part, lips that meet, folds: no pixel of the photo can be moved there. A
:class:`ContentRenderer` makes them; which one is the composer's choice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from faceflex.compose.change import FaceChange
from faceflex.compose.warp import FaceWarp
from faceflex.faces.region import Region


@dataclass(frozen=True)
class Scene:
    """What a renderer sees of a face, after its pixels were moved.

    Attributes
    ----------
    photo
        (h, w, 3) uint8: the region of the photo before this step.
    patch
        (h, w, 3) float32 in 0 to 255: the region with its pixels moved and the rest of the change
        transferred.
    region
        Where it is in the photo.
    x, y
        (h, w) float32: its pixels in the frame of the 128-pixel crop.
    warp
        How the face moved.
    change
        The step that is rendered; ``change.condition`` describes the face to be.
    after
        (128, 128, 3) float32 in [0, 1]: the model's picture of the edited face, in the photo's
        light.
    blur
        Standard deviation of the photo's blur, in its pixels: nothing new should be sharper.
    memory
        What was found for this face in other frames of a clip, and depends on the photo alone.
    """

    photo: NDArray[np.uint8]
    patch: NDArray[np.float32]
    region: Region
    x: NDArray[np.float32]
    y: NDArray[np.float32]
    warp: FaceWarp
    change: FaceChange
    after: NDArray[np.float32]
    blur: float
    memory: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Content:
    """Rendered content, in a window of the region.

    Attributes
    ----------
    rows, columns
        The window.
    pixels
        (h', w', 3) float32 in 0 to 255: what replaces the patch there, already blended with it.
    weight
        (h', w') float32 in [0, 1]: how much of each pixel is new.
    """

    rows: slice
    columns: slice
    pixels: NDArray[np.float32]
    weight: NDArray[np.float32]


class ContentRenderer(Protocol):
    """Makes the content that a photo does not have.

    Attributes
    ----------
    fingerprint
        Identifies the renderer and its weights; part of an output's provenance.
    """

    @property
    def fingerprint(self) -> str: ...

    def render(self, scene: Scene) -> Content | None:
        """Render a scene; None where nothing is missing."""
        ...


@runtime_checkable
class ClipRenderer(ContentRenderer, Protocol):
    """A renderer that can be quicker where many frames are made."""

    def for_clips(self) -> ContentRenderer:
        """Return the renderer for frames of clips."""
        ...


@runtime_checkable
class DraftRenderer(ContentRenderer, Protocol):
    """A renderer that can be quicker where pictures are shown small."""

    def draft(self) -> ContentRenderer:
        """Return the renderer for small pictures."""
        ...
