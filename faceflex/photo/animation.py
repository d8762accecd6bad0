"""Moving pictures as GIF or animated WebP."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceflex.errors import UsageError

ANIMATIONS = {".gif": "GIF", ".webp": "WEBP"}
_COLORS = 256


def animation_format(path: Path) -> str:
    """Return the format of a moving picture's file, by its suffix.

    Raises
    ------
    UsageError
        If it is none.
    """
    try:
        return ANIMATIONS[path.suffix.lower()]
    except KeyError:
        raise UsageError(f"{path}: a moving picture needs {' or '.join(ANIMATIONS)}") from None


def encode_animation(
    frames: Sequence[NDArray[np.uint8]], form: str, milliseconds: int, comment: str = ""
) -> bytes:
    """Encode frames (H, W, 3) uint8 as a moving picture that begins anew when it ends.

    Parameters
    ----------
    frames
        The frames, of one size.
    form
        ``GIF`` (one palette for all frames, so that nothing flickers) or ``WEBP``.
    milliseconds
        That each frame is shown.
    comment
        How it was made; in WebP files as XMP.
    """
    pictures = [Image.fromarray(frame) for frame in frames]
    buffer = io.BytesIO()
    options: dict[str, object]
    if form == "GIF":
        palette = _shared_palette(pictures)
        dither = Image.Dither.FLOYDSTEINBERG
        pictures = [p.quantize(palette=palette, dither=dither) for p in pictures]
        options = {"comment": comment.encode(), "optimize": False}
    else:
        options = {"quality": 85, "method": 2, "xmp": comment.encode()}
    pictures[0].save(
        buffer,
        form,
        save_all=True,
        append_images=pictures[1:],
        duration=milliseconds,
        loop=0,
        **options,
    )
    return buffer.getvalue()


def _shared_palette(pictures: Sequence[Image.Image]) -> Image.Image:
    """Return a picture with a palette for all: of the first, the middle and the last."""
    chosen = [pictures[k] for k in sorted({0, len(pictures) // 2, len(pictures) - 1})]
    width, height = chosen[0].size
    together = Image.new("RGB", (width, height * len(chosen)))
    for k, picture in enumerate(chosen):
        together.paste(picture, (0, k * height))
    return together.quantize(_COLORS, method=Image.Quantize.MEDIANCUT)
