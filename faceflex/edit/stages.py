"""Pictures of the stages that an edit goes through, for one face."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.compose.warp import GRID, FaceWarp
from faceflex.faces.align import SIZE
from faceflex.photo.grid import captioned_grid

if TYPE_CHECKING:
    from faceflex.edit.editor import OpenPhoto
    from faceflex.methods.base import Shot

_SIDE, _COLUMNS = 384, 5

Picture = NDArray[np.uint8]


def draw_stages(opened: OpenPhoto, number: int, shot: Shot) -> dict[str, Picture]:
    """Draw the stages of an edit of one face.

    Parameters
    ----------
    opened
        The photo.
    number
        The face, from 0, of ``opened.faces``.
    shot
        What is made.

    Returns
    -------
    Pictures by caption, in order, each (384, 384, 3) uint8; empty for a face outside the photo.
    """
    face = opened.faces[number]
    if face.region is None:
        return {}
    (steps,) = opened.face_changes(number, [shot])
    result = opened.rgb.copy()
    stages = opened.editor.composer.apply(result, face, steps, record=True)
    region, rgb = face.region, opened.rgb
    pictures = {"aligned": _large(face.crop)}
    if stages is not None:
        pictures |= {
            "model": _large(steps[0].before * 255),
            "model, edited": _large(stages.change.after * 255),
        }
        if stages.warp is not None and stages.warped is not None and stages.residual is not None:
            pictures |= {
                "motion": _grid(face.crop, stages.warp),
                "the photo, warped": _fit(stages.warped),
                "warp residual": _large(128 + 3 * 255 * stages.residual),
                "new content": _fit(_marked(region.crop(rgb), stages.new)),
            }
    return pictures | {
        "mask": _fit(_marked(region.crop(rgb), region.mask)),
        "photo": _fit(region.crop(rgb)),
        "result": _fit(region.crop(result)),
    }


def stages_sheet(stages: Mapping[str, Picture]) -> Picture:
    """Lay stages out with their captions, five a row."""
    cells = [(f"{n}. {caption}", p) for n, (caption, p) in enumerate(stages.items(), start=1)]
    return captioned_grid([cells[i : i + _COLUMNS] for i in range(0, len(cells), _COLUMNS)])


def _bytes(picture: NDArray[Any]) -> Picture:
    return np.clip(np.round(picture), 0, 255).astype(np.uint8)


def _large(crop: NDArray[Any]) -> Picture:
    """Enlarge a (128, 128, 3) crop in 0 to 255."""
    return _bytes(cv2.resize(np.float32(crop), (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC))


def _fit(picture: NDArray[Any]) -> Picture:
    """Fit a region's picture into the square, on grey."""
    height, width = picture.shape[:2]
    scale = _SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = cv2.resize(np.float32(picture), size, interpolation=method)
    out = np.full((_SIDE, _SIDE, 3), 235, np.uint8)
    x, y = (_SIDE - size[0]) // 2, (_SIDE - size[1]) // 2
    out[y : y + size[1], x : x + size[0]] = _bytes(small)
    return out


def _marked(picture: Picture, weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Lay a weight (h, w) over a picture in green."""
    share = 0.65 * weight[:, :, None]
    green = np.array([40, 220, 90], np.float32)
    return np.asarray(picture * (1 - share) + green * share, np.float32)


def _grid(crop: Picture, warp: FaceWarp) -> Picture:
    """Draw how a regular grid and the landmarks move, over the crop."""
    picture = _large(crop * 0.6 + 90.0)
    zoom = _SIDE / SIZE
    line = (np.arange(GRID) + 0.5) * (SIZE / GRID) - 0.5
    x, y = np.meshgrid(line, line)
    for field, colour, rows in (
        (warp.upper, (30, 90, 220), y < warp.after.midline.mean()),
        (warp.lower, (220, 60, 40), y >= warp.after.midline.mean()),
    ):
        # Where a node's pixel comes from; drawn as the arrow from there to the node.
        for i, j in zip(*np.nonzero(rows), strict=True):
            if i % 3 or j % 3 or np.hypot(*field[i, j]) < 0.25:
                continue
            end = (float(x[i, j]), float(y[i, j]))
            start = (end[0] + float(field[i, j, 0]), end[1] + float(field[i, j, 1]))
            tail, tip = (tuple(int(v * zoom + zoom / 2) for v in p) for p in (start, end))
            cv2.arrowedLine(picture, tail, tip, colour, 1, cv2.LINE_AA, tipLength=0.35)
    for edge in (warp.after.upper, warp.after.lower):
        points = np.stack([warp.after.x, edge], axis=1) * zoom + zoom / 2
        cv2.polylines(
            picture, [points.round().astype(np.int32)], False, (20, 20, 20), 1, cv2.LINE_AA
        )
    return picture
