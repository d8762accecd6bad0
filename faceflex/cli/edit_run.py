"""Run an edit over photo after photo, and say in the end how it went."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from faceflex.cli.common import note, print_json, printable, progress, read_source

if TYPE_CHECKING:
    from faceflex.edit.editor import Editor
    from faceflex.edit.options import EditOptions, Target
    from faceflex.edit.result import PhotoResult

KINDS = ("done", "skipped", "no face", "failed")
GET_DESCRIPTOR = (
    "dlib's face descriptor is not on this machine; get it with:"
    " pip install face_recognition_models"
)
_NAMED = 10  # Photos of each kind that the summary names.


@dataclass
class Summary:
    """What became of the photos of a run.

    Attributes
    ----------
    counts
        Photos of each of :data:`KINDS`.
    named
        Names of the first of them; why they failed was said when they did.
    made
        Pictures written.
    own
        Photos that were skipped because faceflex made them.
    """

    counts: Counter[str] = field(default_factory=Counter)
    named: dict[str, list[str]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    made: int = 0
    own: int = 0

    def add(self, outcome: PhotoResult) -> None:
        """Count a photo."""
        self.counts[outcome.outcome] += 1
        self.made += outcome.made
        self.own += outcome.own
        if len(self.named[outcome.outcome]) < _NAMED:
            self.named[outcome.outcome].append(outcome.photo)

    @property
    def code(self) -> int:
        """The exit code: 0 when nothing failed, 3 when no photo had a face, else 1."""
        if not self.counts["failed"] and not self.counts["no face"]:
            return 0
        return 3 if self.counts["no face"] == sum(self.counts.values()) else 1

    def lines(self, left: int) -> list[str]:
        """Return the summary's lines; ``left`` photos were not come to."""
        parts = [(kind, self.counts[kind]) for kind in KINDS] + [("not come to", left)]
        total = sum(count for _, count in parts)
        told = ", ".join(f"{count:,} {name}" for name, count in parts if count)
        found = [f"{total:,} photos: {told}"]
        for kind in ("no face", "failed"):
            found += [f"  {kind}: {name}" for name in self.named[kind]]
            if self.counts[kind] > _NAMED:
                found.append(f"  {kind}: and {self.counts[kind] - _NAMED:,} more")
        return found


def run(
    options: EditOptions,
    editor: Editor,
    names: list[str],
    targets: list[Target],
    *,
    json_: bool,
    fail_fast: bool,
    jobs: int | None = None,
    cluster: str | None = None,
) -> int:
    """Edit photo after photo; one that fails does not stop the others.

    Returns
    -------
    The exit code.
    """
    from faceflex.edit.batch import edit_photos
    from faceflex.edit.result import OutputResult, PhotoResult, photo_note
    from faceflex.faces.recognition import descriptor_available

    if json_ and not descriptor_available():
        note(f"identity_distance will be null: {GET_DESCRIPTOR}")
    summary, seen, made = Summary(), 0, dict[int, list[OutputResult]]()
    tasks = list(zip(names, targets, strict=True))
    results = edit_photos(options, editor, tasks, read_source, jobs=jobs, cluster=cluster)
    with progress("editing", len(names)) as advance:
        for number, result in results:
            if not isinstance(result, PhotoResult):
                if result.error:
                    note(f"faceflex: error: {result.error}")
                else:
                    made.setdefault(number, []).append(result)
                if json_:
                    print_json(result.as_json())
                continue
            if line := photo_note(made.pop(number, [])):
                note(f"{names[number]}: {line}")
            summary.add(result)
            _report(result, json_=json_)
            seen += 1
            advance(seen, len(names))
            if fail_fast and summary.code:
                break
    if summary.made and not any(t.stdout for t in targets):
        where = targets[0].file or targets[0].folder
        more = f" and {len(names) - 1} more" if len(names) > 1 and options.request.sweep else ""
        plural = "s" * (summary.made != 1)
        note(f"{summary.made} picture{plural} written to {where}{more}")
    if summary.own:
        plural = "s" * (summary.own != 1)
        note(f"{summary.own} photo{plural} skipped: faceflex made them (`edited_too` edits them)")
    if len(names) > 1:
        for line in summary.lines(len(names) - seen):
            note(line)
    return summary.code


def _report(outcome: PhotoResult, *, json_: bool) -> None:
    """Print why a photo failed, or was left alone."""
    if outcome.own and json_:
        print_json({"photo": outcome.photo, "output": None, "skipped": "faceflex made it"})
    if outcome.error and not outcome.reported:
        note(f"faceflex: error: {outcome.error}")
        if json_:
            print_json({"photo": outcome.photo, "output": None, "error": outcome.error})


def foresee(options: EditOptions, names: list[str], targets: list[Target], *, json_: bool) -> int:
    """Print what a run would write; return the exit code.

    A line a picture: the path, and whether it is there already. Of photos only headers are read:
    those that end too early, or have no face, are only found out by running.
    """
    import sys

    from faceflex.edit.options import planned_paths, suffix_of
    from faceflex.errors import PhotoError
    from faceflex.photo.load import read_header
    from faceflex.photo.provenance import made_by_faceflex

    code = 0
    for name, target in zip(names, targets, strict=True):
        suffix, own = Path(name).suffix, False
        try:
            if name != "-":
                form, xmp = read_header(name)
                suffix, own = suffix_of(name, form), made_by_faceflex(xmp)
        except PhotoError as error:
            code = 1
            if json_:
                print_json({"photo": name, "output": None, "would": "fail", "error": str(error)})
            else:
                sys.stdout.write(f"fail\t{printable(str(error))}\n")
            continue
        if own and target.skip_edited:
            if json_:
                skipped = "faceflex made it"
                print_json({"photo": name, "output": None, "would": "skip", "skipped": skipped})
            else:
                sys.stdout.write(f"skip\t{printable(name)}: faceflex made it\n")
            continue
        for path in planned_paths(options, target, name, suffix):
            there = path is not None and Path(path).exists()
            act = (
                "write"
                if not there or options.overwrite
                else "skip"
                if options.skip_existing
                else "fail"
            )
            shown = "-" if path is None else str(path)
            if json_:
                print_json({"photo": name, "output": shown, "exists": there, "would": act})
            else:
                sys.stdout.write(f"{act}\t{shown}\n")
            code = 1 if act == "fail" else code
    return code
