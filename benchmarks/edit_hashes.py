"""Tell whether two versions of faceflex make the same pictures, to the last bit.

``python benchmarks/edit_hashes.py PHOTOS --out A.json`` edits photos with the version that is
installed (or first in PYTHONPATH) and writes the SHA-256 of each output's pixels;
``python benchmarks/edit_hashes.py PHOTOS --compare A.json B.json`` prints a table of what differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

EDITS = (
    "Smiling=1",
    "Smiling=-1",
    "Male=1",
    "Mustache=1",
    "Eyeglasses=1",
    "Young=1",
)


def hash_edits(photos: list[Path], more: list[str]) -> dict[str, dict[str, str]]:
    """Return, for each edit and photo, the hash of the output's pixels."""
    hashes: dict[str, dict[str, str]] = {}
    for edit in EDITS:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "faceflex", "edit", *map(str, photos)]
            subprocess.run([*command, "--set", edit, "--out", folder, *more], check=True)
            hashes[edit] = {}
            for photo in photos:
                output = Path(folder) / f"{photo.stem}-edited{photo.suffix}"
                with Image.open(output) as picture:
                    pixels = np.asarray(picture.convert("RGB"))
                hashes[edit][photo.name] = hashlib.sha256(pixels.tobytes()).hexdigest()
    return hashes


def print_comparison(before: Path, after: Path) -> None:
    """Print a Markdown table: for each edit, how many outputs are bit-identical, and which not."""
    a, b = (json.loads(p.read_text()) for p in (before, after))
    sys.stdout.write("| edit | photos | bit-identical | different |\n|---|---|---|---|\n")
    for edit, hashes in a.items():
        other = [name for name, value in hashes.items() if b[edit].get(name) != value]
        same = len(hashes) - len(other)
        sys.stdout.write(f"| {edit} | {len(hashes)} | {same} | {', '.join(other) or 'none'} |\n")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="*", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--options", default="", help="more options of faceflex edit")
    parser.add_argument("--compare", nargs=2, type=Path, metavar=("A", "B"))
    options = parser.parse_args()
    if options.compare:
        print_comparison(*options.compare)
        return
    photos = [f for p in options.photos for f in (sorted(p.iterdir()) if p.is_dir() else [p])]
    text = json.dumps(hash_edits(photos, options.options.split()), indent=1)
    if options.out:
        options.out.write_text(text)
    else:
        sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
