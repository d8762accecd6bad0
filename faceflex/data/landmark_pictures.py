"""Sequences of landmark pictures: people's landmarks moved as real smiles go.

No set of videos is needed: landmarks come from pairs of photos, dynamics from action unit curves.
The two were recorded on different people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceflex.data.smile_clips import SmileClip
from faceflex.data.smile_pairs import SmilePair
from faceflex.data.template import mirrored
from faceflex.errors import UsageError
from faceflex.faces.align import SIZE, estimate_similarity, transform_points
from faceflex.faces.landmark_pictures import draw_landmarks
from faceflex.faces.lips import lips_from_landmarks
from faceflex.methods.action_motion import ActionMotion

FRAMES = 32
"""Frames from neutral to smile."""


def aligned_points(points: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return landmarks (68, 2) of a photo in pixels of the aligned crop."""
    return transform_points(estimate_similarity(points), points)


@dataclass(frozen=True)
class LandmarkSequence:
    """Landmarks of a smile.

    Attributes
    ----------
    points
        (T, 68, 2) in pixels of the crop, neutral at first.
    style
        0 posed, 1 spontaneous.
    curves
        (T, 3) AU12, AU6 and AU25 that moved them.
    """

    points: NDArray[np.float32]
    style: int
    curves: NDArray[np.float32]

    def pictures(self) -> NDArray[np.uint8]:
        """Return (T, 64, 64) landmark pictures."""
        return np.stack([draw_landmarks(p) for p in self.points])


class SequenceMaker:
    """Makes sequences of people's landmarks from the curves of real smiles.

    Parameters
    ----------
    pairs
        Photos of people, of which the neutral landmarks are used.
    clips
        Real smiles.
    motion
        How landmarks move with action units.
    held_out
        Make sequences of held-out people and smiles instead of the others.

    Raises
    ------
    UsageError
        If there are none.
    """

    def __init__(
        self,
        pairs: Sequence[SmilePair],
        clips: Sequence[SmileClip],
        motion: ActionMotion,
        *,
        held_out: bool = False,
    ) -> None:
        chosen = [p.landmarks[0] for p in pairs if p.held_out == held_out]
        self.clips = [clip for clip in clips if clip.held_out == held_out]
        if not chosen or not self.clips:
            raise UsageError(f"{len(chosen)} people and {len(self.clips)} smiles: none to learn of")
        neutral = np.array([aligned_points(p) for p in chosen])
        self.people = np.concatenate([neutral, mirrored(neutral, SIZE)])
        self.motion = motion

    def make(self, rng: np.random.Generator) -> LandmarkSequence:
        """Draw a person, a smile, and a kind; return the sequence."""
        person = self.people[rng.integers(len(self.people))]
        clip = self.clips[rng.integers(len(self.clips))]
        return self.sequence(person, clip.curves, clip.style, self.motion.draw_kind(rng))

    def sequence(
        self,
        person: NDArray[np.float32],
        curves: NDArray[np.floating],
        style: int,
        kind: NDArray[np.floating],
    ) -> LandmarkSequence:
        """Move a person's landmarks (68, 2) by curves (T, 3) of a smile."""
        units = onset_curves(curves)
        lips = lips_from_landmarks(person)
        points = [
            self.motion.targets(person, lips, amounts, kind)[0]
            for amounts in self.motion.amounts_of(units)
        ]
        return LandmarkSequence(np.stack(points), style, units)


def onset_curves(curves: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the first 32 frames (1.28 s) of a smile, (32, 3); the last repeated if it is shorter.

    The paper cuts as many, from neutral to smile.
    """
    short = np.asarray(curves[:FRAMES], np.float32)
    missing = FRAMES - len(short)
    return np.concatenate([short, np.repeat(short[-1:], missing, axis=0)]) if missing else short
