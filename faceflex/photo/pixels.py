"""Conversion between a file's pixels (gray, palette, alpha, CMYK, 16 bits, wide gamut) and sRGB.

Networks get 8-bit sRGB. The file's own pixels are kept, and an edit is added to them as a
difference: unedited pixels are written back bit for bit.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

Native = NDArray[Any]

MODES = ("L", "LA", "RGB", "RGBA", "CMYK")
"""Modes of Pillow whose pixels are not converted."""

_ITERATIONS = 4  # Of the inversion of a CMYK profile; RGB needs one.
_SRGB_TOLERANCE = 2  # Levels of 256 by which a profile may differ from sRGB and count as it.
_CHUNK_PIXELS = 1 << 20  # Converted back at a time, which bounds memory.
_STRIP_PIXELS = 1 << 22  # Copied from Pillow at a time.


def native_mode(image: Image.Image) -> str:
    """Return the mode of :func:`native_pixels`: the image's own, or the nearest of ``MODES``."""
    keyed = "transparency" in image.info  # A transparent colour, or palette entries.
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
    raise ValueError(f"pixels of mode {image.mode!r} are not supported")


def native_pixels(image: Image.Image, mode: str) -> Native:
    """Return an image's pixels in a mode, (H, W) or (H, W, C), uint8 or uint16."""
    if image.mode.startswith("I"):
        values = _to_array(image, image.mode)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("gray values beyond 16 bits are not supported")
        gray = values.astype(np.uint16)
        return _with_alpha(gray, image.info["transparency"]) if mode == "LA" else gray
    if mode == "LA" and image.mode in ("1", "L"):
        # Pillow scales 2- and 4-bit gray to 8 bits, but not its transparent value.
        tiles = getattr(image, "tile", [])
        scale = {"L;2": 85, "L;4": 17}.get(str(tiles[0][3]), 1) if tiles else 1
        return _with_alpha(_to_array(image, "L"), image.info["transparency"] * scale)
    return _to_array(image, mode)


