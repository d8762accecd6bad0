"""Fit how light what is between smiling lips looks in photos.

Run as ``python -m faceflex.train.mouth_tones UTKFace/ faceflex/assets/mouth-tones.safetensors``; it
prints the residuals of mouths whose names' hash holds them out, and writes the model that
:mod:`faceflex.compose.mouth_tones` lays between lips.
"""

from __future__ import annotations

import argparse
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.assets import resolve
from faceflex.compose.face_tones import FaceTones
from faceflex.compose.lips_motion import mouth_middle
from faceflex.compose.mouth_light import MouthLight
from faceflex.compose.mouth_maps import GRID_COLUMNS
from faceflex.compose.mouth_tones import (
    BRIGHTEST,
    CELLS,
    FACTORS,
    OUTPUTS,
    PARTS,
    MouthTones,
    mouth_places,
    pack,
    tone_features,
    unpack,
)
from faceflex.data.readers import read_utkface
from faceflex.data.records import Record
from faceflex.faces.align import align, estimate_similarity, invert, transform_points
from faceflex.faces.lips import Lips, find_lips, lips_from_landmarks
from faceflex.faces.region import LUMA, Region, make_region
from faceflex.faces.sharpness import estimate_blur
from faceflex.models.attribute_classifier import load_classifier
from faceflex.photo import load_rgb

_OPEN, _SMILE, _YOUNGEST = 2.5, 0.6, 2  # Least gap in pixels of the crop; score; age in years.
_SHARP = 0.62  # Sigma, pixels of the crop: in photos with more blur lips mix with teeth.
_LESS_RED, _LEAST = 0.93, 0.8  # Teeth against skin: redness, brightness.
_GRAY = 0.5  # Saturation of photos in which teeth need not be less red.
_MIDDLE_ROWS = slice(1, 6)  # Of the grid: where teeth are.
_RIDGE = 300.0  # Of standardised factors, over about 13,000 mouths and mirror images.
_ANTIALIAS = 0.5  # Sigma, pixels of the photo.
_TESTED = 10  # One mouth in so many is only measured on.
_BATCH = 256

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Mouth:
    """A smile: what is predicted from, and the outputs (195,).

    ``usual`` is what :class:`MouthLight` alone takes for the brightness of teeth.
    """

    name: str
    crop: NDArray[np.uint8]
    even: Floats
    odd: Floats
    outputs: Floats
    usual: float


def measure(record: Record) -> Mouth | None:
    """Measure a photo; None where it shows no teeth, or not sharply."""
    if record.points is None or record.held_out or record.labels.get("age", 0) < _YOUNGEST:
        return None
    landmarks = transform_points(estimate_similarity(record.points), record.points)
    if lips_from_landmarks(landmarks).gap < _OPEN:
        return None
    rgb = load_rgb(record.path)
    aligned = align(rgb, record.points)
    region, lips = (
        make_region(rgb.shape, record.points, aligned.matrix),
        find_lips(rgb, record.points),
    )
    if region is None or lips.gap < _OPEN:
        return None
    photo = region.crop(rgb)
    light = MouthLight.measure(photo, region, landmarks, estimate_blur(photo))
    tones = FaceTones.measure(photo, region, landmarks)
    even, odd = tone_features(tones, lips, mouth_middle(landmarks), record.labels["age"])
    grid = sample_mouth(photo, region, lips)
    if light.blur * region.scale > _SHARP or not shows_teeth(grid, tones):
        return None
    skin = float(tones.skin @ LUMA)
    usual = np.log(light.teeth @ LUMA / skin)
    return Mouth(record.path.name, aligned.crop, even, odd, pack(grid, skin), float(usual))


