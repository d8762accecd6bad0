"""How long it takes to put one edited face into a photo, beyond encoding and decoding.

    python benchmarks/compose.py

The bundled portrait's face is brought to several widths, and the photo to several sizes; one
thread. Prints one JSON line each: the median of seconds for an output, over the time that
decoding the face takes in the same run, and the most memory that composing needed.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
import tracemalloc
from pathlib import Path

import cv2
import torch

from faceflex import make_editor
from faceflex.photo import load_rgb

PORTRAIT = Path(__file__).parents[1] / "examples" / "portrait.jpg"


def main() -> None:
    """Measure."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    editor = make_editor(device="cpu")
    portrait = load_rgb(PORTRAIT)
    width = editor.finder.find(portrait)[0].width
    cases = [(60, 1), (300, 1), (600, 1), (600, 3), (1200, 1), (2000, 1)]
    for wanted, larger in cases:
        scale = wanted / width
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        photo = cv2.resize(portrait, None, fx=scale, fy=scale, interpolation=method)
        room = round(photo.shape[0] * (larger - 1) / 2)
        photo = cv2.copyMakeBorder(photo, room, room, room, room, cv2.BORDER_REPLICATE)
        opened = editor.open(photo, ["1"])
        (face,) = opened.faces
        canvas, seconds, decoding = photo.copy(), [], []
        for strength in (0.5, 0.8, 1.1, 1.4, 1.7, 2.0):
            started = time.perf_counter()
            (steps,) = opened.face_changes(0, [opened.shot(Smiling=strength)])
            decoded = time.perf_counter()
            editor.composer.apply(canvas, face, steps)
            seconds.append(time.perf_counter() - decoded)
            decoding.append(decoded - started)
        tracemalloc.start()
        editor.composer.apply(canvas, face, steps)
        memory = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        median = statistics.median(seconds[1:])
        row = {
            "face": face.face.width,
            "photo": f"{photo.shape[1]}x{photo.shape[0]}",
            "seconds": round(median, 4),
            "over_decode": round(median / statistics.median(decoding[1:]), 2),
            "memory_mib": round(memory / 2**20, 1),
        }
        sys.stdout.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
