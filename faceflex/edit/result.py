"""What became of photos, typed; ``as_json`` is what ``--json`` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from faceflex.photo.provenance import Provenance


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
    """

    index: int
    box: tuple[int, int, int, int]
    score: float
    identity_distance: float | None
    warnings: Sequence[str]


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
    error
        Why it was refused, in one line.
    seconds
        Since the output before it.
    provenance
        How it was made, as its file says; None when it is not marked.
    faces
        Its edited faces.
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
    error: str = ""
    seconds: float = 0.0
    provenance: Provenance | None = None
    faces: Sequence[FaceResult] = ()
    c2pa: str = "none"
    notes: Sequence[str] = ()

    def as_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints of it."""
        row: dict[str, Any] = {
            "photo": self.photo,
            "output": self.output,
            "attribute": self.attribute,
            "strength": self.strength,
            "sample": self.sample,
            "settings": dict(self.settings),
        }
        if self.error:
            return row | {"error": self.error}
        faces = [asdict(f) | {"box": list(f.box), "warnings": list(f.warnings)} for f in self.faces]
        return row | {
            "seconds": self.seconds,
            "provenance": None if self.provenance is None else self.provenance.as_json(),
            "faces": faces,
            "c2pa": self.c2pa,
            "notes": list(self.notes),
        }


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
    """

    photo: str
    outcome: str
    made: int = 0
    error: str = ""
    reported: bool = False
