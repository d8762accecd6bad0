"""How far a landmark predictor is off on hand-labelled faces that it was not trained on.

Run as ``python -m faceflex.evaluate.landmarks 300w/``; prints one JSON object a predictor.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from faceflex.assets import resolve
from faceflex.faces.landmarks import LandmarkModel
from faceflex.train.landmarks import landmark_error, read_hand_labelled, split_hand_labelled


def main() -> None:
    """Measure predictors on the held-out fifth."""
    parser = argparse.ArgumentParser(prog="python -m faceflex.evaluate.landmarks")
    parser.add_argument("data", type=Path, help="folder with images/ and landmarks68.csv")
    parser.add_argument("--model", action="append", help="registered name or file; repeatable")
    options = parser.parse_args()
    _, held_out = split_hand_labelled(read_hand_labelled(options.data))
    for name in options.model or ["landmarks68"]:
        path = resolve(name)
        found = landmark_error(LandmarkModel(path), held_out)
        rounded = {key: round(value, 4) for key, value in found.items()}
        row = {"model": name, "bytes": path.stat().st_size, "faces": len(held_out), **rounded}
        sys.stdout.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
