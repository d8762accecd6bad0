"""Clips of an open photo: one of each mode, side by side, or with their landmarks drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.edit.clip_calibration import boosted_changes
from faceflex.edit.editor import OpenPhoto, Steps
from faceflex.faces.align import invert, transform_points
from faceflex.faces.landmark_pictures import CURVES
from faceflex.methods.base import Shot
from faceflex.methods.controls import Settings
from faceflex.parallel.process_pool import default_jobs
from faceflex.parallel.threads import run_in_threads

_INK, _EDGE = (80, 255, 120), (20, 40, 20)

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class ClipRequest:
    """Which clips to make of a photo.

    Attributes
    ----------
    settings
        Of the method's controls.
    modes
        How many besides the usual one.
    frames
        Frames of a clip, the first and the last included.
    """

    settings: Settings
    modes: int = 0
    frames: int = 50

    def shots(self, mode: int) -> list[Shot]:
        """Return the shots of a mode's clip, in order."""
        last = max(1, self.frames - 1)
        return [Shot(self.settings, mode, (), n / last) for n in range(self.frames)]

    def shown(self, mode: int) -> Shot:
        """Return the moment of a mode's clip at which its smile shows: the last, or the apex."""
        loop = dict(self.settings).get("loop", 0.0) >= 0.5
        return Shot(self.settings, mode, (), None if loop else 1.0)

    def still(self, mode: int, time: float) -> Shot:
        """Return the shot of a moment, 0 to 1."""
        return Shot(self.settings, mode, (), time)


def clip_frames(
    opened: OpenPhoto,
    shots: Sequence[Shot],
    *,
    threads: int | None = None,
    draw: Callable[[Picture, Steps], Picture] | None = None,
    boosts: Sequence[float] = (),
) -> Iterator[Picture]:
    """Render a clip, frame after frame; several at once, in threads.

    Parameters
    ----------
    opened
        The photo.
    shots
        Its moments.
    threads
        How many frames are rendered at once; one a core, at most four, by default.
    draw
        Draws on each frame, which is also given its changes.
    boosts
        By how much each face's smile is raised, as ``find_boosts`` of ``clip_calibration`` says;
        not at all by default.

    Yields
    ------
    (H, W, 3) uint8. Outside the faces' masks, and before anything moves, the photo's own pixels.
    """
    quicker = opened.for_clips()

    def frame(steps: Steps) -> Picture:
        made = quicker.compose(steps)
        return made if draw is None else draw(made, steps)

    count = threads or max(1, min(4, default_jobs()))
    if len(opened.rgb) * opened.rgb.shape[1] > 12_000_000:
        count = 1  # Memory is bounded by how many frames are in flight.
    changes = boosted_changes(opened, shots, boosts)
    tasks = (partial(frame, steps) for steps in changes)
    yield from run_in_threads(tasks, count)


def grid_frames(
    clips: Sequence[Iterator[Picture]], columns: int | None = None
) -> Iterator[Picture]:
    """Lay clips of one size side by side, frame by frame; in rows of two where there are many."""
    count = len(clips)
    wide = columns or (count if count <= 3 else -(-count // 2))
    for frames in zip(*clips, strict=True):
        blank = np.zeros_like(frames[0])
        cells = [*frames, *[blank] * (-count % wide)]
        rows = [np.concatenate(cells[k : k + wide], axis=1) for k in range(0, len(cells), wide)]
        yield np.concatenate(rows)


def draw_landmarks(opened: OpenPhoto, frame: Picture, steps: Steps) -> Picture:
    """Draw where the landmarks of each face are in a frame; a copy is returned."""
    drawn = frame.copy()
    for face, changes in zip(opened.faces, steps, strict=True):
        points = face.landmarks
        for change in changes:
            points = points if change.landmarks is None else change.landmarks
        places = transform_points(invert(face.matrix), points)
        width = max(1, round(np.ptp(places[:, 0]) / 250))
        for ink, thick in ((_EDGE, width + 2), (_INK, width)):
            for curve in CURVES:
                line = np.round(places[list(curve)] * 16).astype(np.int32)[:, None]
                cv2.polylines(drawn, [line], False, ink, thick, cv2.LINE_AA, 4)
    return drawn


def scaled_to(rgb: Picture, side: int) -> Picture:
    """Return a photo whose long side is at most ``side`` pixels."""
    height, width = rgb.shape[:2]
    if max(height, width) <= side:
        return rgb
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
