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

MODES = ("L", "LA", "RGB", "RGBA", "CMYK")
"""Pillow's modes whose pixels are kept as they are."""

_STRIP = 1 << 22  # Pixels.
_ROUNDS = 4  # Of the approach to a colour through a CMYK profile.


def native_mode(image: Image.Image) -> str:
    """Return the mode in which a picture's pixels are kept."""
    keyed = "transparency" in image.info  # One colour, or palette entries, stand for nothing.
    if image.mode in ("P", "PA"):
        return "RGBA" if image.has_transparency_data else "RGB"
    if image.mode in ("1", "L", "I") or image.mode.startswith("I;16"):
        return "LA" if keyed else "L"
    if image.mode == "RGB" and keyed:
        return "RGBA"
    if image.mode in MODES:
        return image.mode
    if image.mode in ("YCbCr", "RGBX", "HSV"):
        return "RGB"
    if image.mode in ("RGBa", "La"):
        return "RGBA" if image.mode == "RGBa" else "LA"
    raise ValueError(f"pixels of the kind {image.mode!r} are not supported")


def native_pixels(image: Image.Image, mode: str) -> Native:
    """Return a picture's pixels, (H, W) or (H, W, C), uint8 or uint16."""
    if image.mode.startswith("I"):
        values = _values(image, image.mode)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("gray values beyond 16 bits are not supported")
        gray = values.astype(np.uint16)
        return _with_key(gray, image.info["transparency"]) if mode == "LA" else gray
    if mode == "LA" and image.mode in ("1", "L"):
        # Pillow gives the key of 2- and 4-bit gray as stored, but spreads the values.
        tiles = getattr(image, "tile", [])
        spread = {"L;2": 85, "L;4": 17}.get(str(tiles[0][3]), 1) if tiles else 1
        return _with_key(_values(image, "L"), image.info["transparency"] * spread)
    return _values(image, mode)


def _values(image: Image.Image, mode: str) -> Native:
    """Return a picture's values in a mode.

    Strip by strip: Pillow would hold a whole picture three times to convert it and hand it over.
    """
    image.load()
    width, height = image.size
    step = max(1, _STRIP // width)
    strips = (image.crop((0, y, width, min(y + step, height))) for y in range(0, height, step))
    out: Native | None = None
    for number, strip in enumerate(strips):
        values = np.asarray(strip if strip.mode == mode else strip.convert(mode))
        if out is None:
            out = np.empty((height, *values.shape[1:]), values.dtype)
        out[number * step : number * step + len(values)] = values
    if out is None:
        raise ValueError("no pixels")
    return out


def _with_key(gray: Native, key: int) -> Native:
    """Return gray with an alpha channel that is 0 where the value is ``key``."""
    alpha = np.where(gray == key, 0, np.iinfo(gray.dtype).max).astype(gray.dtype)
    return np.stack([gray, alpha], axis=2)


def eight_bits(native: Native) -> NDArray[np.uint8]:
    """Return a file's pixels with 8 bits."""
    if native.dtype == np.uint8:
        return native
    return ((native.astype(np.uint32) + 128) // 257).astype(np.uint8)


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
        values = eight_bits(native)
        if self.mode in ("L", "LA"):
            gray = values if values.ndim == 2 else values[:, :, 0]
            return np.ascontiguousarray(np.repeat(gray[:, :, None], 3, axis=2))
        if self.mode == "CMYK":
            return self._cmyk_to_rgb(values)
        return np.ascontiguousarray(values[:, :, :3])

    def _cmyk_to_rgb(self, values: NDArray[np.uint8]) -> NDArray[np.uint8]:
        picture = Image.fromarray(np.ascontiguousarray(values), "CMYK")
        if self._transforms is None:
            return np.array(picture.convert("RGB"))
        return np.array(ImageCms.applyTransform(picture, self._transforms[0]))

    def _change(
        self, old: NDArray[Any], before: NDArray[np.uint8], after: NDArray[np.uint8]
    ) -> NDArray[Any]:
        """Return what an edit adds to the colour channels, in steps of 8 bits.

        Parameters
        ----------
        old
            (N, C) values of the file, in steps of 8 bits.
        before, after
            (N, 3) RGB.
        """
        if self.mode in ("L", "LA"):
            weights = np.array([0.299, 0.587, 0.114])
            return (np.round(after @ weights) - np.round(before @ weights))[:, None]
        if self.mode == "CMYK":
            if self._transforms is None:
                return _ink_change(old, before, after)
            return self._separated_change(old, before, after)
        return after.astype(np.int32) - before

    def _separated_change(
        self, old: NDArray[Any], before: NDArray[np.uint8], after: NDArray[np.uint8]
    ) -> NDArray[Any]:
        """Approach the wanted colours from the file's own separation, through the profile."""
        assert self._transforms is not None

        def separate(rgb: NDArray[np.uint8]) -> NDArray[Any]:
            picture = Image.fromarray(np.ascontiguousarray(rgb[None]), "RGB")
            separated = ImageCms.applyTransform(picture, self._transforms[1])  # type: ignore[index]
            return np.asarray(separated)[0].astype(np.float64)

        goal, new, now = separate(after), old, before
        for _ in range(_ROUNDS):
            new = np.clip(new + goal - separate(now), 0, 255)
            now = self._cmyk_to_rgb(np.round(new).astype(np.uint8)[None])[0]
        return new - old

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
        flat = out[:, :, None] if out.ndim == 2 else out
        colours = {"L": 1, "LA": 1, "CMYK": 4}.get(self.mode, 3)
        step, top = (257, 65535) if self.deep else (1, 255)
        old = flat[where][:, :colours].astype(np.float64)
        new = old + step * self._change(old / step, rgb[where], after[where])
        new = np.clip(np.round(new), 0, top)
        for c in range(colours):
            flat[where, c] = new[:, c]
        return out


def _ink_change(
    old: NDArray[Any], before: NDArray[np.uint8], after: NDArray[np.uint8]
) -> NDArray[Any]:
    """Return the change of CMYK without a profile; black stays where it leaves light enough."""

    def ink(rgb: NDArray[np.uint8], light: NDArray[Any]) -> NDArray[Any]:
        return 255 * (1 - rgb / np.maximum(light, 1)[:, None])

    light = 255 - old[:, 3]
    needed = np.maximum(light, after.max(axis=1))
    change = ink(after, needed) - np.where(
        (needed > light)[:, None], old[:, :3], ink(before, light)
    )
    return np.concatenate([change, (light - needed)[:, None]], axis=1)


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
