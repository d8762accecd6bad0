"""Regress the color of teeth on what a photo shows of skin and eyes.

Run as ``python -m faceflex.train.teeth_color UTKFace/``; it prints the coefficients that
:mod:`faceflex.compose.mouth_light` begins from, and the residuals.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.compose.lips_motion import between
from faceflex.compose.mouth_light import LIGHT, cheek_color, eye_color
from faceflex.compose.warp import crop_coordinates
from faceflex.data.readers import read_utkface
from faceflex.data.records import Record
from faceflex.faces.align import SIZE, align, estimate_similarity, transform_points
from faceflex.faces.lips import find_lips, lips_from_landmarks
from faceflex.faces.mask import fill_hull
from faceflex.faces.region import LUMA, Region
from faceflex.photo import load_rgb

_OPEN, _INSIDE = 3.0, 30  # Least gap in pixels of the crop, and pixels inside.
_BRIGHTEST = 85  # Percentile above which pixels are teeth.
_YOUNGEST, _LESS_RED, _LEAST = 7, 0.93, 0.8  # Years; teeth against skin: redness, brightness.

Floats = NDArray[np.float64]


def measure(record: Record) -> Floats | None:
    """Return the colors of cheeks, eyes, what is brightest (gray) and teeth, (4, 3).

    None where no teeth can be seen.
    """
    if record.points is None or record.held_out or record.labels.get("age", 0) < _YOUNGEST:
        return None
    landmarks = transform_points(estimate_similarity(record.points), record.points)
    if lips_from_landmarks(landmarks).gap < _OPEN:
        return None
    photo = load_rgb(record.path)
    lips, crop = find_lips(photo, record.points), align(photo, record.points).crop
    inside = crop[between(lips, *crop_coordinates(), 0.8) > 0.7] / 255
    if lips.gap < _OPEN or len(inside) < _INSIDE:
        return None
    whole = Region(0, 0, SIZE, SIZE, np.ones((SIZE, SIZE), np.float32), np.eye(2, 3))
    skin, eyes = (f(crop, whole, np.float32(landmarks)) for f in (cheek_color, eye_color))
    luma = inside @ LUMA
    teeth = inside[luma >= np.percentile(luma, _BRIGHTEST)].mean(axis=0)
    pale = teeth[0] / max(teeth[2], 0.05) < _LESS_RED * skin[0] / skin[2]
    face = crop[fill_hull(landmarks, SIZE, raise_brows=True)] @ LUMA / 255
    light = np.full(3, np.percentile(face, LIGHT))
    teeth_show = pale and teeth @ LUMA > _LEAST * (skin @ LUMA)
    return np.stack([skin, eyes, light, teeth]) if teeth_show else None


def main() -> None:
    """Measure, regress and print."""
    parser = argparse.ArgumentParser(prog="python -m faceflex.train.teeth_color")
    parser.add_argument("utkface", type=Path, help="UTKFace, landmarks beside it")
    cv2.setNumThreads(1)
    found = [measure(record) for record in read_utkface(parser.parse_args().utkface)]
    colors = np.stack([one for one in found if one is not None])
    luma = np.log(colors @ LUMA)
    sys.stdout.write(f"{len(colors)} mouths\n")
    _report("brightness", np.column_stack([np.ones(len(luma)), luma[:, :3]]), luma[:, 3])
    for name, channel in (("red", 0), ("blue", 2)):
        ratio = np.log(colors[..., channel]) - luma
        _report(name, ratio[:, :2], ratio[:, 3])


def _report(name: str, factors: Floats, goal: Floats) -> None:
    """Print a regression."""
    weights = np.linalg.lstsq(factors, goal, rcond=None)[0]
    residual = float((goal - factors @ weights).std())
    values = np.round(weights, 3).tolist()
    sys.stdout.write(f"{name}: {values}, residual {residual:.3f} of {goal.std():.3f}\n")


if __name__ == "__main__":
    main()
