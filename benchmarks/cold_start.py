"""How long a cold command takes, as a ratio to what no tool of this kind can avoid.

    python benchmarks/cold_start.py [PHOTO | --megapixels 12] [--samples 5] [--rounds 5]

With ``--megapixels`` the bundled portrait is enlarged to a 4:3 photo of that size and given the
grain of a sensor. In turn, each in a fresh process:

- *floor*: start Python, import torch, decode the photo once, encode it once for each output, with
  the photo's own settings, on one core;
- *edit*: ``faceflex edit PHOTO --attr Smiling`` (five strengths, SAMPLES samples, a contact sheet);
- *help*: ``faceflex --help``; *python*: a bare ``python -c pass``.

Prints the median of several rounds as JSON; rounds interleave, so that a noisy machine bothers all.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

FLOOR = """
import io, sys
import torch
from PIL import Image
photo = Image.open(sys.argv[1])
photo.load()
for _ in range(int(sys.argv[2])):
    photo.save(io.BytesIO(), "JPEG", quality="keep")
"""
PORTRAIT = Path(__file__).parent.parent / "examples" / "portrait.jpg"


def enlarged(megapixels: float, path: Path) -> Path:
    """Write the portrait as a 4:3 photo of that many megapixels."""
    with Image.open(PORTRAIT) as portrait:
        own = np.asarray(portrait.convert("RGB"))
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    width = round(height * 4 / 3)
    square = cv2.resize(own, (height, height), interpolation=cv2.INTER_CUBIC)
    side = width - height
    wide = cv2.copyMakeBorder(square, 0, 0, side // 2, side - side // 2, cv2.BORDER_REFLECT)
    rng, grain = np.random.default_rng(0), 3.0
    for rows in np.array_split(np.arange(height), 64):  # Piecewise: it is a large picture.
        noisy = wide[rows] + rng.normal(0, grain, (len(rows), width, 3))
        wide[rows] = np.clip(noisy, 0, 255).astype(np.uint8)
    Image.fromarray(wide).save(path, quality=92)
    return path


def timed(command: list[str], folder: str, checkout: Path | None = None) -> tuple[float, float]:
    """Run a command in ``folder``; return its seconds, and its peak memory in MiB."""
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | ({"PYTHONPATH": str(checkout)} if checkout else {}),
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"failed: {command}")
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure cold starts.")
    parser.add_argument("photo", nargs="?", type=Path, default=PORTRAIT)
    parser.add_argument("--megapixels", type=float)
    parser.add_argument("--samples", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--against", type=Path, help="checkout of another version, edited with too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        photo = options.photo.resolve()
        if options.megapixels:
            photo = Path(folder) / "photo.jpg"
            # In a process of its own: a child's peak memory is counted from its parent's.
            context = multiprocessing.get_context("spawn")
            maker = context.Process(target=enlarged, args=(options.megapixels, photo))
            maker.start()
            maker.join()
        faceflex, outputs = [sys.executable, "-m", "faceflex"], str(5 * options.samples)
        sweep = ["--attr", "Smiling", "--samples", str(options.samples), "--overwrite"]
        commands = {
            "python": [sys.executable, "-c", "pass"],
            "help": [*faceflex, "--help"],
            "floor": [sys.executable, "-c", FLOOR, str(photo), outputs],
            "edit": [*faceflex, "edit", str(photo), *sweep],
        }
        if options.against:
            commands["other"] = commands["edit"]
        results: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for _ in range(options.rounds + 1):
            for name, command in commands.items():
                checkout = options.against.resolve() if name == "other" else None
                results[name].append(timed(command, folder, checkout))
        with Image.open(photo) as picture:
            size = f"{picture.width}x{picture.height}"
    medians = {name: statistics.median(s for s, _ in rows[1:]) for name, rows in results.items()}
    report = {
        "photo": size,
        "outputs": int(outputs),
        "seconds": {name: round(value, 3) for name, value in medians.items()},
        "edit_over_floor": round(medians["edit"] / medians["floor"], 2),
        "peak_mib": round(max(peak for _, peak in results["edit"])),
    }
    if options.against:
        report["edit_over_other"] = round(medians["edit"] / medians["other"], 3)
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
