"""How photos are edited beside what is changed: which faces, which files, where they go."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from faceflex.edit.request import Output, Request, plan_outputs
from faceflex.errors import PhotoError
from faceflex.photo.formats import FORMATS
from faceflex.photo.load import read_header
from faceflex.photo.provenance import made_by_faceflex

if TYPE_CHECKING:
    from faceflex.photo.credentials import Signer

Inode = tuple[int, int]


@dataclass(frozen=True)
class EditOptions:
    """How each photo is edited.

    Attributes
    ----------
    request
        The pictures to make.
    faces
        Which faces, as :func:`faceflex.edit.selection.choose_faces` takes them.
    sheet, landmarks
        Also write a contact sheet of a sweep; the photo with its landmarks drawn.
    provenance
        Mark outputs as edited with a model.
    overwrite, skip_existing
        What to do about outputs that exist; without either they are an error.
    identity
        Measure how far each edit moves a person's identity, where dlib's descriptor is at hand.
    max_identity_distance
        Refuse outputs in which a face moves farther than this.
    explain
        Folder for pictures of the stages of each face's strongest edit.
    strip
        Leave out the photo's own metadata; its profile and the mark of ``provenance`` stay.
    signer
        Signs outputs (content credentials, C2PA).
    protected
        Files that are never written to, whatever the options: the photos of the run.
    skipped_if_own
        Those among them that are no photos of the run if faceflex made them.
    """

    request: Request
    faces: tuple[str, ...] = ()
    sheet: bool = True
    landmarks: bool = False
    provenance: bool = True
    overwrite: bool = False
    skip_existing: bool = False
    identity: bool = False
    max_identity_distance: float | None = None
    explain: Path | None = None
    strip: bool = False
    signer: Signer | None = None
    protected: frozenset[Inode] = frozenset()
    skipped_if_own: frozenset[Inode] = frozenset()

    def is_free(self, path: Path, source: str) -> bool:
        """Tell whether to write ``path``; refuse what would be overwritten, photos always.

        Raises
        ------
        PhotoError
            If it exists and may not be replaced.
        """
        if not os.path.lexists(path):
            return True
        target, photo = inodes([str(path)]), inodes([source])
        if self.skip_existing and not target & photo:
            return False
        protected = target & self.protected
        if protected & self.skipped_if_own and _is_own_output(path):
            protected = frozenset()
        if protected or target & photo:
            raise PhotoError(f"{path}: is a photo to be edited; choose another output")
        if self.overwrite:
            return True
        raise PhotoError(f"{path}: exists; use `overwrite`, `skip_existing` or another `out`")


@dataclass(frozen=True)
class Target:
    """Where one photo's results go: a folder, or one file (None: standard output).

    Attributes
    ----------
    folder, file
        The place; ``file`` is for the only picture of the photo.
    stdout
        That picture goes to standard output.
    label
        The photo's name without its suffix, made different from the others' of a run.
    stem
        What the names of single pictures begin with, different where they would be equal.
    keep_name
        A single picture is called as the photo is, not ``STEM-edited``.
    skip_edited
        Leave the photo alone if faceflex made it: nobody asked for this file by its name.
    """

    folder: Path
    file: Path | None = None
    stdout: bool = False
    label: str = ""
    stem: str = ""
    keep_name: bool = False
    skip_edited: bool = False

    def absolute(self) -> Target:
        """Return the same place, for a process that runs in another folder."""
        file = self.file and self.file.absolute()
        return replace(self, folder=self.folder.absolute(), file=file)


def _is_own_output(path: Path) -> bool:
    try:
        return made_by_faceflex(read_header(path)[1])
    except PhotoError:
        return False


def inodes(names: Iterable[str]) -> frozenset[Inode]:
    """Return which files names stand for, whatever links lead there; missing ones are left out."""
    found = set()
    for name in names:
        try:
            stat = Path(name).stat()
        except (OSError, ValueError):
            continue
        found.add((stat.st_dev, stat.st_ino))
    return frozenset(found)


def stem_of(target: Target, argument: str) -> str:
    """Return the stem of a photo's outputs."""
    return target.stem or ("stdin" if argument == "-" else Path(argument).stem)


def outputs_of(options: EditOptions, target: Target, argument: str, suffix: str) -> list[Output]:
    """Return the pictures to make of a photo, in files with a suffix."""
    stem = stem_of(target, argument)
    name = stem if target.keep_name else f"{stem}-edited"
    outputs = plan_outputs(options.request, target.folder, name, suffix)
    if target.file is not None or target.stdout:
        (only,) = outputs
        outputs = [replace(only, path=None if target.stdout else target.file)]
    return outputs


def extras_of(options: EditOptions, target: Target, argument: str, suffix: str) -> dict[str, Path]:
    """Return where the contact sheet and the landmark picture go."""
    found: dict[str, Path] = {}
    if target.stdout:
        return found
    if options.request.sweep and target.file is None and options.sheet:
        found["sheet"] = target.folder / "sheet.png"
    if options.landmarks:
        if target.file is not None:
            found["landmarks"] = target.file.with_name(f"{target.file.stem}-landmarks{suffix}")
        elif options.request.sweep:
            found["landmarks"] = target.folder / f"landmarks{suffix}"
        else:
            found["landmarks"] = target.folder / f"{stem_of(target, argument)}-landmarks{suffix}"
    return found


def planned_paths(
    options: EditOptions, target: Target, argument: str, suffix: str
) -> list[Path | None]:
    """Return where the files of a photo would go; None: standard output."""
    outputs = outputs_of(options, target, argument, suffix)
    return [*(o.path for o in outputs), *extras_of(options, target, argument, suffix).values()]


def suffix_of(argument: str, form: str) -> str:
    """Return the suffix of a photo's outputs: its own, or its format's where it has none."""
    return Path(argument).suffix or FORMATS[form][0]
