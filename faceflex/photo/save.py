"""Encode an edited photo like the original: same format, same metadata; write it atomically."""

from __future__ import annotations

import io
import os
import struct
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from faceflex.errors import PhotoError
from faceflex.files import atomic_write
from faceflex.photo.exif import PREFIX, add_to_tiff, drop_orientation, shrink_exif
from faceflex.photo.formats import missing_support
from faceflex.photo.iptc import add_to_jpeg, to_png_text, to_tiff_tags
from faceflex.photo.load import Photo
from faceflex.photo.metadata import JPEG_EXIF, shrink_xmp
from faceflex.photo.pixels import Native, to_uint8

DEFAULT_QUALITY = 95
"""JPEG and WebP quality for photos of another format."""
HEIF_QUALITY = {"AVIF": 90, "HEIF": 80}
"""Quality of AVIF and HEIC, whose files do not record theirs: visually lossless."""

_XMP_TAG = 700
_ZLIB_LEVEL = 4  # Half the time of Pillow's default, for a few per cent of size.


def encode_photo(
    photo: Photo, rgb: NDArray[np.uint8], *, target: str | None = None, xmp: bytes | None = None
) -> bytes:
    """Encode an edited photo.

    Parameters
    ----------
    photo
        The photo that was edited: its format, metadata and encoding parameters are used.
    rgb
        (H, W, 3) uint8 sRGB after the edit.
    target
        Output format; the photo's own by default.
    xmp
        XMP packet; the photo's own by default.

    Returns
    -------
    Content of the file.

    Raises
    ------
    PhotoError
        If the format does not allow this size, or its plug-in is not installed.

    Examples
    --------
    >>> from faceflex.photo.load import load_photo
    >>> photo = load_photo("examples/portrait.jpg")
    >>> darker = photo.rgb // 2
    >>> again = load_photo(encode_photo(photo, darker, target="PNG"), "darker.png")
    >>> again.format, bool((again.rgb == darker).all())
    ('PNG', True)
    """
    if missing := missing_support(target or photo.format):
        raise PhotoError(f"{photo.name}: {missing}; or write another format")
    pixels = photo.converter.apply_edit(photo.native, photo.rgb, rgb)
    file_format, xmp = target or photo.format, xmp or photo.xmp
    try:
        if photo.is_16bit and photo.mode in _MODES_16BIT.get(file_format, ()):
            if file_format == "PNG":
                return _encode_png_16bit(photo, pixels, xmp)
            return _add_metadata_to_tiff(_encode_tiff_16bit(photo, pixels), photo, xmp)
        picture = _to_image(photo, pixels, rgb, file_format)
        data = _encode(picture, file_format, _save_options(photo, file_format, picture, xmp))
        if file_format == "TIFF":
            return _add_metadata_to_tiff(data, photo, xmp)
        if file_format == "JPEG" and photo.resources:
            return add_to_jpeg(data, photo.resources)
        return _bmp_with_alpha(data) if (file_format, picture.mode) == ("BMP", "RGBA") else data
    except MemoryError:
        raise PhotoError(f"{photo.name}: too large for this machine's memory") from None
    except Exception as error:
        # Encoders raise several types, above all for sizes that a format does not allow.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise PhotoError(f"{photo.name}: cannot be encoded as {file_format} ({reason})") from error


def _encode(picture: Image.Image, file_format: str, options: dict[str, Any]) -> bytes:
    """Encode an image into a file descriptor, in memory where the system supports it.

    Only then does Pillow release the GIL while encoding.
    """
    memfd = getattr(os, "memfd_create", None)
    file = os.fdopen(memfd("picture"), "w+b") if memfd else tempfile.TemporaryFile()  # noqa: SIM115
    with file:
        picture.save(file, file_format, **options)
        file.seek(0)
        return file.read()


_MODES = {
    "JPEG": ("L", "RGB", "CMYK"),
    "PNG": ("L", "LA", "RGB", "RGBA"),
    "WEBP": ("RGB", "RGBA"),
    "TIFF": ("L", "LA", "RGB", "RGBA", "CMYK"),
    "BMP": ("L", "RGB", "RGBA"),
    "AVIF": ("L", "RGB", "RGBA"),
    "HEIF": ("L", "RGB", "RGBA"),
}
_MODES_16BIT = {"PNG": ("LA", "RGB", "RGBA"), "TIFF": ("LA", "RGB", "RGBA", "CMYK")}
"""Modes written here with 16 bits per channel; Pillow supports 16-bit gray alone."""


