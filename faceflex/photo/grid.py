"""Grids of images, with captions: contact sheets, stages, curves, samples of training."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Picture = NDArray[np.uint8]

_GAP, _CAPTION, _FONT = 4, 22, 13


def make_grid(rows: Sequence[NDArray[np.uint8]], gap: int = 2) -> Picture:
    """Return rows of (n, h, w, 3) uint8 images as one image, on white."""
    height, width = rows[0].shape[1:3]
    columns = max(len(row) for row in rows)
    shape = (len(rows) * (height + gap) - gap, columns * (width + gap) - gap, 3)
    sheet = np.full(shape, 255, np.uint8)
    for r, row in enumerate(rows):
        for c, picture in enumerate(row):
            y, x = r * (height + gap), c * (width + gap)
            sheet[y : y + height, x : x + width] = picture
    return sheet


def captioned_grid(rows: Sequence[Sequence[tuple[str, Picture]]]) -> Picture:
    """Return images of one size as a grid, each below its caption.

    Parameters
    ----------
    rows
        Captions and (h, w, 3) uint8 images of each row; rows may differ in length.

    Returns
    -------
    (H, W, 3) uint8, on white.

    Examples
    --------
    >>> import numpy as np
    >>> cell = np.zeros((100, 80, 3), np.uint8)
    >>> captioned_grid([[("original", cell), ("Smiling 1", cell)]]).shape
    (130, 172, 3)
    """
    height, width = rows[0][0][1].shape[:2]
    size = (
        max(len(row) for row in rows) * (width + _GAP) + _GAP,
        len(rows) * (height + _CAPTION + _GAP) + _GAP,
    )
    sheet = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(_FONT)
    for r, row in enumerate(rows):
        y = _GAP + r * (height + _CAPTION + _GAP)
        for c, (caption, picture) in enumerate(row):
            x = _GAP + c * (width + _GAP)
            draw.text((x + 2, y + 3), caption, fill=(40, 40, 40), font=font)
            sheet.paste(Image.fromarray(picture), (x, y + _CAPTION))
    return np.ascontiguousarray(np.asarray(sheet))


def thumbnail(picture: Picture, side: int) -> Picture:
    """Return a copy resized to a long side of ``side`` pixels."""
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(np.ascontiguousarray(picture), size, interpolation=method)