def sample_mouth(photo: NDArray[np.uint8], region: Region, lips: Lips) -> Floats:
    """Return the colors (16, 48, 3) between lips, in [0, 1]."""
    x, y = mouth_places(lips)
    across, down = (np.float32(row[0] * x + row[1] * y + row[2]) for row in invert(region.matrix))
    soft = cv2.GaussianBlur(photo, (0, 0), _ANTIALIAS)
    seen = cv2.remap(soft, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.float32(seen) / np.float32(255)


def shows_teeth(grid: Floats, tones: FaceTones) -> bool:
    """Tell whether what is brightest of a mouth (16, 48, 3) is pale and as light as teeth."""
    luma = grid @ LUMA
    teeth, skin = grid[luma >= np.percentile(luma, BRIGHTEST)].mean(axis=0), tones.skin
    pale = teeth[0] / max(teeth[2], 0.05) < _LESS_RED * skin[0] / skin[2]
    return bool((pale or tones.saturation < _GRAY) and teeth @ LUMA > _LEAST * (skin @ LUMA))


def mirrored(outputs: Floats) -> Floats:
    """Return the outputs (n, 195) of mirror images."""
    both = [(b[:, ::-1].ravel(), h, [t]) for b, h, t in map(unpack, outputs)]
    return np.stack([np.concatenate(parts) for parts in both])


def fit(even: Floats, odd: Floats, outputs: Floats) -> MouthTones:
    """Fit the model to features (n, 16), (n, 4) and outputs (n, 195), and their mirror images."""
    center = np.concatenate([even.mean(axis=0), np.zeros(odd.shape[1])])
    scale = np.concatenate([even.std(axis=0), np.sqrt(np.square(odd).mean(axis=0))])
    nothing = np.zeros((FACTORS, OUTPUTS), np.float32), np.zeros((PARTS, GRID_COLUMNS), np.float32)
    model = MouthTones(np.float32(center), np.float32(np.maximum(scale, 1e-3)), *nothing)
    factors = np.concatenate([model.factors(even, odd), model.factors(even, -odd)])
    goal = np.concatenate([outputs, mirrored(outputs)])
    ridge = np.full(FACTORS, _RIDGE)
    ridge[0] = 1e-3
    factors = factors.astype(np.float64)
    regression = np.linalg.solve(factors.T @ factors + np.diag(ridge), factors.T @ goal)
    residual = (goal - factors @ regression)[:, :CELLS].reshape(len(goal), -1, GRID_COLUMNS)
    residual = residual[:, _MIDDLE_ROWS].mean(axis=1)
    _, size, rows = np.linalg.svd(residual - residual.mean(axis=0), full_matrices=False)
    parts = rows[:PARTS] * size[:PARTS, None] / np.sqrt(len(goal))
    return MouthTones(model.center, model.scale, np.float32(regression), np.float32(parts))


def smiling(mouths: Sequence[Mouth]) -> list[Mouth]:
    """Return those that the bundled classifier calls smiles."""
    judge = load_classifier(resolve("judge"))
    column, kept = judge.config.names.index("Smiling"), []
    for first in range(0, len(mouths), _BATCH):
        batch = mouths[first : first + _BATCH]
        scores = judge.scores(np.stack([one.crop for one in batch]))[:, column]
        kept += [one for one, score in zip(batch, scores, strict=True) if score > _SMILE]
    return kept


def main() -> None:
    """Measure, fit, write, and print the residuals."""
    parser = argparse.ArgumentParser(prog="python -m faceflex.train.mouth_tones")
    parser.add_argument("utkface", type=Path, help="UTKFace, landmarks beside it")
    parser.add_argument("out", type=Path, help="file to write")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    found = [measure(record) for record in read_utkface(options.utkface)]
    mouths = smiling([one for one in found if one is not None])
    tested = np.array([zlib.crc32(one.name.encode()) % _TESTED == 0 for one in mouths])
    even, odd, outputs = (
        np.stack([getattr(one, k) for one in mouths]) for k in ("even", "odd", "outputs")
    )
    model = fit(even[~tested], odd[~tested], outputs[~tested])
    model.save(options.out)
    model = MouthTones.load(options.out)
    predicted = model.factors(even[tested], odd[tested]) @ model.regression
    left, flat = (p - outputs[tested] for p in (predicted, outputs[~tested].mean(axis=0)))
    usual = np.array([one.usual for one in mouths])[tested] - outputs[tested, -1]
    sys.stdout.write(f"{len(mouths)} mouths, {int(tested.sum())} of them only measured on\n")
    for name, values in (
        ("brightness of cells", left[:, :CELLS]),
        ("  the mean mouth's", flat[:, :CELLS]),
        ("hue of teeth", left[:, CELLS:-1]),
        ("brightness of teeth", left[:, -1]),
        ("  by the face's light alone", usual),
        ("  the mean's", flat[:, -1]),
    ):
        sys.stdout.write(f"{name}: residual {values.std():.3f}, bias {values.mean():.3f} (log)\n")


if __name__ == "__main__":
    main()
