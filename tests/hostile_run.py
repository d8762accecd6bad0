"""What one run of ``faceflex edit`` makes of the hostile corpus."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from faceflex.photo.load import FORMATS


@dataclass
class Outcome:
    """A finished run.

    Attributes
    ----------
    code
        Exit code; None when it hung and was stopped.
    records
        JSON of each file by its path.
    seconds
        Until each file's record, from the one before.
    stderr
        All of it.
    peak
        Most memory of any process so far, in MiB.
    """

    code: int | None
    records: dict[str, dict] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    stderr: str = ""
    peak: float = 0.0


def edit(names: Sequence[str], out: Path, *words: str, timeout: float = 3600) -> Outcome:
    """Edit files with one command."""
    command = [sys.executable, "-m", "faceflex", "edit", "--set", "Smiling=1", "--json"]
    done = subprocess.Popen(
        [*command, "--out", str(out), *words, "--", *names],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "FACEFLEX_OFFLINE": "1"},
    )
    told: list[bytes] = []
    listener = threading.Thread(target=lambda: told.extend(done.stderr))
    stopper = threading.Timer(timeout, done.kill)
    listener.start()
    stopper.start()
    outcome, before = Outcome(None), time.monotonic()
    for line in done.stdout:
        record, now = json.loads(line), time.monotonic()
        outcome.records[record["photo"]] = record
        outcome.seconds[record["photo"]] = now - before
        before = now
    done.wait()
    stopper.cancel()
    listener.join()
    outcome.stderr = b"".join(told).decode(errors="replace")
    outcome.code = None if done.returncode == -9 else done.returncode
    outcome.peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return outcome


def broken(outcome: Outcome, out: Path) -> list[str]:
    """Return outputs that cannot be opened, are no photo's size, or are not told."""
    found, told = [], set()
    for record in outcome.records.values():
        if record["output"] is None:
            continue
        path = Path(record["output"])
        told.add(path.name)
        try:
            with Image.open(path) as picture:
                picture.load()
        except Exception as error:
            found.append(f"{path.name!a}: {error}")
    untold = {p.name for p in out.iterdir()} - told if out.is_dir() else set()
    return found + [f"{name!a}: not told" for name in sorted(untold)]


def report(folder: Path, out: Path) -> int:
    """Edit a whole corpus, print what became of it, and return 1 if something is wrong."""
    suffixes = {s for group in FORMATS.values() for s in group}
    names = sorted(str(p) for p in folder.iterdir() if p.suffix.lower() in suffixes)
    outcome = edit([str(folder)], out, "--jobs", "1")  # So that times are those of a file.
    bad = broken(outcome, out)
    errors = [r["error"] for r in outcome.records.values() if r["output"] is None]
    reasons = Counter("no face" if "no face" in e else "refused" for e in errors)
    silent = [n for n in names if n not in outcome.records]
    slowest = max(outcome.seconds, key=outcome.seconds.__getitem__, default="none")
    crashes = [e for e in errors if "unexpected" in e]
    traceback = "Traceback" in outcome.stderr
    rows = {
        "files": len(names),
        "edited": len(outcome.records) - len(errors),
        "refused": reasons["refused"],
        "no face": reasons["no face"],
        "not told": len(silent),
        "crashed": len(crashes) + traceback + (outcome.code not in (0, 1)),
        "hung": int(outcome.code is None),
        "broken outputs": len(bad),
        "seconds": round(sum(outcome.seconds.values())),
        "slowest": f"{outcome.seconds.get(slowest, 0):.1f} s ({Path(slowest).name!a})",
        "peak memory": f"{outcome.peak:.0f} MiB",
    }
    for name, value in rows.items():
        sys.stdout.write(f"{name:16}{value}\n")
    for line in (*bad, *crashes, *(f"not told: {n!a}" for n in silent)):
        sys.stdout.write(f"  {line!a}\n")
    if rows["crashed"] or rows["hung"]:
        sys.stdout.write(f"exit code {outcome.code}; {outcome.stderr[-2000:]!a}\n")
    return int(bool(bad or silent or rows["crashed"] or rows["hung"]))


def load_all(folder: Path, skip: str = "solid-") -> None:
    """Load each file, change a part, encode it and load that; print a line of JSON for each."""
    from faceflex.errors import FaceflexError
    from faceflex.photo import encode_photo, load_photo

    for path in sorted(p for p in folder.iterdir() if not p.name.startswith(skip)):
        started, told = time.monotonic(), ""
        try:
            photo = load_photo(path)
            after = photo.rgb.copy()
            height, width = after.shape[:2]
            after[height // 4 : height // 2, width // 4 : width // 2] ^= 9
            again = load_photo(encode_photo(photo, after))
            assert again.rgb.shape == after.shape
        except FaceflexError as error:
            told = str(error).removeprefix(f"{path}: ")
        row = {"name": path.name, "error": told, "seconds": time.monotonic() - started}
        sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.write(json.dumps({"peak": own_peak()}) + "\n")


def own_peak() -> float:
    """Return the most memory that this process has had, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():  # What the system counts elsewhere begins with the parent's memory.
        (line,) = (x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    load_all(Path(sys.argv[1]))
