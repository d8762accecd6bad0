"""Recordings of smiles: UvA-NEMO's, DISFA's and DISFA+'s layouts, tables of OpenFace, and videos.

Where action units are labelled or estimated already (DISFA's and DISFA+'s label files, OpenFace's
tables), these are read. Of videos alone, landmarks of each frame are found, and AU12, AU6, AU25 and
AU45 are estimated from how far they are from the face at rest (see :func:`landmark_units`). From
neutral to apex is then cut as by action units.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.data.smile_clips import SmileClip, cut_smile, read_uva_nemo_units
from faceflex.errors import FaceflexError, UsageError
from faceflex.faces.align import estimate_similarity, template, transform_points
from faceflex.faces.find import FaceFinder
from faceflex.faces.landmark_groups import (
    CENTRAL_INNER_LIPS,
    OUTER_MOUTH_CORNERS,
    RIGID_LANDMARKS,
)

VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".wmv", ".mpg", ".mpeg")
_UNITS = (12, 6, 25, 45)
_DISFA_RATE = 20.0
_OPENFACE = tuple(f"AU{unit:02d}_r" for unit in _UNITS)
_RANGE = 5.0  # Intensities are 0 to 5.
# For one step of intensity: pixels of the crop of corners, lids and gap; share of an eye.
_STEPS = (2.9, 0.55, 2.6, 0.2)
_MOST_MISSING = 0.2  # Frames without a face; more, and a video is left out.

Floats = NDArray[np.float64]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Recording:
    """A video, or tables of its action units.

    Attributes
    ----------
    name, person
        Of the recording, and who it shows.
    style
        0 posed, 1 spontaneous.
    video
        Its file; None where only action units are there.
    units
        (n, 4) AU12, AU6, AU25 and AU45 where they are known; NaN for units that are not.
    rate
        Frames a second of the units.
    """

    name: str
    person: str
    style: int
    video: Path | None = None
    units: Floats | None = None
    rate: float = 25.0


def find_recordings(folder: Path) -> list[Recording]:
    """Return the recordings of a folder, by whichever layout it has.

    UvA-NEMO: ``PERSON_deliberate_smile_N.mp4``, ``PERSON_spontaneous_smile_N.mp4``. DISFA:
    ``ActionUnit_Labels/SN001/SN001_au12.txt`` (``frame,intensity``), spontaneous. DISFA+:
    ``Labels/SN001/SESSION/AU12.txt`` (``frame.jpg intensity``), posed. OpenFace: ``NAME.csv`` with
    columns ``AU12_r`` and so on. Else any videos; a name or folder with "posed" or "deliberate" in
    it is posed.

    Raises
    ------
    UsageError
        If there are none.
    """
    found = [*_disfa(folder), *_disfa_plus(folder), *_openface(folder)]
    known = {recording.name for recording in found}
    videos = sorted(p for p in folder.rglob("*") if p.suffix.lower() in VIDEOS)
    found += [
        Recording(p.stem, person_of(p), style_of(p), p) for p in videos if p.stem not in known
    ]
    if not found:
        raise UsageError(f"{folder}: no videos, DISFA labels or OpenFace tables in it")
    return found


def style_of(path: Path) -> int:
    """Return the style that a file's or its folder's name says: 0 posed, 1 spontaneous.

    Examples
    --------
    >>> style_of(Path("041_deliberate_smile_2.mp4")), style_of(Path("clips/anna.mp4"))
    (0, 1)
    """
    words = f"{path.parent.name} {path.stem}".lower()
    return int(not re.search(r"posed|deliberate", words))


def person_of(path: Path) -> str:
    """Return who a recording shows: what its name begins with, up to the first mark.

    Examples
    --------
    >>> person_of(Path("041_deliberate_smile_2.mp4")), person_of(Path("anna-3.mp4"))
    ('041', 'anna')
    """
    return re.split(r"[_\-. ]", path.stem)[0]


def _disfa(folder: Path) -> Iterator[Recording]:
    """Yield DISFA's: a label file a unit; AU6 is there, AU45 is not."""
    for first in sorted(folder.rglob("SN*_au12.txt")):
        person = first.stem.split("_")[0]
        columns = [_column(first.with_name(f"{person}_au{unit}.txt"), ",") for unit in _UNITS]
        if columns[0] is not None:
            yield Recording(person, person, 1, None, _stacked(columns), _DISFA_RATE)


def _disfa_plus(folder: Path) -> Iterator[Recording]:
    """Yield DISFA+'s: a folder a session, a label file a unit; sessions with AU12 are smiles."""
    for first in sorted(folder.rglob("Labels/SN*/*/AU12.txt")):
        session = first.parent
        columns = [_column(session / f"AU{unit}.txt", None) for unit in _UNITS]
        if columns[0] is not None and np.nanmax(columns[0]) >= 1:
            person = session.parent.name
            name = f"{person}_{session.name}"
            yield Recording(name, person, 0, None, _stacked(columns), _DISFA_RATE)


def _column(path: Path, mark: str | None) -> Floats | None:
    """Return the last number of each line of a label file; None without such a file."""
    if not path.is_file():
        return None
    values = []
    for line in path.read_text(errors="replace").splitlines():
        parts = line.split(mark)
        try:
            values.append(float(parts[-1]))
        except (ValueError, IndexError):
            continue  # A heading.
    return np.array(values) if values else None


def _stacked(columns: list[Floats | None]) -> Floats:
    """Stack columns of one length; what is missing is NaN."""
    length = min(len(c) for c in columns if c is not None)
    return np.stack([np.full(length, np.nan) if c is None else c[:length] for c in columns], axis=1)