def _to_image(
    photo: Photo, pixels: Native, rgb: NDArray[np.uint8], file_format: str
) -> Image.Image:
    """Return the image to encode: in the photo's mode, or the nearest that the format supports."""
    if not (photo.mode == "L" and file_format in _MODES_16BIT):
        pixels = to_uint8(pixels)
    if file_format == "BMP" and photo.mode in ("RGB", "RGBA"):  # BMP has no colour profiles.
        pixels = np.concatenate([rgb, pixels[:, :, 3:]], axis=2)
    if photo.mode in _MODES[file_format]:
        picture = Image.fromarray(pixels, "CMYK" if photo.mode == "CMYK" else None)
        same = file_format == photo.format and photo.options.get("palette")
        return _with_palette(picture) if same else picture
    if photo.mode == "LA" and file_format == "JPEG":
        return Image.fromarray(np.ascontiguousarray(pixels[:, :, 0]))
    if photo.mode == "LA":
        return Image.fromarray(np.dstack([rgb, pixels[:, :, 1]]))
    if photo.mode == "RGBA":
        return Image.fromarray(np.ascontiguousarray(pixels[:, :, :3]))
    return Image.fromarray(rgb)


def _with_palette(picture: Image.Image) -> Image.Image:
    """Return an RGB or RGBA image with a palette, if it has at most 256 colours."""
    counts = picture.getcolors(256)
    if counts is None:
        return picture
    colors = np.array(sorted(c for _, c in counts), np.uint8)  # type: ignore[type-var]
    weights = 1 << 8 * np.arange(colors.shape[1])[::-1]  # Channels to one integer.
    codes = colors @ weights
    indices = np.searchsorted(codes, np.asarray(picture) @ weights).astype(np.uint8)
    out = Image.fromarray(indices, "P")
    out.putpalette(colors[:, :3].tobytes())
    if picture.mode == "RGBA":
        out.info["transparency"] = colors[:, 3].tobytes()
    return out


def _save_options(
    photo: Photo, file_format: str, picture: Image.Image, xmp: bytes | None
) -> dict[str, Any]:
    """Return keyword arguments of Pillow's ``save``: encoding parameters and metadata."""
    same = file_format == photo.format
    options: dict[str, Any] = dict(photo.options) if same else {}
    options.pop("palette", None)
    if "dpi" in photo.options:
        options["dpi"] = photo.options["dpi"]
    icc = _icc_profile(photo, picture.mode)
    if icc and file_format != "BMP":
        options["icc_profile"] = icc
    if photo.exif and file_format in ("PNG", "WEBP"):
        options["exif"] = photo.exif
    if file_format == "JPEG":
        if "qtables" not in options:
            options["quality"] = DEFAULT_QUALITY
        options["exif"] = shrink_exif(photo.exif or b"", JPEG_EXIF) or b""
        options["xmp"] = shrink_xmp(xmp) if xmp else None
    elif file_format == "PNG":
        options["compress_level"] = _ZLIB_LEVEL
        info = PngImagePlugin.PngInfo()
        info.chunks += _png_chunks(photo)
        options["pnginfo"] = info
        if xmp:
            info.add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8", "replace"))
        if photo.resources:
            info.add_text(*to_png_text(photo.resources), zip=True)
    elif file_format == "WEBP":
        options.update(quality=DEFAULT_QUALITY, exact=True, xmp=xmp or b"")
    elif file_format in ("AVIF", "HEIF"):
        options.update(quality=HEIF_QUALITY[file_format], xmp=xmp)
        if photo.exif:
            options["exif"] = drop_orientation(photo.exif).removeprefix(PREFIX)
    return options


def _icc_profile(photo: Photo, mode: str) -> bytes | None:
    """Return the photo's profile if it is valid for pixels of a mode, else None."""
    spaces = {"L": b"GRAY", "LA": b"GRAY", "I;16": b"GRAY", "CMYK": b"CMYK"}
    space = spaces.get(mode, b"RGB ")
    same = space == spaces.get(photo.mode, b"RGB ")
    return photo.icc if photo.icc and (same or photo.icc[16:20] == space) else None


def _pack_chunk(kind: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)


