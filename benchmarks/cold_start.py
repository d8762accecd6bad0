"""How long a cold command takes, as a ratio to what no tool of this kind can avoid.

Run as ``python benchmarks/cold_start.py [PHOTO]``. In turn, each in a fresh process:

- *floor*: start Python, import torch, decode the photo once, encode it once for each output;
- *edit*: ``faceflex edit PHOTO --attr Smiling`` (five outputs and a contact sheet);
- *help*: ``faceflex --help``; *python*: a bare ``python -c pass``.

Prints the median of several rounds as JSON; rounds interleave, so that a noisy machine bothers all.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FLOOR = """
import io, sys
import torch
from PIL import Image
photo = Image.open(sys.argv[1])
photo.load()
for _ in range(5):
    photo.copy().save(io.BytesIO(), "JPEG", qtables=photo.quantization)
"""


def timed(command: list[str], folder: str) -> float:
    """Run a command in ``folder``; return its seconds."""
    started = time.perf_counter()
    subprocess.run(command, check=True, cwd=folder, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure cold starts.")
    default = Path(__file__).parent.parent / "examples" / "portrait.jpg"
    parser.add_argument("photo", nargs="?", type=Path, default=default)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    photo = str(options.photo.resolve())
    faceflex = [sys.executable, "-m", "faceflex"]
    commands = {
        "python": [sys.executable, "-c", "pass"],
        "help": [*faceflex, "--help"],
        "floor": [sys.executable, "-c", FLOOR, photo],
        "edit": [*faceflex, "edit", photo, "--attr", "Smiling", "--overwrite"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.rounds + 1):
            for name, command in commands.items():
                seconds[name].append(timed(command, folder))
    medians = {name: statistics.median(s[1:]) for name, s in seconds.items()}
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    report = {
        "seconds": {name: round(value, 3) for name, value in medians.items()},
        "edit_over_floor": round(medians["edit"] / medians["floor"], 2),
        "peak_mib": round(peak),
    }
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
