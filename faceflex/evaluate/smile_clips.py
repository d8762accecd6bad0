"""What clips of a photo show: modes that differ, smiles in the end, flicker, identity, speed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceflex.compose.composer import Composer
from faceflex.compose.content import Content, Scene
from faceflex.edit.clip import ClipRequest, clip_frames
from faceflex.edit.clip_calibration import boosted_changes, find_boosts
from faceflex.edit.editor import Editor, OpenPhoto, Steps
from faceflex.evaluate.edits import Instruments
from faceflex.faces.align import invert, transform_points

_SMILING = "Smiling"
_SMILES = 0.5  # The classifier's score from which a face smiles.
_IDENTITY_STEP = 5  # Every so many frames identity is measured.

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ClipMeasures:
    """Measures of a mode's clip of one face.

    Attributes
    ----------
    mode
        The mode.
    boost
        By how much its smile was raised until the classifier saw it.
    smile_before, smile_after
        The classifier's score of a smile in the first and in the last frame.
    identity
        Largest distance of dlib's descriptor from the photo's.
    flicker
        Second difference over time inside the face, against that of the photo warped alone.
    background
        Pixels outside the face's mask that change in any frame.
    first_is_photo
        Whether the first frame is the photo, bit for bit.
    """

    mode: int
    boost: float
    smile_before: float
    smile_after: float
    identity: float
    flicker: float
    background: int
    first_is_photo: bool


class _NoContent:
    """Renders nothing: what is left is the warp."""

    fingerprint = "none"

    def render(self, scene: Scene) -> Content | None:
        return None


def warp_alone(opened: OpenPhoto, steps: Steps) -> NDArray[np.uint8]:
    """Return the photo with its pixels moved, nothing shaded and nothing rendered."""
    canvas, composer = opened.rgb.copy(), Composer(_NoContent())
    for face, changes in zip(opened.faces, steps, strict=True):
        composer.apply(canvas, face, [replace(c, after=c.before) for c in changes])
    return canvas


def second_difference(frames: Sequence[NDArray[np.uint8]], mask: NDArray[np.bool_]) -> float:
    """Return the mean absolute second difference over time inside a mask (H, W)."""
    kept = [np.float32(frame[mask]) for frame in frames]
    steps = [b - a for a, b in pairwise(kept)]
    return float(np.mean([np.abs(b - a).mean() for a, b in pairwise(steps)]))


def time_warping(a: Floats, b: Floats) -> float:
    """Return the dynamic time warping distance of sequences (T, n), (U, n), a step's mean.

    Examples
    --------
    >>> line = np.arange(5.0)[:, None]
    >>> time_warping(line, np.repeat(line, 2, axis=0))
    0.0
    """
    cost = np.linalg.norm(a[:, None] - b[None], axis=2)
    total = np.full((len(a) + 1, len(b) + 1), np.inf)
    total[0, 0] = 0
    for i in range(len(a)):
        for j in range(len(b)):
            before = min(total[i, j], total[i, j + 1], total[i + 1, j])
            total[i + 1, j + 1] = cost[i, j] + before
    return float(total[-1, -1] / max(len(a), len(b)))


def landmark_motion(
    opened: OpenPhoto, request: ClipRequest, mode: int, boosts: Sequence[float] = ()
) -> Floats:
    """Return how the first face's landmarks move over a clip, (T, 136) in pixels of the crop."""
    face = opened.faces[0]
    rows = []
    for steps in boosted_changes(opened, request.shots(mode), boosts):
        points = face.landmarks
        for change in steps[0]:
            points = points if change.landmarks is None else change.landmarks
        rows.append(np.float64(points - face.landmarks).ravel())
    return np.array(rows)


def modes_apart(
    open_with_seed: Callable[[int], OpenPhoto], request: ClipRequest
) -> tuple[float, float]:
    """Return the mean distance between modes of a face, and between two seeds of one mode.

    Parameters
    ----------
    open_with_seed
        Opens the photo with a seed.
    request
        Settings, and how many modes besides the usual one.
    """
    seeds = [open_with_seed(seed) for seed in (0, 1)]
    modes = range(request.modes + 1)
    first, second = (
        [
            landmark_motion(opened, request, mode, find_boosts(opened, request.shown(mode)))
            for mode in modes
        ]
        for opened in seeds
    )
    between = [time_warping(a, b) for a, b in combinations(first, 2)]
    within = [time_warping(a, b) for a, b in zip(first, second, strict=True)]
    return float(np.mean(between)), float(np.mean(within))