def _png_chunks(photo: Photo) -> list[Any]:
    """Return the photo's text and colour chunks, as in Pillow's ``PngInfo``."""
    return photo.options["pnginfo"].chunks if "pnginfo" in photo.options else []


def _encode_png_16bit(photo: Photo, pixels: Native, xmp: bytes | None) -> bytes:
    """Encode 16-bit channels as PNG, which Pillow does not support."""
    height, width, channels = pixels.shape
    color_type = {2: 4, 3: 2, 4: 6}[channels]
    parts = [_pack_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, color_type, 0, 0, 0))]
    if photo.icc:
        parts.append(_pack_chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(photo.icc)))
    parts += [
        _pack_chunk(n[0], n[1]) for n in _png_chunks(photo) if not (photo.icc and n[0] == b"sRGB")
    ]
    if "dpi" in photo.options:
        x, y = (int(v / 0.0254 + 0.5) for v in photo.options["dpi"])
        parts.append(_pack_chunk(b"pHYs", struct.pack(">IIB", x, y, 1)))
    if photo.exif:
        parts.append(_pack_chunk(b"eXIf", photo.exif.removeprefix(PREFIX)))
    if xmp:
        parts.append(_pack_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp))
    if photo.resources:
        name, text = (part.encode("ascii") for part in to_png_text(photo.resources))
        parts.append(_pack_chunk(b"zTXt", name + b"\0\0" + zlib.compress(text)))
    # Each row: filter type 1 (Sub), then differences to the pixel on the left.
    rows = pixels.astype(">u2").reshape(height, -1).view(np.uint8)
    filtered = np.ones((height, 1 + rows.shape[1]), np.uint8)
    filtered[:, 1:] = rows
    filtered[:, 1 + 2 * channels :] -= rows[:, : -2 * channels]
    parts.append(_pack_chunk(b"IDAT", zlib.compress(filtered.tobytes(), _ZLIB_LEVEL)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + _pack_chunk(b"IEND", b"")


def _encode_tiff_16bit(photo: Photo, pixels: Native) -> bytes:
    """Encode 16-bit channels as TIFF by tifffile; Pillow does not support them."""
    import tifffile

    if photo.mode == "LA":  # Few programs read it: written as RGBA.
        pixels = pixels[:, :, [0, 0, 0, 1]]
    dpi = photo.options.get("dpi")
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        pixels,
        photometric="separated" if photo.mode == "CMYK" else "rgb",
        compression=None if photo.options.get("compression") == "raw" else "zlib",
        iccprofile=_icc_profile(photo, "CMYK" if photo.mode == "CMYK" else "RGB"),
        extrasamples=["unassalpha"] if photo.mode in ("LA", "RGBA") else None,
        resolution=dpi,
        resolutionunit=2 if dpi else None,
        software=False,
        metadata=None,
    )
    return buffer.getvalue()


def _add_metadata_to_tiff(data: bytes, photo: Photo, xmp: bytes | None) -> bytes:
    extra = to_tiff_tags(photo.resources) if photo.resources else {}
    return add_to_tiff(data, photo.exif, extra | ({_XMP_TAG: xmp} if xmp else {}))


def _bmp_with_alpha(data: bytes) -> bytes:
    """Extend a 32-bit BMP's header to version 4, which declares its alpha channel."""
    fields = list(struct.unpack_from("<2sIHHIIiiHHIIiiII", data))
    extension = struct.pack("<4I4s48x", 0xFF0000, 0xFF00, 0xFF, 0xFF000000, b"BGRs")
    fields[1] += len(extension)  # Size of the file.
    fields[4] += len(extension)  # Offset of the pixels.
    fields[5] += len(extension)  # Size of the header.
    fields[10] = 3  # BI_BITFIELDS.
    return struct.pack("<2sIHHIIiiHHIIiiII", *fields) + extension + data[54:]


def write_file(path: Path, data: bytes, *, overwrite: bool = False) -> None:
    """Write a file atomically: it appears complete, or not at all.

    Parameters
    ----------
    path
        Path of the file; its folder is created if missing.
    data
        Content of the file.
    overwrite
        Replace an existing file.

    Raises
    ------
    PhotoError
        If it cannot be written, or exists already.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not overwrite and os.path.lexists(path):
            raise PhotoError(f"{path}: exists; use `overwrite`, `skip_existing` or another `out`")
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise PhotoError(f"{path}: cannot be written ({error.strerror or error})") from None
