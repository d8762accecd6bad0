"""How near smiles that are given come to people's own, in pixels: SSIM and sharpness of the mouth.

    python benchmarks/own_smiles.py london/neutral_front london/smiling_front [STRENGTH]

For each person with a neutral (``*_03.jpg``) and a smiling (``*_08.jpg``) portrait, faces laid on
each other by nose and corners of the eyes at twice the crop's resolution: the SSIM of the mouth
region to the own smile, of the edited and of the neutral photo; and the edited mouth's sharpness to
that of the own smile (geometric mean over people beside it).
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
from skimage.metrics import structural_similarity

from faceflex import make_editor
from faceflex.evaluate.measures import sharpness
from faceflex.faces import find_faces
from faceflex.faces.align import SIZE, estimate_similarity, template, warp
from faceflex.faces.landmark_groups import MOUTH, RIGID_LANDMARKS
from faceflex.photo import load_rgb

SCALE, ROOM = 2, 9
RIGID = list(RIGID_LANDMARKS)
SHARPEST, BLUREST = 1.3, 0.7


def laid(rgb: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a face (256, 256, 3) whose nose and eyes lie on the template's, and its landmarks."""
    matrix = SCALE * estimate_similarity(points[RIGID], template()[RIGID])
    picture, _ = warp(rgb, matrix, SCALE * SIZE)
    return picture, points @ matrix[:, :2].T + matrix[:, 2]


def main() -> None:
    """Edit, compare and print."""
    neutral, smiling = map(Path, sys.argv[1:3])
    strength = float(sys.argv[3]) if len(sys.argv) > 3 else 1.0
    editor, nearer, ratios = make_editor(device="cpu"), [], []
    for path in sorted(neutral.glob("*_03.jpg")):
        own = smiling / path.name.replace("_03", "_08")
        if not own.exists():
            continue
        rgb, smile = (cv2.resize(load_rgb(p), None, fx=0.5, fy=0.5) for p in (path, own))
        opened = editor.open(rgb, ["largest"])
        (edited,) = opened.render([opened.shot(Smiling=strength)])
        points = np.asarray(opened.faces[0].face.points, np.float64)
        target = max(find_faces(smile), key=lambda face: face.width).points
        real, real_points = laid(smile, np.asarray(target, np.float64))
        before, own_points = laid(rgb, points)
        after, _ = laid(edited, points)
        where = np.zeros(real.shape[:2], np.uint8)
        for shape in (real_points[MOUTH], own_points[MOUTH]):
            cv2.fillConvexPoly(where, cv2.convexHull(np.int32(shape)), 1)
        where = cv2.dilate(where, np.ones((ROOM, ROOM), np.uint8)) > 0
        was, now = (
            float(structural_similarity(p, real, channel_axis=2, full=True)[1][where].mean())
            for p in (before, after)
        )
        ratio = sharpness(after, where) / sharpness(real, where)
        nearer.append(now - was)
        ratios.append(ratio)
        sys.stdout.write(f"{path.stem}: SSIM {was:.3f} -> {now:.3f}, sharpness {ratio:.2f}\n")
    within = np.mean([BLUREST <= r <= SHARPEST for r in ratios])
    mean = float(np.exp(np.mean(np.log(ratios))))
    sys.stdout.write(
        f"{len(nearer)} people: nearer {np.mean(np.array(nearer) > 0):.0%}, median"
        f" {np.median(nearer):+.3f}; sharpness {mean:.2f}, within 0.7 to 1.3: {within:.0%}\n"
    )


if __name__ == "__main__":
    main()