def _to_array(image: Image.Image, mode: str) -> Native:
    """Return an image as an array in a mode.

    Strip by strip: to convert and export all at once, Pillow would hold three copies.
    """
    image.load()
    width, height = image.size
    step = max(1, _STRIP_PIXELS // width)
    strips = (image.crop((0, y, width, min(y + step, height))) for y in range(0, height, step))
    out: Native | None = None
    for index, strip in enumerate(strips):
        values = np.asarray(strip if strip.mode == mode else strip.convert(mode))
        if out is None:
            out = np.empty((height, *values.shape[1:]), values.dtype)
        out[index * step : index * step + len(values)] = values
    if out is None:
        raise ValueError("no pixels")
    return out


def _with_alpha(gray: Native, key: int) -> Native:
    """Return gray with an alpha channel: 0 where the value is ``key``, opaque elsewhere."""
    alpha = np.where(gray == key, 0, np.iinfo(gray.dtype).max).astype(gray.dtype)
    return np.stack([gray, alpha], axis=2)


def to_uint8(native: Native) -> NDArray[np.uint8]:
    """Convert 16-bit pixels to 8 bits; return 8-bit ones as they are."""
    if native.dtype == np.uint8:
        return native
    return ((native.astype(np.uint32) + 128) // 257).astype(np.uint8)


def apply_orientation(pixels: Native, orientation: int) -> Native:
    """Rotate and flip pixels upright by their EXIF orientation, 1 to 8."""
    transforms = {
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.swapaxes(0, 1),
        6: lambda p: p.swapaxes(0, 1)[:, ::-1],
        7: lambda p: p.swapaxes(0, 1)[::-1, ::-1],
        8: lambda p: p.swapaxes(0, 1)[::-1],
    }
    upright = transforms[orientation](pixels) if orientation in transforms else pixels
    return np.ascontiguousarray(upright)


class Converter:
    """Conversion between one file's pixels and 8-bit sRGB.

    Parameters
    ----------
    mode
        ``L``, ``LA``, ``RGB``, ``RGBA`` or ``CMYK``.
    is_16bit
        Whether pixels have 16 bits per channel.
    icc
        Colour profile of the file; used for CMYK, and for RGB unless it is (nearly) sRGB.

    Attributes
    ----------
    color_managed
        Whether colours are converted by the profile.
    """

    def __init__(self, mode: str, is_16bit: bool, icc: bytes | None) -> None:
        self.mode, self.is_16bit = mode, is_16bit
        self._color_mode = {"CMYK": "CMYK", "RGB": "RGB", "RGBA": "RGB"}.get(mode)
        color_mode = self._color_mode
        self._transforms = _make_transforms(icc, color_mode) if icc and color_mode else None
        self.color_managed = self._transforms is not None

    def to_rgb(self, native: Native) -> NDArray[np.uint8]:
        """Return (H, W, 3) uint8 sRGB of the file's pixels."""
        values = to_uint8(native)
        if self.mode in ("L", "LA"):
            gray = values if values.ndim == 2 else values[:, :, 0]
            return np.ascontiguousarray(np.repeat(gray[:, :, None], 3, axis=2))
        if self.mode == "CMYK":
            return self._to_srgb(values)
        return self._to_srgb(np.ascontiguousarray(values[:, :, :3]))

    def _to_srgb(self, values: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return (H, W, 3) sRGB of 8-bit (H, W, C) colour channels."""
        if self._transforms is None and self._color_mode == "RGB":
            return values
        image = Image.fromarray(np.ascontiguousarray(values), self._color_mode)
        if self._transforms is None:
            return np.array(image.convert("RGB"))
        return np.array(ImageCms.applyTransform(image, self._transforms[0]))

    def _difference(
        self, old: NDArray[Any], before: NDArray[np.uint8], after: NDArray[np.uint8]
    ) -> NDArray[Any]:
        """Return an edit's difference in the file's colour channels, in 8-bit levels.

        Parameters
        ----------
        old
            (N, C) values of the file, in 8-bit levels.
        before, after
            (N, 3) RGB before and after the edit.
        """
        if self.mode in ("L", "LA"):
            weights = np.array([0.299, 0.587, 0.114])
            return (np.round(after @ weights) - np.round(before @ weights))[:, None]
        if self._transforms is not None:
            return self._managed_difference(old, before, after)
        if self.mode == "CMYK":
            return _cmyk_difference(old, before, after)
        return after.astype(np.int32) - before

    def _managed_difference(
        self, old: NDArray[Any], before: NDArray[np.uint8], after: NDArray[np.uint8]
    ) -> NDArray[Any]:
        """Invert the profile iteratively, from the file's own values to the edited colours.

        Only differences are added: the separation of inks is preserved, and so are colours out of
        sRGB's gamut.
        """
        assert self._transforms is not None

        def from_srgb(rgb: NDArray[np.uint8]) -> NDArray[Any]:
            image = Image.fromarray(np.ascontiguousarray(rgb[None]), "RGB")
            values = ImageCms.applyTransform(image, self._transforms[1])  # type: ignore[index]
            return np.asarray(values)[0].astype(np.float64)

        target, new, current = from_srgb(after), old, before
        for _ in range(_ITERATIONS if self.mode == "CMYK" else 1):
            new = np.clip(new + target - from_srgb(current), 0, 255)
            current = self._to_srgb(np.round(new).astype(np.uint8)[None])[0]
        return new - old

    def apply_edit(
        self, native: Native, rgb: NDArray[np.uint8], after: NDArray[np.uint8]
    ) -> Native:
        """Apply an edit of the sRGB pixels to the file's own pixels.

        Parameters
        ----------
        native
            Pixels of the file.
        rgb, after
            (H, W, 3) uint8, before and after the edit.

        Returns
        -------
        Pixels of the same shape and type; equal to ``native`` wherever ``after`` equals ``rgb``.
        """
        if self.mode == "RGB" and not self.is_16bit and not self.color_managed:
            return after
        out = native.copy()
        flat = out.reshape(-1, 1 if out.ndim == 2 else out.shape[2])
        flat_before, flat_after = rgb.reshape(-1, 3), after.reshape(-1, 3)
        changed = np.flatnonzero((flat_before != flat_after).any(axis=1))
        channels = {"L": 1, "LA": 1, "CMYK": 4}.get(self.mode, 3)  # Without alpha.
        step, white = (257, 65535) if self.is_16bit else (1, 255)
        for start in range(0, len(changed), _CHUNK_PIXELS):
            at = changed[start : start + _CHUNK_PIXELS]
            old = flat[at, :channels].astype(np.float64)
            new = old + step * self._difference(old / step, flat_before[at], flat_after[at])
            flat[at, :channels] = np.clip(np.round(new), 0, white)
        return out


def _cmyk_difference(
    old: NDArray[Any], before: NDArray[np.uint8], after: NDArray[np.uint8]
) -> NDArray[Any]:
    """Return an edit's difference in CMYK without a profile; black changes only to brighten."""

    def ink(rgb: NDArray[np.uint8], light: NDArray[Any]) -> NDArray[Any]:
        return 255 * (1 - rgb / np.maximum(light, 1)[:, None])

    light = 255 - old[:, 3]
    new_light = np.maximum(light, after.max(axis=1))
    difference = ink(after, new_light) - np.where(
        (new_light > light)[:, None], old[:, :3], ink(before, light)
    )
    return np.concatenate([difference, (light - new_light)[:, None]], axis=1)


def _make_transforms(icc: bytes, mode: str) -> tuple[Any, Any] | None:
    """Return transforms to sRGB and back; None without a usable profile, or for sRGB itself.

    The intent is relative colorimetric for RGB, which keeps white white; perceptual for CMYK, as
    viewers use.
    """
    intent = ImageCms.Intent.PERCEPTUAL if mode == "CMYK" else ImageCms.Intent.RELATIVE_COLORIMETRIC
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        srgb = ImageCms.createProfile("sRGB")
        transforms = (
            ImageCms.buildTransform(profile, srgb, mode, "RGB", intent),
            ImageCms.buildTransform(srgb, profile, "RGB", mode, intent),
        )
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return None
    return None if mode == "RGB" and _is_nearly_identity(transforms[0]) else transforms


def _is_nearly_identity(transform: Any) -> bool:
    """Return whether an RGB transform changes no colour of a grid beyond a tolerance."""
    levels = np.linspace(0, 255, 9).astype(np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(1, -1, 3)
    converted = np.asarray(ImageCms.applyTransform(Image.fromarray(grid), transform))
    return bool(np.abs(converted.astype(int) - grid).max() <= _SRGB_TOLERANCE)
