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

from faceflex.compose.seamless_clone import seamless_clone
from faceflex.edit.editor import Editor
from faceflex.methods.attribute_styles import carry
from faceflex.models.codec import decode_float
from faceflex.photo import load_rgb

PORTRAIT = Path(__file__).parents[1] / "examples" / "portrait.jpg"


def main() -> None:
    """Measure."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    editor = Editor(device="cpu")
    portrait = load_rgb(PORTRAIT)
    width = editor.find_faces(portrait)[0].width
    cases = [(60, 1), (300, 1), (600, 1), (600, 3), (1200, 1), (2000, 1)]
    for wanted, larger in cases:
        scale = wanted / width
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        photo = cv2.resize(portrait, None, fx=scale, fy=scale, interpolation=method)
        room = round(photo.shape[0] * (larger - 1) / 2)
        photo = cv2.copyMakeBorder(photo, room, room, room, room, cv2.BORDER_REPLICATE)
        (face,) = editor.prepare(photo, editor.find_faces(photo)[:1])
        assert face.region is not None
        seconds, decoding, memory = [], [], 0
        for strength in (0.5, 0.8, 1.1, 1.4, 1.7, 2.0):
            shift = editor.edit_of({"Smiling": strength}).shift
            started = time.perf_counter()
            after = decode_float(editor.model, (face.latent + shift)[None])[0]
            decoded = time.perf_counter()
            seamless_clone(
                photo, face.region, editor.patch(photo, face, shift, after, carry({"Smiling": 1}))
            )
            seconds.append(time.perf_counter() - decoded)
            decoding.append(decoded - started)
        tracemalloc.start()
        seamless_clone(
            photo, face.region, editor.patch(photo, face, shift, after, carry({"Smiling": 1}))
        )
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
