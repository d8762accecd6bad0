"""Compose an edited face with its photo: warp, transfer, render what is new, clone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceflex.compose.change import FaceChange, TransferStyle
from faceflex.compose.content import ClipRenderer, ContentRenderer, DraftRenderer, Scene
from faceflex.compose.eyelids import lower_lids
from faceflex.compose.layers import LayerScene
from faceflex.compose.lip_borders import widen_opening
from faceflex.compose.mouth_interior import MouthExemplars
from faceflex.compose.seamless_clone import WORK_SIDE, seamless_clone
from faceflex.compose.transfer import Transferred, paste, transfer
from faceflex.compose.warp import FaceWarp, estimate_warp
from faceflex.errors import UsageError
from faceflex.faces.aligned_face import AlignedFace
from faceflex.faces.vermilion import find_vermilion

MODES = ("transfer", "difference", "paste")
"""How a change gets into the photo: it is transferred to the photo's own pixels, which move; only
the difference of the two pictures is added; or the edited picture itself is pasted, as Face Flex
does."""

_CLIP_SIDE = 96  # Long side in pixels of the copy that frames of clips are cloned on.


@dataclass(frozen=True)
class Stages:
    """What a step of an edit went through, for pictures that explain it.

    Attributes
    ----------
    change
        The step.
    patch
        (h, w, 3) float32: what was cloned into the region.
    warp, warped, residual
        As in :class:`faceflex.compose.transfer.Transferred`; None where nothing moved.
    new
        (h, w) float32: how much of each pixel is rendered content.
    """

    change: FaceChange
    patch: NDArray[np.float32]
    warp: FaceWarp | None
    warped: NDArray[np.float32] | None
    residual: NDArray[np.float32] | None
    new: NDArray[np.float32]


class Composer:
    """Puts changes of faces into photos; knows of no model.

    Parameters
    ----------
    content
        Renders what the photo does not contain.
    mode
        One of :data:`MODES`.
    clips
        Make frames of clips, which are many, small and compressed: quicker, and less exact.

    Raises
    ------
    UsageError
        If there is no such mode.

    Examples
    --------
    >>> Composer(mode="difference").mode
    'difference'
    >>> Composer(mode="collage")
    Traceback (most recent call last):
        ...
    faceflex.errors.UsageError: ...mode...: use one of transfer, difference, paste
    """

    def __init__(
        self, content: ContentRenderer | None = None, mode: str = MODES[0], *, clips: bool = False
    ) -> None:
        if mode not in MODES:
            raise UsageError(f"composer mode {mode!r}: use one of {', '.join(MODES)}")
        self.content: ContentRenderer = content or MouthExemplars()
        self.mode, self._clips = mode, clips
        self._memories: dict[int, dict[str, Any]] = {}

    def for_clips(self) -> Composer:
        """Return a composer for the frames of one photo's clips."""
        content = self.content
        if isinstance(content, ClipRenderer):
            content = content.for_clips()
        return Composer(content, self.mode, clips=True)

    def draft(self) -> Composer:
        """Return a quicker composer, for pictures that are shown small."""
        content = self.content
        return Composer(
            content.draft() if isinstance(content, DraftRenderer) else content, self.mode
        )

    def apply(
        self,
        canvas: NDArray[np.uint8],
        face: AlignedFace,
        steps: Sequence[FaceChange],
        *,
        record: bool = False,
    ) -> Stages | None:
        """Edit one face of a photo in place.

        Parameters
        ----------
        canvas
            (H, W, 3) uint8 photo; changed inside the face's mask only.
        face
            The face, as it is in the photo.
        steps
            What to do to it, one after the other. Without any, nothing changes.
        record
            Return the stages of the last step.
        """
        stages, region = None, face.region
        if region is None:
            return None
        for change in steps:
            patch, stages = self.make_patch(canvas, face, change, record=record)
            seamless_clone(canvas, region, patch, _CLIP_SIDE if self._clips else WORK_SIDE)
            # The next step is done to the face as it now is.
            crop = face.crop + 255 * (change.after - change.before)
            face = replace(face, crop=np.clip(crop, 0, 255).astype(np.uint8))
        return stages

    def make_patch(
        self,
        canvas: NDArray[np.uint8],
        face: AlignedFace,
        change: FaceChange,
        *,
        record: bool = False,
    ) -> tuple[NDArray[np.float32], Stages | None]:
        """Make what goes into a face's region.

        Returns
        -------
        (h, w, 3) float32 in 0 to 255; and the stages, if they are recorded.
        """
        region = face.region
        if region is None:
            raise ValueError("the face lies outside the photo")
        if self.mode == "paste":
            transferred = Transferred(paste(region, change.after), None, change.after)
        else:
            warp = None
            if self.mode == "difference":
                style = TransferStyle(color=1.0)
                change = replace(change, landmarks=None, style=style, warp=None)
            if change.landmarks is not None:
                warp, goal, border = change.warp, change.lips, None
                if warp is None:
                    lips = face.lips
                    if change.relaxed > 0 and goal is not None:
                        border = find_vermilion(canvas, face.face.points, lips)
                        lips, goal = widen_opening(lips, goal, face.landmarks)
                    warp = estimate_warp(face.landmarks, change.landmarks, lips, goal, border)
            transferred = transfer(canvas, region, face.crop, change, warp, record=record)
        patch, warp = transferred.patch, transferred.warp
        new = np.zeros(patch.shape[:2] if record else (0, 0), np.float32)
        if warp is not None:
            x, y = region.coordinates()
            photo = region.crop(canvas)
            after, memory = transferred.after, dict[str, Any]()
            if self._clips:
                memory = self._memories.setdefault(face.face.index, memory)
            scene = Scene(photo, patch, region, x, y, warp, change, after, face.blur, memory)
            content = self.content.render(scene)
            if content is not None:
                patch[content.rows, content.columns] = content.pixels
                if record:
                    new[content.rows, content.columns] = content.weight
        if change.eyes_shut > 0:
            landmarks = face.landmarks if warp is None else warp.targets
            lower_lids(patch, region, *region.coordinates(), landmarks, change.eyes_shut)
        if change.layers:
            landmarks = face.landmarks if warp is None else warp.targets
            layered = LayerScene(region.crop(canvas), patch, region, landmarks, face.blur)
            for layer in change.layers:
                layer.paint(layered)
        if not record:
            return patch, None
        return patch, Stages(change, patch, warp, transferred.warped, transferred.residual, new)
