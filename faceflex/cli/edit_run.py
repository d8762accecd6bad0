"""Run an edit over photo after photo, and say in the end how it went."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faceflex.cli.common import note, print_json, progress, read_source, report_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faceflex.batch import EditJob, Target
    from faceflex.editor import Editor

_NAMED = 10  # Photos named in each line of the summary.


@dataclass
class Summary:
    """What became of each photo of a run.

    Attributes
    ----------
    done, skipped, no_face, failed
        Photos, by name: edited; nothing left to write; without a face; with the reason why not.
    made
        Pictures written.
    """

    done: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    no_face: list[str] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    made: int = 0

    @property
    def code(self) -> int:
        """The exit code: 0 when nothing failed, 3 when no photo had a face, else 1."""
        if not self.failed and not self.no_face:
            return 0
        return 3 if self.no_face and not (self.done or self.skipped or self.failed) else 1

    def lines(self, left: int) -> list[str]:
        """Return the summary's lines; ``left`` photos were not come to."""
        parts = [("done", len(self.done)), ("skipped", len(self.skipped))]
        parts += [("no face", len(self.no_face)), ("failed", len(self.failed))]
        parts += [("not come to", left)]
        total = sum(count for _, count in parts)
        told = ", ".join(f"{count:,} {name}" for name, count in parts if count)
        found = [f"{total:,} photos: {told}"]
        if self.no_face:
            found.append(f"  no face: {_named(self.no_face)}")
        if self.failed:
            found.append(f"  failed: {_named([name for name, _ in self.failed])}")
        return found


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def run(
    job: EditJob,
    editor: Editor,
    names: list[str],
    targets: list[Target],
    *,
    json_: bool,
    fail_fast: bool,
) -> int:
    """Edit photo after photo; one that fails does not stop the others.

    Returns
    -------
    The exit code.
    """
    from faceflex.errors import FaceflexError, NoFaceError, UsageError

    summary, seen = Summary(), 0
    with progress("editing", len(names)) as advance:
        for name, target in zip(names, targets, strict=True):
            try:
                _one(job, editor, name, target, json_, summary)
            except UsageError:
                raise  # The command's words are off, not this photo.
            except FaceflexError as error:
                report_error(error)
                if json_:
                    print_json({"photo": name, "output": None, "error": str(error)})
                if isinstance(error, NoFaceError):
                    summary.no_face.append(name)
                else:
                    summary.failed.append((name, str(error)))
            seen += 1
            advance(seen, len(names))
            if fail_fast and summary.code:
                break
    if summary.made and not any(t.stdout for t in targets):
        where = targets[0].file or targets[0].folder
        more = f" and {len(names) - 1} more" if len(names) > 1 and job.request.attributes else ""
        plural = "s" * (summary.made != 1)
        note(f"{summary.made} picture{plural} written to {where}{more}")
    if len(names) > 1:
        for line in summary.lines(len(names) - seen):
            note(line)
    return summary.code


def _one(
    job: EditJob, editor: Editor, name: str, target: Target, json_: bool, summary: Summary
) -> None:
    """Edit one photo, and enter it in the summary."""
    from faceflex.batch import edit_one

    made, refused, told = 0, "", False
    for record in edit_one(job, editor, name, target, read_source):
        if record["output"] is None:
            refused = refused or record["error"]
            note(f"faceflex: error: {record['error']}")
        else:
            made += 1
            if not told:
                _tell(name, record)
                told = True
        if json_:
            print_json(record)
    summary.made += made
    if refused:
        summary.failed.append((name, refused))
    else:
        (summary.done if made or target.stdout else summary.skipped).append(name)


def _tell(name: str, record: dict[str, Any]) -> None:
    """Print what could not be kept of a photo, and what is hard about its faces."""
    for remark in record["notes"]:
        note(f"{name}: {remark}")
    for face in record["faces"]:
        for remark in face["remarks"]:
            note(f"{name}: face {face['index']}: {remark}")


def foresee(job: EditJob, names: list[str], targets: list[Target], *, json_: bool) -> int:
    """Print what a run would write, without opening a photo; return the exit code.

    A line a picture: the path, and whether it is there already. Photos that cannot be read, or
    have no face, are only found out by running.
    """
    import sys

    from faceflex.batch import planned_paths

    for name, target in zip(names, targets, strict=True):
        for path in planned_paths(job, target, name):
            there = path is not None and Path(path).exists()
            act = "write" if not there or job.overwrite else "skip" if job.skip_existing else "fail"
            shown = "-" if path is None else str(path)
            if json_:
                print_json({"photo": name, "output": shown, "exists": there, "would": act})
            else:
                sys.stdout.write(f"{act}\t{shown}\n")
    return 0
