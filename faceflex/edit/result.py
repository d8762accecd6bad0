"""What became of photos, typed; ``as_json`` is what the command line prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from faceflex.photo.provenance import Provenance

if TYPE_CHECKING:
    from faceflex.edit.automatic_strength import AutomaticStrength

_SHOWN = 4  # Phrases of a photo's note.


@dataclass(frozen=True)
class FaceResult:
    """An edited face in one output.

    Attributes
    ----------
    index, box, score
        As in :class:`faceflex.faces.Face`.
    identity_distance
        How far the edit moved it from who it was; None when that was not measured.
    warnings
        What made a good edit unlikely.
    automatic
        Strengths that were found for it.
    unchanged
        Whether it keeps all its pixels, although an edit was asked for: there is nothing to take
        away, or it is as asked already.
    remarks
        What the method left undone of what was asked for, and why.
    """

    index: int
    box: tuple[int, int, int, int]
    score: float
    identity_distance: float | None
    warnings: Sequence[str]
    automatic: Sequence[AutomaticStrength] = ()
    unchanged: bool = False
    remarks: Sequence[str] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "index": self.index,
            "box": list(self.box),
            "score": self.score,
            "identity_distance": self.identity_distance,
            "warnings": list(self.warnings),
            "automatic": [found.as_json() for found in self.automatic],
            "unchanged": self.unchanged,
            "remarks": list(self.remarks),
        }


@dataclass(frozen=True)
class UnsureFace:
    """A face that was left alone because the detector is unsure of it; fields as in FaceResult."""

    index: int
    box: tuple[int, int, int, int]
    score: float

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {"index": self.index, "box": list(self.box), "score": self.score}


@dataclass(frozen=True)
class OutputResult:
    """One picture that was made, or refused.

    Attributes
    ----------
    photo
        The photo's name.
    output
        The file, ``-`` for standard output; None when it was refused.
    attribute, strength, sample, settings
        As in :class:`faceflex.edit.request.Output`.
    automatic
        Controls with automatic strengths, and the score that each was to reach.
    error
        Why it was refused, in one line.
    seconds
        Since the output before it.
    provenance
        How it was made, as its file says; None when it is not marked.
    faces
        Its edited faces.
    left_alone
        Faces of which the detector is too unsure.
    c2pa
        ``signed``, ``dropped`` (the photo's own credentials would no longer be true) or ``none``.
    notes
        What could not be kept of the photo.
    """

    photo: str
    output: str | None
    attribute: str | None
    strength: float | None
    sample: int
    settings: Mapping[str, float]
    automatic: Mapping[str, float] = field(default_factory=dict)
    error: str = ""
    seconds: float = 0.0
    provenance: Provenance | None = None
    faces: Sequence[FaceResult] = ()
    left_alone: Sequence[UnsureFace] = ()
    c2pa: str = "none"
    notes: Sequence[str] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        row: dict[str, Any] = {
            "photo": self.photo,
            "output": self.output,
            "attribute": self.attribute,
            "strength": self.strength,
            "sample": self.sample,
            "settings": dict(self.settings),
            "automatic": dict(self.automatic),
        }
        if self.error:
            return row | {"error": self.error}
        return row | {
            "seconds": self.seconds,
            "provenance": None if self.provenance is None else self.provenance.as_json(),
            "faces": [face.as_json() for face in self.faces],
            "left_alone": [face.as_json() for face in self.left_alone],
            "c2pa": self.c2pa,
            "notes": list(self.notes),
        }


def photo_note(results: Sequence[OutputResult]) -> str:
    """Return what to say about a photo in one line, from the results of its outputs.

    What could not be kept of it, what became of its faces, and which were left alone; empty when
    nothing is out of the ordinary.
    """
    if not results:
        return ""
    result = results[0]  # What is said of the photo is the same for all.
    phrases = list(result.notes)
    for number, face in enumerate(result.faces):
        found = (found for one in results for found in one.faces[number].automatic)
        remarks = [r for one in results for r in one.faces[number].remarks]
        notes = dict.fromkeys((*face.warnings, *remarks, *(strength.note for strength in found)))
        if any(one.faces[number].unchanged for one in results) and not remarks:
            some = "" if len(results) == 1 else " in some outputs"
            notes[f"left as it is{some}: nothing to take away, or as asked already"] = None
        if told := ", ".join(filter(None, notes)):
            phrases.append(f"face {face.index}: {told}")
    if len(result.left_alone) == 1:
        (unsure,) = result.left_alone
        phrases.append(
            f"face {unsure.index} left alone: the detector is unsure of it (score"
            f" {unsure.score:.2f}; `min_score` or `face` {unsure.index} edits it)"
        )
    elif result.left_alone:
        numbers = ", ".join(str(f.index) for f in result.left_alone)
        best = max(f.score for f in result.left_alone)
        phrases.append(
            f"faces {numbers} left alone: the detector is unsure of them (scores up to {best:.2f};"
            " `min_score` or `face` edits them)"
        )
    if len(phrases) > _SHOWN:
        more = len(phrases) - _SHOWN + 1
        phrases = [*phrases[: _SHOWN - 1], f"and {more} more notes (`json` has all)"]
    return "; ".join(phrases)


@dataclass(frozen=True)
class PhotoResult:
    """What became of a photo in the end.

    Attributes
    ----------
    photo
        Its name.
    outcome
        ``done``, ``skipped`` (nothing was left to write), ``no face`` or ``failed``.
    made
        Pictures written.
    error
        Why it failed, in one line.
    reported
        Whether results of refused outputs have said that already.
    own
        Whether it was skipped because faceflex made it.
    """

    photo: str
    outcome: str
    made: int = 0
    error: str = ""
    reported: bool = False
    own: bool = False
