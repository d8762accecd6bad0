"""Make the exemplars of mouths that new smiles get, from photos of smiles.

What six people show between their lips is unrolled from contours that were drawn by hand
(``smile_contours.toml``), as exact as teeth need them; what babies show is the median of many.

Run as ``python -m faceflex.train.smiles LONDON/smiling_front UTKFace/ faceflex/assets``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.compose.mouth_exemplars import COLUMNS, ROWS
from faceflex.compose.mouth_light import MouthLight
from faceflex.compose.mouth_maps import grid_coordinates
from faceflex.data.readers import read_utkface
from faceflex.data.records import Record
from faceflex.faces import find_faces
from faceflex.faces.align import SIZE, align, estimate_similarity, transform_points, warp
from faceflex.faces.lips import find_lips, lips_from_landmarks
from faceflex.faces.region import LUMA, Region
from faceflex.photo import load_rgb

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FINE = 16  # Pixels to one of the crop that photos are unrolled from.
_SMOOTH = 3.0  # Columns over which drawn contours are smoothed.
_BRIGHTEST = 85  # Percentile above which pixels are teeth.
_INFANT, _OPEN = 1.5, 4.0  # Years, and a gap in pixels of the crop: whose mouths are looked into.
_USUAL, _DARKER = 200.0, 0.72  # Gray of 1 in the atlas; the median is paler than any mouth.

Floats = NDArray[np.float32]


def unroll(
    rgb: NDArray[np.uint8], upper: Sequence[Sequence[float]], lower: Sequence[Sequence[float]]
) -> tuple[Floats, float]:
    """Unroll the mouth of a photo's largest face.

    Parameters
    ----------
    rgb
        (H, W, 3) uint8 photo.
    upper, lower
        Contours of the inner lips: points (x, y) in pixels of the crop, left to right.

    Returns
    -------
    (96, 320, 3) in 0 to 255, and the gap over the middle third in pixels of the crop.
    """
    fine = estimate_similarity(max(find_faces(rgb), key=lambda face: face.width).points) * _FINE
    fine[:, 2] += _FINE / 2 - 0.5
    picture, _ = warp(rgb, fine, SIZE * _FINE)
    places = upper[0][0] + (np.arange(COLUMNS) + 0.5) / COLUMNS * (upper[-1][0] - upper[0][0])
    high, low = (
        cv2.GaussianBlur(np.interp(places, *np.transpose(line))[None], (0, 0), _SMOOTH)[0]
        for line in (upper, lower)
    )
    y = high + (np.arange(ROWS)[:, None] + 0.5) / ROWS * (low - high)
    x = np.broadcast_to(places, y.shape)
    at = [np.float32((v + 0.5) * _FINE - 0.5) for v in (x, y)]
    gap = float((low - high)[COLUMNS // 3 : -COLUMNS // 3].mean())
    return np.float32(cv2.remap(picture, at[0], at[1], cv2.INTER_LINEAR)), gap


def infants(records: Iterable[Record]) -> tuple[Floats, float, int]:
    """Return the median of babies' open mouths, (96, 320, 3) relative to teeth; gap and number."""
    whole = Region(0, 0, SIZE, SIZE, np.ones((SIZE, SIZE), np.float32), np.eye(2, 3))
    mouths, gaps = [], []
    for rgb, points in _open_infants(records):
        lips = find_lips(rgb, points)
        if lips.gap < _OPEN:
            continue
        crop = align(rgb, points).crop
        landmarks = np.float32(transform_points(estimate_similarity(points), points))
        teeth = MouthLight.measure(crop, whole, landmarks, 0.0).teeth
        x, y = grid_coordinates(lips)
        mouths.append(cv2.remap(np.float32(crop) / 255, x, y, cv2.INTER_LINEAR) / teeth)
        gaps.append(lips.gap)
    median = np.median(mouths, axis=0)
    grid = np.float32(_DARKER * (median + median[:, ::-1]) / 2)
    grid = cv2.resize(grid, (COLUMNS, ROWS), interpolation=cv2.INTER_CUBIC)
    return grid, float(np.mean(gaps)), len(gaps)


def _open_infants(
    records: Iterable[Record],
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
    """Yield photos and landmarks (68, 2) of babies whose mouths are open."""
    for record in records:
        if record.labels.get("age", 200) > _INFANT or record.held_out or record.points is None:
            continue
        matrix = estimate_similarity(record.points)
        if lips_from_landmarks(transform_points(matrix, record.points)).gap >= _OPEN:
            yield load_rgb(record.path), record.points


def main() -> None:
    """Write ``smiles.webp`` and ``smiles.toml``."""
    parser = argparse.ArgumentParser(prog="python -m faceflex.train.smiles")
    parser.add_argument("london", type=Path, help="folder of smiling portraits, <person>_08.jpg")
    parser.add_argument("utkface", type=Path, help="UTKFace, landmarks beside it")
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    text = resources.files("faceflex.train").joinpath("smile_contours.toml").read_text("utf-8")
    parts, rows = [], []
    for row in tomllib.loads(text)["smiles"]:
        photo = load_rgb(options.london / f"{row['person']}_08.jpg")
        colors, gap = unroll(photo, row["upper"], row["lower"])
        luma = colors @ LUMA
        teeth = colors[luma >= np.percentile(luma, _BRIGHTEST)].mean(axis=0)
        parts.append(colors)
        rows.append({"person": row["person"], "gap": gap, "teeth": teeth})
    median, gap, number = infants(read_utkface(options.utkface))
    parts.append(median * np.float32(_USUAL))
    rows.append({"infant": number, "gap": gap, "teeth": np.full(3, _USUAL)})
    _write(options.out, parts, rows)


def _write(folder: Path, parts: Sequence[Floats], rows: Sequence[dict[str, Any]]) -> None:
    """Write the atlas and its table."""
    atlas = np.uint8(np.clip(np.round(np.concatenate(parts)), 0, 255))
    settings = [cv2.IMWRITE_WEBP_QUALITY, 92]
    if not cv2.imwrite(str(folder / "smiles.webp"), atlas[..., ::-1], settings):
        raise SystemExit(f"{folder / 'smiles.webp'}: cannot be written")
    blocks = []
    for row in rows:
        who = f'person = "{row["person"]}"' if "person" in row else "infant = true"
        teeth = [round(float(v), 1) for v in row["teeth"]]
        blocks.append(f"[[smiles]]\n{who}\ngap = {row['gap']:.2f}\nteeth = {teeth}\n")
    (folder / "smiles.toml").write_text("\n".join(blocks), "utf-8")


if __name__ == "__main__":
    main()