def _openface(folder: Path) -> Iterator[Recording]:
    for path in sorted(folder.rglob("*.csv")):
        with path.open(newline="", errors="replace") as file:
            rows = csv.DictReader(file, skipinitialspace=True)
            if rows.fieldnames is None or not set(_OPENFACE) <= set(rows.fieldnames):
                continue
            try:
                table = [[float(row[c]) for c in (*_OPENFACE, "timestamp")] for row in rows]
            except (TypeError, ValueError, KeyError):
                raise UsageError(f"{path}: a damaged table of OpenFace") from None
        values = np.array(table)
        if len(values) > 2:
            rate = 1 / max(float(np.median(np.diff(values[:, 4]))), 1e-3)
            yield Recording(path.stem, person_of(path), style_of(path), None, values[:, :4], rate)


def read_smiles(
    path: Path, finder: FaceFinder | None = None, progress: Progress | None = None
) -> list[SmileClip]:
    """Read real smiles from a table of action units, or from a folder of recordings.

    Raises
    ------
    UsageError
        If there are none.
    """
    if not path.is_dir():
        return read_uva_nemo_units(path)
    recordings, clips = find_recordings(path), []
    for number, recording in enumerate(recordings):
        clip = smile_of(recording, finder or FaceFinder())
        if clip is not None:
            clips.append(clip)
        if progress:
            progress(number + 1, len(recordings))
    if not clips:
        raise UsageError(f"{path}: {len(recordings)} recordings, but no smile in them")
    return clips


def smile_of(recording: Recording, finder: FaceFinder) -> SmileClip | None:
    """Cut the smile of a recording; None where there is none, or hardly a face."""
    units, rate = recording.units, recording.rate
    if units is None:
        tracked = None if recording.video is None else track_landmarks(recording.video, finder)
        if tracked is None:
            return None
        points, rate = tracked
        units = landmark_units(points)
    else:
        units = np.where(np.isfinite(units), units, 0.0)
    return cut_smile(recording.name, recording.person, recording.style, units, rate)


def read_frames(path: Path) -> Iterator[tuple[NDArray[np.uint8], float]]:
    """Yield the frames (H, W, 3) uint8 RGB of a video, and its frames a second.

    Raises
    ------
    FaceflexError
        If it cannot be read.
    """
    video = cv2.VideoCapture(str(path))
    try:
        rate = float(video.get(cv2.CAP_PROP_FPS)) or 25.0
        some = False
        while True:
            there, frame = video.read()
            if not there:
                break
            some = True
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False), rate
    finally:
        video.release()
    if not some:
        raise FaceflexError(f"{path}: cannot be read as a video")


def track_landmarks(path: Path, finder: FaceFinder) -> tuple[NDArray[np.float32], float] | None:
    """Find the largest face's landmarks in each frame; those of missing ones are interpolated.

    Returns
    -------
    (n, 68, 2) in pixels, and frames a second; None where too many frames have no face.
    """
    found: list[NDArray[np.float32] | None] = []
    rate = 25.0
    for frame, frames_a_second in read_frames(path):
        rate = frames_a_second
        faces = finder.find(frame)
        best = max(faces, key=lambda face: face.width, default=None)
        found.append(None if best is None else best.points)
    known = [n for n, points in enumerate(found) if points is not None]
    if len(known) < 2 or len(known) < (1 - _MOST_MISSING) * len(found):
        return None
    stacked = np.stack([p for p in found if p is not None]).reshape(len(known), -1)
    every = np.arange(len(found))
    filled = np.stack([np.interp(every, known, column) for column in stacked.T], axis=1)
    return np.float32(filled.reshape(-1, 68, 2)), rate


def landmark_units(points: NDArray[np.floating]) -> Floats:
    """Estimate AU12, AU6, AU25 and AU45 of landmarks (n, 68, 2), about 0 to 5.

    From how far corners, lids and lips are from where they are at rest, which is the fifth of the
    frames with the narrowest mouth. These are no trained estimates: AU6 is only seen as the lower
    lids' rise.
    """
    rigid = list(RIGID_LANDMARKS)
    level = np.array(
        [transform_points(estimate_similarity(p[rigid], template()[rigid]), p) for p in points],
        np.float64,
    )
    left, right = (level[:, k] for k in OUTER_MOUTH_CORNERS)
    width = right[:, 0] - left[:, 0]
    calm = width <= np.quantile(width, 0.2)
    rest = np.median(level[calm], axis=0)
    moved = level - rest
    out = (moved[:, OUTER_MOUTH_CORNERS[1], 0] - moved[:, OUTER_MOUTH_CORNERS[0], 0]) / 2
    up = -moved[:, list(OUTER_MOUTH_CORNERS), 1].mean(axis=1)
    corners = (out + up) / np.sqrt(2)
    lower_lids = -moved[:, [40, 41, 46, 47], 1].mean(axis=1)
    upper, lower = CENTRAL_INNER_LIPS[:3], CENTRAL_INNER_LIPS[3:]
    gap = (moved[:, list(lower), 1] - moved[:, list(upper), 1]).mean(axis=1)
    eyes = (level[:, [40, 41, 46, 47], 1] - level[:, [38, 37, 44, 43], 1]).mean(axis=1)
    shut = 1 - eyes / max(float(np.median(eyes)), 1e-6)
    values = np.stack([corners, lower_lids, gap, shut], axis=1) / _STEPS
    return np.clip(values, -1, _RANGE)
