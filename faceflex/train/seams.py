"""How lips meet, unrolled from neutral portraits: what :mod:`faceflex.compose.lip_seam` lays there.

    python -m faceflex.train.seams london/neutral_front faceflex/assets

Of six people of the Face Research Lab London Set (CC BY 4.0) is written how much darker or brighter
their lips are around the line along which they meet than a little away from it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.compose.lip_seam import COLUMNS, ENDS, REACH, ROWS, UNIT, share_below, side_colors
from faceflex.compose.lips_at_rest import LIP_COLUMNS, LIP_ROWS, LIP_UNIT, LipBand
from faceflex.faces.align import estimate_similarity, invert, transform_points
from faceflex.faces.find import find_faces
from faceflex.faces.lips import find_lips
from faceflex.faces.region import LUMA, Region
from faceflex.faces.vermilion import find_vermilion
from faceflex.photo import load_rgb

PEOPLE = ("001", "017", "022", "036", "123", "134")
"""Those whose lips meet from corner to corner, without gloss."""

_SEARCHED = 1.2  # Pixels of the crop around the line that was found.
_SMOOTH = 7.0  # Columns: what bends more slowly is the line, the rest is its own unevenness.

Floats = NDArray[np.float32]


def unroll(rgb: NDArray[np.uint8]) -> Floats:
    """Return (48, 160, 3): lips around the line where they meet, relative to those beside it."""
    points = max(find_faces(rgb), key=lambda face: face.width).points
    matrix = estimate_similarity(points)
    corners = transform_points(matrix, points)[[48, 54], 0]
    lips = find_lips(rgb, points)
    height, width = rgb.shape[:2]
    whole = Region(0, 0, width, height, np.ones((height, width), np.float32), matrix)
    picture, back = np.float32(rgb), invert(matrix)
    span = (np.arange(COLUMNS) + 0.5) / COLUMNS
    x = np.float32(corners[0] - ENDS + span * (corners[1] - corners[0] + 2 * ENDS))
    y = np.float32(np.interp(x, lips.x, lips.midline))

    def strip(down: Floats) -> Floats:
        mx, my = (np.float32(r[0] * x + r[1] * (y + down) + r[2]) for r in back)
        return cv2.remap(picture, mx, my, cv2.INTER_CUBIC)

    near = np.linspace(-_SEARCHED, _SEARCHED, 25, dtype=np.float32)[:, None]
    luma = cv2.GaussianBlur(strip(near) @ LUMA, (0, 0), 1.0)
    found = cv2.medianBlur(near[luma.argmin(axis=0), 0][None], 5)
    y = y + cv2.GaussianBlur(found, (0, 0), _SMOOTH, borderType=cv2.BORDER_REPLICATE)[0]
    down = np.float32(((np.arange(ROWS) + 0.5) / ROWS * 2 - 1) * REACH)[:, None]
    above, below = (side_colors(picture, whole, (x, y), 1.0, s, _SMOOTH) for s in (-1, 1))
    return np.float32(strip(down) / (above + share_below(down) * (below - above)))


def unroll_lips(rgb: NDArray[np.uint8]) -> Floats:
    """Return (2, 16, 48, 3): the upper and the lower lip, relative to their own color."""
    points = max(find_faces(rgb), key=lambda face: face.width).points
    matrix = estimate_similarity(points)
    corners = np.float32(transform_points(matrix, points)[[48, 54]])
    lips = find_lips(rgb, points)
    border = find_vermilion(rgb, points, lips)
    height, width = rgb.shape[:2]
    whole = Region(0, 0, width, height, np.ones((height, width), np.float32), matrix)
    picture = cv2.GaussianBlur(np.float32(rgb), (0, 0), 0.5 / whole.scale)
    way = tuple(np.linspace(0, 1, LIP_ROWS).tolist())
    result = []
    for edge, y in (("upper", border.upper), ("lower", border.lower)):
        outline = np.stack([border.x, y], axis=1)[4:-4:4]
        band = LipBand.of(lips, edge, outline, corners)
        result.append(band.sample(picture, whole, way) / band.color(picture, whole)[0])
    return np.asarray(result, np.float32)


def main() -> None:
    """Write ``seams.webp`` and ``lips.webp``."""
    parser = argparse.ArgumentParser(prog="python -m faceflex.train.seams")
    parser.add_argument("london", type=Path, help="folder of neutral portraits, <person>_03.jpg")
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    portraits = [options.london / f"{person}_03.jpg" for person in PEOPLE]
    parts = [unroll(load_rgb(path)) for path in portraits]
    atlas = np.uint8(np.clip(np.round(np.concatenate(parts) * UNIT), 0, 255))
    path = options.out / "seams.webp"
    if not cv2.imwrite(str(path), atlas[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, 90]):
        raise SystemExit(f"{path}: cannot be written")
    lips = np.mean([unroll_lips(load_rgb(path)) for path in portraits], axis=0)
    lips = (lips + lips[:, :, ::-1]) / 2  # Light comes from either side.
    atlas = np.uint8(np.clip(np.round(lips * LIP_UNIT), 0, 255)).reshape(-1, LIP_COLUMNS, 3)
    path = options.out / "lips.webp"
    if not cv2.imwrite(str(path), atlas[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, 101]):
        raise SystemExit(f"{path}: cannot be written")


if __name__ == "__main__":
    main()
