"""What is asked of clips, which files they become, and what is said of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faceflex.edit.clip import ClipRequest
from faceflex.photo.clip import clip_format
from faceflex.photo.credentials import Signer
from faceflex.photo.formats import format_for
from faceflex.photo.provenance import Provenance


@dataclass(frozen=True)
class ClipOptions:
    """How clips are made and written.

    Attributes
    ----------
    request
        Which.
    select
        Which faces; all by default.
    fps
        Frames a second.
    grid
        One clip, with the modes side by side.
    landmarks
        Also write clips with the landmarks drawn.
    still
        Only this moment, 0 to 1, as a photo at full size.
    max_side
        Long side of the frames; None for what the format's players take.
    mark
        Write provenance.
    strip
        Leave out the photo's metadata.
    signer
        Signs the files (content credentials, C2PA).
    overwrite
        Replace files.
    """

    request: ClipRequest
    select: tuple[str, ...] = ()
    fps: float = 25.0
    grid: bool = False
    landmarks: bool = False
    still: float | None = None
    max_side: int | None = None
    mark: bool = True
    strip: bool = False
    signer: Signer | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class PlannedClip:
    """A file to be written: its path, the modes that it shows, and whether landmarks are drawn."""

    path: Path
    modes: tuple[int, ...]
    drawn: bool = False


@dataclass(frozen=True)
class ClipResult:
    """A file that was written.

    Attributes
    ----------
    photo, output
        Names.
    modes
        The modes that it shows.
    frames, fps, width, height
        Its shape; one frame for a still.
    seconds
        That it took.
    faces
        What the method says of each face: how far it smiled already, blinks.
    provenance
        How it was made; None when it is not marked.
    c2pa
        ``signed``, ``dropped`` or ``none``.
    notes
        What is out of the ordinary.
    """

    photo: str
    output: str
    modes: tuple[int, ...]
    frames: int
    fps: float
    width: int
    height: int
    seconds: float
    faces: Sequence[Mapping[str, Any]] = ()
    provenance: Provenance | None = None
    c2pa: str = "none"
    notes: Sequence[str] = field(default_factory=tuple)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        made = None if self.provenance is None else self.provenance.as_json()
        row = {k: getattr(self, k) for k in ("photo", "output", "frames", "fps")}
        row |= {"modes": list(self.modes), "size": [self.width, self.height]}
        row |= {"seconds": round(self.seconds, 3), "faces": [dict(f) for f in self.faces]}
        return row | {"provenance": made, "c2pa": self.c2pa, "notes": list(self.notes)}


def planned_clips(out: Path, options: ClipOptions) -> list[PlannedClip]:
    """Return the files to be written: ``out`` for mode 0, ``out-1`` and so on for the others.

    Raises
    ------
    UsageError
        If the suffix is none of a clip (or of a photo, for a still).
    """
    if options.still is None:
        clip_format(out)
    else:
        format_for(out)
    modes = tuple(range(options.request.modes + 1))
    if options.grid:
        clips = [PlannedClip(out, modes)]
    else:
        clips = [PlannedClip(out if k == 0 else _named(out, str(k)), (k,)) for k in modes]
    if options.landmarks:
        clips += [PlannedClip(_named(c.path, "landmarks"), c.modes, True) for c in clips]
    return clips


def _named(path: Path, word: str) -> Path:
    return path.with_name(f"{path.stem}-{word}{path.suffix}")
