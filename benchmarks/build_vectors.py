"""How fast a labelled face set is encoded, against one core doing nothing but that.

    python benchmarks/build_vectors.py celeba/ [--count 768] [--no-landmarks | --five]

Takes the first pictures of a set in CelebA's layout. The floor is one process that decodes,
detects, aligns and encodes each picture, with one thread, keeping nothing. Beside it: one process
and all cores with the latent cache, and a second run that finds everything in the cache. Prints
JSON; the ratios mean more than the times.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from faceflex.assets import resolve
from faceflex.data.cache import align_record
from faceflex.data.latents import encode_records
from faceflex.data.readers import read_any
from faceflex.data.records import Record
from faceflex.models.checkpoint import load_vae
from faceflex.models.codec import encode_faces


def floor(records: list[Record]) -> None:
    """Decode, detect, align and encode, as plainly as can be."""
    model, _ = load_vae(resolve("vae"))
    for start in range(0, len(records), 32):
        found = [align_record(r) for r in records[start : start + 32]]
        crops = np.stack([f[0].crop for f in found if not isinstance(f, str)])
        encode_faces(model, crops)
        encode_faces(model, crops[:, :, ::-1])


def five_of(record: Record) -> NDArray[np.float32] | None:
    """Return what CelebA's five points would be."""
    if record.points is None:
        return None
    p = record.points
    return np.array([p[36:42].mean(axis=0), p[42:48].mean(axis=0), p[30], p[48], p[54]])


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that ``work`` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Print pictures per second, and ratios to the floor."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--count", type=int, default=768)
    parser.add_argument("--no-landmarks", action="store_true", help="detect faces anew")
    parser.add_argument("--five", action="store_true", help="five points instead of landmarks")
    options = parser.parse_args()
    records = list(islice(read_any(options.data), options.count))
    if options.no_landmarks:
        records = [replace(r, points=None) for r in records]
    if options.five:
        records = [replace(r, points=None, five=five_of(r)) for r in records]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    seconds = {"floor, one core": timed(lambda: floor(records))}
    torch.set_num_threads(threads)
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder:
        for name, jobs in (("one process", 1), (f"{cores} processes", cores)):
            cache = Path(folder) / name
            seconds[name] = timed(lambda c=cache, j=jobs: encode_records(records, "vae", c, jobs=j))
        seconds["from the cache"] = timed(lambda: encode_records(records, "vae", cache))
    base = seconds["floor, one core"]
    result = {
        name: {"pictures_per_second": round(len(records) / s, 1), "floor_ratio": round(base / s, 2)}
        for name, s in seconds.items()
    }
    sys.stdout.write(json.dumps({"pictures": len(records), **result}, indent=1) + "\n")


if __name__ == "__main__":
    main()