def measure_clip(
    opened: OpenPhoto, request: ClipRequest, mode: int, instruments: Instruments
) -> ClipMeasures:
    """Measure a mode's clip of the first face of a photo."""
    face, shots, quicker = opened.faces[0], request.shots(mode), opened.for_clips()
    boosts = find_boosts(opened, request.shown(mode))
    frames = list(clip_frames(opened, shots, boosts=boosts))
    inside = np.zeros(opened.rgb.shape[:2], bool)
    region = face.region
    if region is not None:
        inside[region.top : region.bottom, region.left : region.right] = region.mask > 0
    steps_of = boosted_changes(opened, shots, boosts)
    warped = [warp_alone(quicker, steps) for steps in steps_of]
    changed = np.zeros_like(inside)
    for frame in frames:
        changed |= (frame != opened.rgb).any(axis=2)
    before = instruments.measure(frames[0], face.face.points, _SMILING)
    back = invert(face.matrix)
    moved = landmark_motion(opened, request, mode, boosts).reshape(-1, 68, 2)
    distances = []
    after = before
    for n in [*range(0, len(frames), _IDENTITY_STEP), len(frames) - 1]:
        points = transform_points(back, face.landmarks + np.float32(moved[n]))
        after = instruments.measure(frames[n], points, _SMILING)
        distances.append(float(np.linalg.norm(after.descriptor - before.descriptor)))
    flicker = second_difference(frames, inside) / max(second_difference(warped, inside), 1e-6)
    return ClipMeasures(
        mode,
        boosts[0],
        before.score,
        after.score,
        max(distances),
        flicker,
        int((changed & ~inside).sum()),
        bool((frames[0] == opened.rgb).all()),
    )


def speed_of(opened: OpenPhoto, request: ClipRequest) -> dict[str, float]:
    """Return frames a second after the first two, and what a frame takes of one core, in seconds.

    On a machine that has other things to do, the second says more; and beside it what a frame takes
    when it is rendered as photos are, and how much more that is.
    """
    shots = request.shots(0)
    frames = clip_frames(opened, shots)
    next(frames), next(frames)
    began, used = time.perf_counter(), time.process_time()
    count = sum(1 for _ in frames)
    spent, elapsed = time.process_time() - used, time.perf_counter() - began
    few = list(opened.changes(shots))[2 :: max(1, len(shots) // 10)]
    used = time.process_time()
    for steps in few:
        opened.compose(steps)
    full = (time.process_time() - used) / len(few)
    return {
        "frames_a_second": count / elapsed,
        "core_seconds_a_frame": spent / count,
        "core_seconds_a_photo": full,
        "ratio": full * count / max(spent, 1e-9),
    }


def summarise_clips(
    rows: Sequence[ClipMeasures], apart: Sequence[tuple[float, float]]
) -> dict[str, Any]:
    """Return a summary of clips, and of how far modes and seeds are apart."""
    between, within = np.mean(apart, axis=0)
    return {
        "clips": len(rows),
        "smiles_in_the_end": float(np.mean([r.smile_after >= _SMILES for r in rows])),
        "smile_rises": float(np.mean([r.smile_after > r.smile_before for r in rows])),
        "identity_max": {
            "median": float(np.median([r.identity for r in rows])),
            "largest": float(max(r.identity for r in rows)),
        },
        "flicker": {
            "median": float(np.median([r.flicker for r in rows])),
            "largest": float(max(r.flicker for r in rows)),
        },
        "background_pixels": int(max(r.background for r in rows)),
        "first_is_photo": all(r.first_is_photo for r in rows),
        "modes_apart": float(between),
        "seeds_apart": float(within),
        "modes_over_seeds": float(between / max(within, 1e-9)),
        "rows": [asdict(r) for r in rows],
    }


def open_for(editor: Editor, rgb: NDArray[np.uint8], name: str) -> OpenPhoto:
    """Open a photo with its largest face."""
    return editor.open(rgb, ("largest",), name=name)
