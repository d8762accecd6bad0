"""Automatic strength: the smallest value of a control at which a classifier sees what it is for.

Found for each face by bisection. What is judged is the composed photo, its face aligned anew, as
the evaluation does it: a decode shows more than what gets into a photo.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from faceflex.faces.align import align

if TYPE_CHECKING:
    from faceflex.edit.editor import OpenPhoto
    from faceflex.methods.base import Shot
    from faceflex.methods.controls import Control

STEPS = 50
"""Steps of a control's range; strengths are found to one of them."""

SANE_DISTANCE = 0.45
"""Where the score cannot be reached, no face moves farther from who it was (dlib's descriptor)."""

_TRIED_FIRST = (20, 35, 50)
_UNMEASURED = 2.5  # End of the range of a control that has none.


class AttributeScorer(Protocol):
    """Tells how much a face shows of what a control is for."""

    def attribute_of(self, control: str) -> str:
        """Return what it scores for a control.

        Raises
        ------
        UsageError
            If it knows nothing that the control changes.
        """
        ...

    def score(self, crop: NDArray[np.uint8], attribute: str) -> float:
        """Return the probability of an attribute in a (128, 128, 3) uint8 aligned crop."""
        ...


@dataclass(frozen=True)
class AutomaticStrength:
    """The strength that was found for a control and a face.

    Attributes
    ----------
    control
        Its proper name.
    until
        The score that was asked for; below 0.5: the score was to fall to it.
    strength
        The strength used; the control's neutral value when the face is left alone.
    score_before, score_after
        The classifier's score of the face in the photo and in the result.
    outcome
        ``reached``, ``already`` (the face is left alone) or ``not reached``.
    """

    control: str
    until: float
    strength: float
    score_before: float
    score_after: float
    outcome: str

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        scores = {k: round(getattr(self, k), 4) for k in ("score_before", "score_after")}
        return asdict(self) | scores

    @property
    def note(self) -> str:
        """What to say about it; empty when all is as asked."""
        before, after = f"{self.score_before:.2f}", f"{self.score_after:.2f}"
        if self.outcome == "already":
            return f"{self.control} scores {before} as it is, left alone"
        if self.outcome == "reached":
            return ""
        return (
            f"{self.control} {self.strength:g} takes its score from {before} to {after} only, not"
            f" {self.until:g}"
        )


def bisect_step(passes: Callable[[int], bool]) -> int | None:
    """Find the smallest of the steps 1 to :data:`STEPS` that passes.

    A few steps are tried upwards, then the interval is halved; 3 to 8 calls in all.

    Returns
    -------
    The step; None when not even the last one passes.

    Examples
    --------
    >>> bisect_step(lambda step: step >= 23)
    23
    """
    low = 0
    for high in _TRIED_FIRST:
        if passes(high):
            break
        low = high
    else:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        if passes(middle):
            high = middle
        else:
            low = middle
    return high


def automatic_shots(
    opened: OpenPhoto,
    shot: Shot,
    automatic: Mapping[str, float],
    scorer: AttributeScorer,
    max_distance: float | None = None,
) -> list[tuple[Shot, list[AutomaticStrength]]]:
    """Find the automatic strengths of a picture, one control after the other.

    Parameters
    ----------
    opened
        The photo.
    shot
        The controls with fixed values.
    automatic
        The other controls, by proper name, and the score that each is to reach.
    scorer
        The judge.
    max_distance
        Where a score cannot be reached: how far a face may move from who it was.

    Returns
    -------
    For each face, the shot with all controls, and the strengths that were found.
    """
    shots = []
    for number in range(len(opened.faces)):
        search = _Search(opened, number, scorer, max_distance or SANE_DISTANCE)
        full, found = shot, []
        for control, until in automatic.items():
            full, strength = search.find(full, opened.editor.method.controls[control], until)
            found.append(strength)
        shots.append((full, search.measured_again(full, found)))
    return shots


class _Search:
    """Searches strengths for one face."""

    def __init__(
        self, opened: OpenPhoto, number: int, scorer: AttributeScorer, max_distance: float
    ) -> None:
        self._opened, self._number, self._scorer = opened, number, scorer
        self._max_distance = max_distance
        self._face = opened.faces[number]

    def find(self, shot: Shot, control: Control, until: float) -> tuple[Shot, AutomaticStrength]:
        """Return the shot with the strength of one more control, and what was found."""
        attribute = self._scorer.attribute_of(control.name)
        rising = until >= 0.5
        end = control.high if rising else control.low
        if not np.isfinite(end):
            end = control.neutral + (_UNMEASURED if rising else -_UNMEASURED)
        scores: dict[int, float] = {}

        def at(step: int) -> Shot:
            value = round(control.neutral + (end - control.neutral) * step / STEPS, 6)
            return replace(shot, settings=(*shot.settings, (control.name, value)))

        def passes(step: int) -> bool:
            scores[step] = self._score(at(step), attribute)
            return scores[step] >= until if rising else scores[step] <= until

        before = self._score(None, attribute)
        if passes(0):
            step, outcome = 0, "already"
        elif (found := bisect_step(passes)) is not None:
            step, outcome = found, "reached"
        else:
            strongest = sorted(scores, reverse=True)
            step = next((s for s in strongest if self._is_sane(at(s))), 0)
            outcome = "not reached"
        strength = at(step).settings[-1][1]
        found_strength = AutomaticStrength(
            control.name, until, strength, before, scores[step], outcome
        )
        return at(step), found_strength

    def measured_again(
        self, shot: Shot, found: Sequence[AutomaticStrength]
    ) -> list[AutomaticStrength]:
        """Return what was found, with scores of the result: later controls may change them."""
        if len(found) < 2:
            return list(found)
        picture = self._picture(shot)
        return [
            replace(
                one, score_after=self._score_of(picture, self._scorer.attribute_of(one.control))
            )
            for one in found
        ]

    def _picture(self, shot: Shot | None) -> NDArray[np.uint8]:
        """Return the photo with this face edited."""
        steps = () if shot is None else next(self._opened.face_changes(self._number, [shot]))
        if not steps:
            return self._opened.rgb
        canvas = self._opened.rgb.copy()
        self._opened.editor.composer.apply(canvas, self._face, steps)
        return canvas

    def _score(self, shot: Shot | None, attribute: str) -> float:
        return self._score_of(self._picture(shot), attribute)

    def _score_of(self, picture: NDArray[np.uint8], attribute: str) -> float:
        landmarks = self._opened.editor.finder.landmarks
        points = landmarks.find_again(picture, self._face.face.points)
        return self._scorer.score(align(picture, points).crop, attribute)

    def _is_sane(self, shot: Shot) -> bool:
        """Tell whether the face is still the same person, as far as that can be measured."""
        from faceflex.faces.recognition import IdentityMeter, descriptor_available

        if not descriptor_available():
            return True
        landmarks, points = self._opened.editor.finder.landmarks, [self._face.face.points]
        meter = IdentityMeter(landmarks, self._opened.rgb, points)
        (distance,) = meter.distances(self._picture(shot))
        return distance is None or distance <= self._max_distance
