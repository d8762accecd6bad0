"""Frames a second of ``faceflex animate``, after the first: what more frames cost of a whole run.

    python benchmarks/clip_speed.py examples/portrait.jpg --face 600

The photo is scaled so that the box of its largest face is as wide. MP4, one mode.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2

from faceflex.faces import find_faces
from faceflex.photo import load_rgb

FEW, MANY, ROUNDS = 25, 125, 2


def seconds(photo, frames, side):
    """Return how long a clip of so many frames takes, from start to end."""
    out = photo.with_name(f"{frames}.mp4")
    words = ["animate", photo, "--modes", "0", "--out", out, "--overwrite"]
    words += ["--frames", frames, "--max-side", side]
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "faceflex", *map(str, words)], check=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("photo", type=Path)
    parser.add_argument("--face", type=int, default=600)
    options = parser.parse_args()
    rgb = load_rgb(options.photo)
    left, _, right, _ = max((f.box for f in find_faces(rgb)), key=lambda box: box[2] - box[0])
    scale = options.face / (right - left)
    scaled = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photo.png"
        cv2.imwrite(str(path), cv2.cvtColor(scaled, cv2.COLOR_RGB2BGR))
        side = max(scaled.shape)
        took = {n: min(seconds(path, n, side) for _ in range(ROUNDS)) for n in (FEW, MANY)}
    rate = (MANY - FEW) / (took[MANY] - took[FEW])
    sys.stdout.write(f"{rate:.1f} frames a second at a face of {options.face} pixels, in frames of"
                     f" {scaled.shape[1]}x{scaled.shape[0]}\n")  # fmt: skip
