"""Shapes of mouths: how wide they are, how high their corners, how far the lips are apart.

    python benchmarks/mouth_shapes.py PHOTOS/ [EDITED/ ...]

For each folder the medians over its photos' largest faces, in units of the distance between the
eyes, after nose and corners of the eyes are laid on the template's. Real smiles and given ones,
real neutral faces and those that a smile was taken from, should agree. Photos without a face are
left out.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from faceflex.faces import find_faces
from faceflex.faces.align import estimate_similarity, transform_points
from faceflex.faces.landmark_groups import LEFT_EYE, RIGHT_EYE
from faceflex.faces.lips import find_lips
from faceflex.methods.smile_motion import normalised
from faceflex.photo import load_rgb

NAMES = "width", "corners", "gap", "gap/width", "to nose", "upper lip", "lower lip", "eyes"
UPPER_LIDS, LOWER_LIDS = [37, 38, 43, 44], [41, 40, 47, 46]


def shape(path: Path) -> list[float] | None:
    """Return the numbers of a photo's largest face; None where there is none.

    They are the mouth's width, how high its corners lie over the middle of the lips, how far the
    lips are apart in the middle, that by the width, how far corners lie below the nose, both lips'
    thickness, and how far the eyes are open.
    """
    rgb = load_rgb(path)
    faces = find_faces(rgb)
    if not faces:
        return None
    seen = max(faces, key=lambda face: face.width).points
    crop = transform_points(estimate_similarity(seen), seen)
    points, lips, _ = normalised(crop, find_lips(rgb, seen))
    unit = float(np.linalg.norm(points[LEFT_EYE].mean(axis=0) - points[RIGHT_EYE].mean(axis=0)))
    width = float(np.linalg.norm(points[54] - points[48]))
    corners, middle = points[[48, 54], 1].mean(), points[[62, 66], 1].mean()
    lengths = (
        width,
        middle - corners,
        lips.gap,
        unit * lips.gap / width,
        corners - points[33, 1],
        points[62, 1] - points[51, 1],
        points[57, 1] - points[66, 1],
        (points[LOWER_LIDS, 1] - points[UPPER_LIDS, 1]).mean(),
    )
    return [float(length) / unit for length in lengths]


def main() -> None:
    """Measure and print."""
    sys.stdout.write("faces  " + "  ".join(f"{name:>9}" for name in NAMES) + "\n")
    for folder in map(Path, sys.argv[1:]):
        photos = sorted(p for p in folder.iterdir() if p.suffix in (".jpg", ".png"))
        rows = np.array([row for row in map(shape, photos) if row])
        medians = "  ".join(f"{value:9.3f}" for value in np.median(rows, axis=0))
        sys.stdout.write(f"{len(rows):5d}  {medians}  {folder}\n")


if __name__ == "__main__":
    main()
