"""Between the pixels that a file holds (gray, palette, alpha, CMYK, 16 bits, wide colours) and RGB.

Networks see 8-bit sRGB. A file's own pixels are kept beside it, and an edit is added to
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

_ROUNDS = 4  # Of the approach to a colour through a CMYK profile; RGB needs one.
_NEARLY = 2  # Levels of 256 by which a profile may differ from sRGB and count as sRGB.
_BLOCK = 1 << 20  # Pixels that are converted back at a time, which bounds memory.
_STRIP = 1 << 22  # Pixels that are read out at a time.


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


def to_uint8(native: Native) -> NDArray[np.uint8]:
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
    """Both ways between one file's pixels and 8-bit sRGB.

    Parameters
    ----------
    mode
        ``L``, ``LA``, ``RGB``, ``RGBA`` or ``CMYK``.
    deep
        Whether the file's values have 16 bits.
    icc
        The file's colour profile; used for CMYK, and for RGB where it is not (nearly) sRGB.

    Attributes
    ----------
    color_managed
        Whether colours go through the profile.
    """

    def __init__(self, mode: str, deep: bool, icc: bytes | None) -> None:
        self.mode, self.is_16bit = mode, deep
        self._kind = {"CMYK": "CMYK", "RGB": "RGB", "RGBA": "RGB"}.get(mode)
        self._transforms = _transforms(icc, self._kind) if icc and self._kind else None
        self.color_managed = self._transforms is not None

    def to_rgb(self, native: Native) -> NDArray[np.uint8]:
        """Return (H, W, 3) uint8 sRGB of the file's pixels."""
        values = to_uint8(native)
        if self.mode in ("L", "LA"):
            gray = values if values.ndim == 2 else values[:, :, 0]
            return np.ascontiguousarray(np.repeat(gray[:, :, None], 3, axis=2))
        if self.mode == "CMYK":
            return self._shown(values)
        return self._shown(np.ascontiguousarray(values[:, :, :3]))

    def _shown(self, values: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return (H, W, 3) sRGB of 8-bit (H, W, C) colours."""
        if self._transforms is None and self._kind == "RGB":
            return values
        picture = Image.fromarray(np.ascontiguousarray(values), self._kind)
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
        if self._transforms is not None:
            return self._managed_change(old, before, after)
        if self.mode == "CMYK":
            return _ink_change(old, before, after)
        return after.astype(np.int32) - before

    def _managed_change(
        self, old: NDArray[Any], before: NDArray[np.uint8], after: NDArray[np.uint8]
    ) -> NDArray[Any]:
        """Approach the wanted colours from the file's own values, through the profile.

        Only differences count, so inks stay separated as they were, and colours that sRGB cannot
        show stay as strong as they were.
        """
        assert self._transforms is not None

        def stored(rgb: NDArray[np.uint8]) -> NDArray[Any]:
            picture = Image.fromarray(np.ascontiguousarray(rgb[None]), "RGB")
            done = ImageCms.applyTransform(picture, self._transforms[1])  # type: ignore[index]
            return np.asarray(done)[0].astype(np.float64)

        goal, new, now = stored(after), old, before
        for _ in range(_ROUNDS if self.mode == "CMYK" else 1):
            new = np.clip(new + goal - stored(now), 0, 255)
            now = self._shown(np.round(new).astype(np.uint8)[None])[0]
        return new - old

    def apply_edit(
        self, native: Native, rgb: NDArray[np.uint8], after: NDArray[np.uint8]
    ) -> Native:
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
        if self.mode == "RGB" and not self.is_16bit and not self.color_managed:
            return after
        out = native.copy()
        flat = out.reshape(-1, 1 if out.ndim == 2 else out.shape[2])
        before, later = rgb.reshape(-1, 3), after.reshape(-1, 3)
        changed = np.flatnonzero((before != later).any(axis=1))
        colours = {"L": 1, "LA": 1, "CMYK": 4}.get(self.mode, 3)
        step, top = (257, 65535) if self.is_16bit else (1, 255)
        for start in range(0, len(changed), _BLOCK):
            at = changed[start : start + _BLOCK]
            old = flat[at, :colours].astype(np.float64)
            new = old + step * self._change(old / step, before[at], later[at])
            flat[at, :colours] = np.clip(np.round(new), 0, top)
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


def _transforms(icc: bytes, kind: str) -> tuple[Any, Any] | None:
    """Return transforms to sRGB and back; None without a usable profile, or for sRGB itself.

    RGB goes by relative colorimetry, which keeps white white; CMYK by perception, as viewers do.
    """
    intent = ImageCms.Intent.PERCEPTUAL if kind == "CMYK" else ImageCms.Intent.RELATIVE_COLORIMETRIC
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        srgb = ImageCms.createProfile("sRGB")
        found = (
            ImageCms.buildTransform(profile, srgb, kind, "RGB", intent),
            ImageCms.buildTransform(srgb, profile, "RGB", kind, intent),
        )
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return None
    return None if kind == "RGB" and _near(found[0]) else found


def _near(transform: Any) -> bool:
    """Tell whether an RGB transform hardly changes any colour of a grid."""
    steps = np.linspace(0, 255, 9).astype(np.uint8)
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(1, -1, 3)
    shown = np.asarray(ImageCms.applyTransform(Image.fromarray(grid), transform))
    return bool(np.abs(shown.astype(int) - grid).max() <= _NEARLY)
