"""Measure how teeth look in folders of pictures: edits beside real smiles.

    python benchmarks/teeth_statistics.py REAL EDITED [EDITED ...]

Prints medians over the open mouths of adults' largest faces, in thirds of blur (of the first
folder): brightness of teeth to the skin's, of the outer sixths of the mouth to its middle third,
and of its lowest eighth to its teeth; by what brightness differs along the row, over less than a
fifth of the width; and how much less red than the skin teeth are (log).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np

from faceflex.compose.face_tones import FLOOR
from faceflex.compose.mouth_light import MouthLight, cheek_color
from faceflex.compose.mouth_tones import BRIGHTEST
from faceflex.faces import find_faces
from faceflex.faces.align import estimate_similarity, transform_points
from faceflex.faces.infant import is_infant
from faceflex.faces.lips import find_lips
from faceflex.faces.region import LUMA, make_region
from faceflex.faces.sharpness import estimate_blur
from faceflex.photo import load_rgb
from faceflex.train.mouth_tones import sample_mouth

OPEN = 2.5  # Pixels of the crop.
NAMES = ("teeth / skin", "corners / middle", "lowest / teeth", "along the row", "less red")


def measure(path: Path) -> list[float] | None:
    """Return blur (pixels of the crop) and the five measures; None where no open mouth is found."""
    rgb = load_rgb(path)
    faces = find_faces(rgb)
    if not faces:
        return None
    points = max(faces, key=lambda face: face.width).points
    matrix = estimate_similarity(points)
    landmarks = transform_points(matrix, points).astype(np.float32)
    region, lips = make_region(rgb.shape, points, matrix), find_lips(rgb, points)
    if region is None or lips.gap < OPEN or is_infant(landmarks):
        return None
    photo = region.crop(rgb)
    grid, skin = sample_mouth(photo, region, lips), cheek_color(photo, region, landmarks)
    luma = grid @ LUMA
    teeth = np.percentile(luma, BRIGHTEST)
    color, columns = grid[luma >= teeth].mean(axis=0), np.percentile(luma, 75, axis=0)
    corners = np.concatenate([columns[:8], columns[-8:]]).mean() / columns[16:32].mean()
    row = np.log(np.maximum(luma[4:9], FLOOR))
    along = (row - cv2.blur(row, (9, 1)))[:, 8:40].std()
    red = np.log(skin[0] / (skin @ LUMA)) - np.log(color[0] / (color @ LUMA))
    blur = MouthLight.measure(photo, region, landmarks, estimate_blur(photo)).blur * region.scale
    lowest = luma[-2:, 16:32].mean() / teeth
    return [float(v) for v in (blur, teeth / (skin @ LUMA), corners, lowest, along, red)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+")
    thirds = None
    for folder in parser.parse_args().folders:
        found = [measure(path) for path in sorted(folder.glob("*.jpg"))]
        rows = np.array([one for one in found if one is not None])
        if thirds is None:
            thirds = np.quantile(rows[:, 0], [1 / 3, 2 / 3])
        part = np.searchsorted(thirds, rows[:, 0])
        for third in range(3):
            seen = rows[part == third]
            values = zip(NAMES, np.median(seen[:, 1:], axis=0), strict=True)
            text = ", ".join(f"{name} {value:.3f}" for name, value in values)
            sys.stdout.write(f"{folder}, third {third + 1} of blur, {len(seen)} mouths: {text}\n")


if __name__ == "__main__":
    main()
