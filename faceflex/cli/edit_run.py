"""Run an edit over photo after photo, and say in the end how it went."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from faceflex.cli.common import note, option_names, print_json, progress, read_source

if TYPE_CHECKING:
    from faceflex.edit.editor import Editor
    from faceflex.edit.options import EditOptions, Target
    from faceflex.edit.result import OutputResult, PhotoResult

KINDS = ("done", "skipped", "no face", "failed")
_NAMED = 10  # Photos of each kind that the summary names.


@dataclass
class Summary:
    """What became of the photos of a run.

    Attributes
    ----------
    counts
        Photos of each of :data:`KINDS`.
    named
        Names of the first of them; of failed ones, with the reason.
    made
        Pictures written.
    """

    counts: Counter[str] = field(default_factory=Counter)
    named: dict[str, list[str]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    made: int = 0

    def add(self, outcome: PhotoResult) -> None:
        """Count a photo."""
        self.counts[outcome.outcome] += 1
        self.made += outcome.made
        if len(self.named[outcome.outcome]) < _NAMED:
            reason = outcome.error.removeprefix(f"{outcome.photo}: ")
            failed = outcome.outcome == "failed" and reason
            told = f"{outcome.photo} ({reason})" if failed else outcome.photo
            self.named[outcome.outcome].append(told)

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
    from faceflex.edit.result import PhotoResult

    summary, seen, told = Summary(), 0, set[int]()
    tasks = list(zip(names, targets, strict=True))
    results = edit_photos(options, editor, tasks, read_source, jobs=jobs, cluster=cluster)
    with progress("editing", len(names)) as advance:
        for number, result in results:
            if not isinstance(result, PhotoResult):
                if number not in told:
                    told.add(number)
                    _remark(names[number], result)
                if result.error:
                    note(f"faceflex: error: {option_names(result.error)}")
                if json_:
                    print_json(result.as_json())
                continue
            told.discard(number)
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
    if len(names) > 1:
        for line in summary.lines(len(names) - seen):
            note(line)
    return summary.code


def _report(outcome: PhotoResult, *, json_: bool) -> None:
    """Print why a photo failed."""
    if outcome.error and not outcome.reported:
        note(f"faceflex: error: {option_names(outcome.error)}")
        if json_:
            print_json(
                {"photo": outcome.photo, "output": None, "error": option_names(outcome.error)}
            )


def _remark(name: str, result: OutputResult) -> None:
    """Print what could not be kept of a photo, and what makes good edits of its faces unlikely."""
    for text in result.notes:
        note(f"{name}: {text}")
    for face in result.faces:
        for text in face.warnings:
            note(f"{name}: face {face.index}: {text}")


def foresee(options: EditOptions, names: list[str], targets: list[Target], *, json_: bool) -> int:
    """Print what a run would write, without opening a photo; return the exit code.

    A line a picture: the path, and whether it is there already. Photos that cannot be read, or
    have no face, are only found out by running.
    """
    import sys

    from faceflex.edit.options import planned_paths

    for name, target in zip(names, targets, strict=True):
        for path in planned_paths(options, target, name):
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
    return 0
