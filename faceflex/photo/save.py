"""Write a photo back: same format, same metadata, whole or not at all."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from faceflex.errors import PhotoError, UsageError
from faceflex.files import replacing
from faceflex.photo.load import FORMATS, Photo
from faceflex.photo.pixels import Native

QUALITY = 95
"""JPEG and WebP quality where the photo itself gives none (it came in another format)."""

_PNG_LEVEL = 4  # zlib: half the time of Pillow's default for a few per cent of size.


def format_for(path: Path) -> str:
    """Return the format that a file name asks for.

    Raises
    ------
    UsageError
        If its suffix is not one that can be written.
    """
    suffix = path.suffix.lower()
    for name, suffixes in FORMATS.items():
        if suffix in suffixes:
            return name
    known = ", ".join(s[0] for s in FORMATS.values())
    raise UsageError(f"{path}: cannot tell the format from {suffix!r}; use one of {known}")


def encode_photo(
    photo: Photo, rgb: NDArray[np.uint8], *, target: str | None = None, xmp: bytes | None = None
) -> bytes:
    """Encode an edited photo.

    Parameters
    ----------
    photo
        The photo that was edited; gives format, metadata and encoding.
    rgb
        (H, W, 3) uint8, its pixels after the edit.
    target
        Another format than the photo's own.
    xmp
        XMP packet to write in place of the photo's own.

    Returns
    -------
    The file's content.
    """
    pixels = photo.converter.edited(photo.native, photo.rgb, rgb)
    form = target or photo.format
    xmp = xmp or photo.xmp
    if photo.deep and form in ("PNG", "TIFF") and pixels.ndim == 3:
        return _deep_png(photo, pixels, xmp) if form == "PNG" else _deep_tiff(photo, pixels, xmp)
    picture = Image.fromarray(pixels) if photo.mode != "CMYK" else Image.fromarray(pixels, "CMYK")
    if not _holds(form, photo):
        picture = Image.fromarray(rgb)
    options = _save_options(photo, form, picture, xmp)
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def _holds(form: str, photo: Photo) -> bool:
    """Tell whether a format can hold the photo's own kind of pixels."""
    if photo.deep:
        return form in ("PNG", "TIFF")
    return (
        photo.mode
        in {
            "JPEG": ("L", "RGB", "CMYK"),
            "PNG": ("L", "LA", "RGB", "RGBA"),
            "WEBP": ("RGB", "RGBA"),
            "TIFF": ("L", "LA", "RGB", "RGBA", "CMYK"),
            "BMP": ("L", "RGB", "RGBA"),
        }[form]
    )


def _save_options(
    photo: Photo, form: str, picture: Image.Image, xmp: bytes | None
) -> dict[str, Any]:
    """Return Pillow's save options: the photo's own encoding and its metadata."""
    same = form == photo.format
    options: dict[str, Any] = dict(photo.options) if same else {}
    if form == "JPEG" and "qtables" not in options:
        options["quality"] = QUALITY
    elif form == "PNG":
        options["compress_level"] = _PNG_LEVEL
        if xmp:
            info = PngImagePlugin.PngInfo()
            info.add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8", "replace"))
            options["pnginfo"] = info
    elif form == "WEBP":
        options.update(quality=QUALITY, exact=True)
    if form == "BMP":
        return options
    # A profile describes one kind of pixels: it goes when the kind changes.
    if photo.icc and not (photo.mode == "CMYK" and picture.mode != "CMYK"):
        options["icc_profile"] = photo.icc
    if photo.exif:
        options["exif"] = photo.exif
    if xmp and form in ("JPEG", "WEBP"):
        options["xmp"] = xmp
    elif xmp and form == "TIFF":
        options["tiffinfo"] = {700: xmp}
    return options


def _chunk(kind: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)


def _deep_png(photo: Photo, pixels: Native, xmp: bytes | None) -> bytes:
    """Encode 16-bit colour as PNG; Pillow cannot, OpenCV can, but without metadata."""
    import cv2

    order = cv2.COLOR_RGBA2BGRA if pixels.shape[2] == 4 else cv2.COLOR_RGB2BGR
    good, encoded = cv2.imencode(".png", cv2.cvtColor(pixels, order))
    if not good:
        raise PhotoError(f"{photo.name}: cannot be encoded as PNG")
    data, extra = encoded.tobytes(), b""
    if photo.icc:
        extra += _chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(photo.icc))
    if photo.exif:
        extra += _chunk(b"eXIf", photo.exif.removeprefix(b"Exif\0\0"))
    if xmp:
        extra += _chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)
    header = 8 + 25  # Signature and IHDR.
    return data[:header] + extra + data[header:]


def _deep_tiff(photo: Photo, pixels: Native, xmp: bytes | None) -> bytes:
    """Encode 16-bit colour as TIFF; Pillow cannot, tifffile can."""
    import tifffile

    tags: list[tuple[int, int, int, Any, bool]] = []
    if xmp:
        tags.append((700, 1, len(xmp), xmp, True))
    if photo.exif:
        exif = Image.Exif()
        exif.load(photo.exif)
        texts = {k: v for k, v in exif.items() if isinstance(v, str) and k not in (270, 305, 306)}
        tags += [(k, 2, len(v) + 1, v, True) for k, v in texts.items()]
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        pixels,
        photometric="rgb",
        compression=None if photo.options.get("compression") == "raw" else "zlib",
        iccprofile=photo.icc,
        extrasamples=["unassalpha"] if pixels.shape[2] == 4 else None,
        metadata=None,
        extratags=tags,
    )
    return buffer.getvalue()


def write_file(path: Path, data: bytes, *, overwrite: bool = False) -> None:
    """Write a file so that it appears whole or not at all.

    Parameters
    ----------
    path
        Target; its folder is made when missing.
    data
        Content.
    overwrite
        Replace what is there.

    Raises
    ------
    PhotoError
        If it cannot be written, or is there already.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not overwrite and os.path.lexists(path):
            raise PhotoError(f"{path}: exists; use --overwrite, --skip-existing or another --out")
        with replacing(path) as temporary, temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise PhotoError(f"{path}: cannot be written ({error.strerror or error})") from None
