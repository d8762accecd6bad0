"""Kill runs of ``faceflex edit`` at random moments, go on with them, and compare what they leave.

    python tests/killing.py PHOTOS [--rounds 20] [--jobs 2] [--seed 0]

PHOTOS is a folder. One run is left alone; each round then starts anew, is killed up to three times
while it writes (SIGINT, SIGTERM or SIGKILL, sent to the process as a user or a system would), goes
on with ``--skip-existing``, and must end with the very same files, bit for bit, and no other ones.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
SWEEP = ("--attr", "Smiling", "--range", "0", "2", "0.2")
STRENGTHS = [i / 5 for i in range(10)]


def contents(folder: Path) -> dict[str, str]:
    """Return the hash of every file below a folder, hidden ones too."""
    files = (p for p in folder.rglob("*") if p.is_file())
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(files)
    }


def command(photos: Path, out: Path, jobs: int) -> list[str]:
    """Return the words of a run."""
    words = ["edit", str(photos), *SWEEP, "--out", str(out), "--jobs", str(jobs)]
    return [sys.executable, "-m", "faceflex", *words, "--skip-existing"]


def start(words: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a run with signals as a shell gives them."""
    return subprocess.Popen(
        words,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "COLUMNS": "200"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )


def kill_once(words: Sequence[str], out: Path, number: int, delay: float) -> bool:
    """Kill a run some time after it has begun to write; tell whether it was still running."""
    before = len(contents(out)) if out.is_dir() else 0
    run = start(words)
    while run.poll() is None and (not out.is_dir() or len(list(out.rglob("*.*"))) <= before):
        time.sleep(0.01)
    time.sleep(delay)
    running = run.poll() is None
    run.send_signal(number)
    _, told = run.communicate(timeout=60)
    if b"Traceback" in told:
        raise AssertionError(told.decode())
    return running


def disturbed(photos: Path, out: Path, jobs: int, kills: Sequence[tuple[int, float]]) -> int:
    """Run with kills of (signal, seconds after the first file), then to the end; count hits."""
    words = command(photos, out, jobs)
    hits = sum(kill_once(words, out, number, delay) for number, delay in kills)
    run = start(words)
    _, told = run.communicate(timeout=600)
    if run.returncode:
        raise AssertionError(told.decode())
    return hits


def main() -> None:
    """Run the rounds and print a line of JSON."""
    parser = argparse.ArgumentParser(description="Kill runs and compare what they leave.")
    parser.add_argument("photos", type=Path)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, hits, different = random.Random(options.seed), Counter[str](), 0
    with tempfile.TemporaryDirectory() as place:
        whole = Path(place) / "whole"
        disturbed(options.photos, whole, options.jobs, [])
        expected = contents(whole)
        for number in range(options.rounds):
            out = Path(place) / f"round-{number}"
            for _ in range(rng.randint(1, 3)):
                chosen = rng.choice(SIGNALS)
                words = command(options.photos, out, options.jobs)
                if kill_once(words, out, chosen, rng.uniform(0, 2.0)):
                    hits[chosen.name] += 1
            disturbed(options.photos, out, options.jobs, [])
            different += contents(out) != expected
    report = {"rounds": options.rounds, "files": len(expected), "kills": dict(hits)}
    sys.stdout.write(json.dumps({**report, "rounds_that_differ": different}) + "\n")
    sys.exit(bool(different))


if __name__ == "__main__":
    main()
