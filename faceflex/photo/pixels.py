"""Between the pixels that a file holds (gray, palette, alpha, CMYK, 16 bits) and RGB.

Networks and people see 8-bit RGB. A file's own pixels are kept beside it, and an edit is added to
them as a difference, so what was not edited is written back bit for bit.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

Native = NDArray[Any]

MODES = {"1": "L", "LA": "LA", "L": "L", "RGB": "RGB", "RGBA": "RGBA", "CMYK": "CMYK"}
"""Pillow's modes whose pixels are kept as they are (bilevel ones become gray)."""


def native_mode(image: Image.Image) -> str:
    """Return the mode in which a picture's pixels are kept."""
    if image.mode in MODES:
        return MODES[image.mode]
    if image.mode in ("P", "PA"):
        return "RGBA" if image.has_transparency_data else "RGB"
    if image.mode.startswith("I;16") or image.mode == "I":
        return "L"
    if image.mode in ("YCbCr", "RGBX", "HSV"):
        return "RGB"
    if image.mode in ("RGBa", "La"):
        return "RGBA" if image.mode == "RGBa" else "LA"
    raise ValueError(f"pixels of the kind {image.mode!r} are not supported")


def native_pixels(image: Image.Image, mode: str) -> Native:
    """Return a picture's pixels, (H, W) or (H, W, C), uint8 or uint16."""
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("gray values beyond 16 bits are not supported")
        return np.ascontiguousarray(values.astype(np.uint16))
    return np.ascontiguousarray(np.asarray(image.convert(mode)))


def upright(pixels: Native, orientation: int) -> Native:
    """Apply an EXIF orientation, 1 to 8."""
    turns = {
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.swapaxes(0, 1),
        6: lambda p: p.swapaxes(0, 1)[:, ::-1],
        7: lambda p: p.swapaxes(0, 1)[::-1, ::-1],
        8: lambda p: p.swapaxes(0, 1)[::-1],
    }
    turned = turns[orientation](pixels) if orientation in turns else pixels
    return np.ascontiguousarray(turned)


class Converter:
    """Both ways between one file's pixels and 8-bit RGB.

    Parameters
    ----------
    mode
        ``L``, ``LA``, ``RGB``, ``RGBA`` or ``CMYK``.
    deep
        Whether the file's values have 16 bits.
    icc
        The file's colour profile; used for CMYK.
    """

    def __init__(self, mode: str, deep: bool, icc: bytes | None) -> None:
        self.mode, self.deep = mode, deep
        self._transforms = _cmyk_transforms(icc) if mode == "CMYK" else None

    def to_rgb(self, native: Native) -> NDArray[np.uint8]:
        """Return (H, W, 3) uint8 RGB of the file's pixels."""
        values = ((native.astype(np.uint32) + 128) // 257).astype(np.uint8) if self.deep else native
        if self.mode in ("L", "LA"):
            gray = values if values.ndim == 2 else values[:, :, 0]
            return np.ascontiguousarray(np.repeat(gray[:, :, None], 3, axis=2))
        if self.mode == "CMYK":
            picture = Image.fromarray(np.ascontiguousarray(values), "CMYK")
            if self._transforms is None:
                return np.ascontiguousarray(np.asarray(picture.convert("RGB")))
            return np.array(ImageCms.applyTransform(picture, self._transforms[0]))
        return np.ascontiguousarray(values[:, :, :3])

    def _from_rgb(self, rgb: NDArray[np.uint8]) -> NDArray[np.int32]:
        """Return the colour channels of (N, 3) RGB in the file's own kind, as (N, C) int32."""
        if self.mode in ("L", "LA"):
            weights = np.array([0.299, 0.587, 0.114])
            return np.round(rgb @ weights).astype(np.int32)[:, None]
        if self.mode == "CMYK":
            picture = Image.fromarray(np.ascontiguousarray(rgb[None]), "RGB")
            if self._transforms is None:
                back: Any = picture.convert("CMYK")
            else:
                back = ImageCms.applyTransform(picture, self._transforms[1])
            return np.asarray(back)[0].astype(np.int32)
        return rgb.astype(np.int32)

    def edited(self, native: Native, rgb: NDArray[np.uint8], after: NDArray[np.uint8]) -> Native:
        """Carry an edit over to the file's own pixels.

        Parameters
        ----------
        native
            The file's pixels.
        rgb, after
            (H, W, 3) uint8, before and after the edit.

        Returns
        -------
        Pixels of the same kind; equal to ``native`` wherever ``after`` equals ``rgb``.
        """
        if self.mode == "RGB" and not self.deep:
            return after
        out = native.copy()
        where = (rgb != after).any(axis=2)
        if not where.any():
            return out
        change = self._from_rgb(after[where]) - self._from_rgb(rgb[where])
        top = 65535 if self.deep else 255
        flat = out[:, :, None] if out.ndim == 2 else out
        colours = change.shape[1]
        old = flat[where][:, :colours].astype(np.int32)
        new = np.clip(old + change * (257 if self.deep else 1), 0, top)
        for c in range(colours):
            flat[where, c] = new[:, c]
        return out


def _cmyk_transforms(icc: bytes | None) -> tuple[Any, Any] | None:
    """Return transforms CMYK -> sRGB and back; None without a usable profile."""
    if not icc:
        return None
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        srgb = ImageCms.createProfile("sRGB")
        return (
            ImageCms.buildTransform(profile, srgb, "CMYK", "RGB"),
            ImageCms.buildTransform(srgb, profile, "RGB", "CMYK"),
        )
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return None
