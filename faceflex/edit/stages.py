"""Pictures of the stages that an edit goes through, for one face."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from faceflex.compose.warp import GRID, FaceWarp
from faceflex.faces.align import SIZE

if TYPE_CHECKING:
    from faceflex.edit.editor import Editor
    from faceflex.faces.aligned_face import AlignedFace, Edit

_SIDE, _CAPTION, _COLUMNS = 384, 22, 5

Picture = NDArray[np.uint8]


def explain(
    editor: Editor,
    rgb: Picture,
    face: AlignedFace,
    edit: Edit,
) -> dict[str, Picture]:
    """Draw the stages of an edit.

    Parameters
    ----------
    editor
        What edits.
    rgb
        (H, W, 3) uint8 photo.
    face
        From :meth:`faceflex.edit.editor.Editor.prepare`.
    edit
        What is done to it.

    Returns
    -------
    Pictures by caption, in order, each (384, 384, 3) uint8; empty for a face outside the photo.
    """
    from faceflex.models.codec import decode_float

    if face.region is None:
        return {}
    decoded = list(decode_float(editor.model, np.array(edit.latents(face.latent))))
    after = decoded[-1] if decoded else face.decoded
    trace: dict[str, Any] = {}
    result = rgb.copy()
    editor.apply(result, face, edit, decoded, trace)
    region = face.region
    found = {
        "aligned": _large(face.crop),
        "decoded": _large(face.decoded * 255),
        "decoded, edited": _large(after * 255),
    }
    if trace:
        moved: FaceWarp = trace["moved"]
        found |= {
            "motion": _grid(face.crop, moved),
            "the photo, moved": _fit(trace["warped"]),
            "warp residual": _large(128 + 3 * 255 * trace["warp_residual"]),
            "new content": _fit(_marked(region.cut(rgb), trace["new"])),
        }
    found |= {
        "mask": _fit(_marked(region.cut(rgb), region.mask)),
        "photo": _fit(region.cut(rgb)),
        "result": _fit(region.cut(result)),
    }
    return found


def sheet(stages: Mapping[str, Picture]) -> Picture:
    """Lay stages out with their captions, five a row."""
    rows = -(-len(stages) // _COLUMNS)
    size = (_COLUMNS * (_SIDE + 4) + 4, rows * (_SIDE + _CAPTION + 4) + 4)
    picture = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(14)
    for number, (caption, stage) in enumerate(stages.items()):
        row, column = divmod(number, _COLUMNS)
        x, y = 4 + column * (_SIDE + 4), 4 + row * (_SIDE + _CAPTION + 4)
        draw.text((x + 2, y + 2), f"{number + 1}. {caption}", fill=(40, 40, 40), font=font)
        picture.paste(Image.fromarray(stage), (x, y + _CAPTION))
    return np.ascontiguousarray(np.asarray(picture))


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


def _grid(crop: Picture, moved: FaceWarp) -> Picture:
    """Draw how a regular grid and the landmarks move, over the crop."""
    picture = _large(crop * 0.6 + 90.0)
    zoom = _SIDE / SIZE
    line = (np.arange(GRID) + 0.5) * (SIZE / GRID) - 0.5
    x, y = np.meshgrid(line, line)
    for field, colour, rows in (
        (moved.upper, (30, 90, 220), y < moved.after.line.mean()),
        (moved.lower, (220, 60, 40), y >= moved.after.line.mean()),
    ):
        # Where a node's pixel comes from; drawn as the arrow from there to the node.
        for i, j in zip(*np.nonzero(rows), strict=True):
            if i % 3 or j % 3 or np.hypot(*field[i, j]) < 0.25:
                continue
            end = (float(x[i, j]), float(y[i, j]))
            start = (end[0] + float(field[i, j, 0]), end[1] + float(field[i, j, 1]))
            tail, tip = (tuple(int(v * zoom + zoom / 2) for v in p) for p in (start, end))
            cv2.arrowedLine(picture, tail, tip, colour, 1, cv2.LINE_AA, tipLength=0.35)
    for edge in (moved.after.upper, moved.after.lower):
        points = np.stack([moved.after.x, edge], axis=1) * zoom + zoom / 2
        cv2.polylines(
            picture, [points.round().astype(np.int32)], False, (20, 20, 20), 1, cv2.LINE_AA
        )
    return picture
