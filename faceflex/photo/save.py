"""Write a photo back: same format, same metadata, whole or not at all."""

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
from faceflex.photo.exif import PREFIX, add_to_tiff, shrink_exif, without_orientation
from faceflex.photo.formats import missing_support
from faceflex.photo.iptc import add_to_jpeg, to_png_text, to_tiff_tags
from faceflex.photo.load import Photo
from faceflex.photo.metadata import JPEG_EXIF, shrink_xmp
from faceflex.photo.pixels import Native, to_uint8

QUALITY = 95
"""JPEG and WebP quality where the photo itself gives none (it came in another format)."""
NEW_QUALITY = {"AVIF": 90, "HEIF": 80}
"""Quality of formats whose files do not say theirs: what a second encoding loses is not seen."""

_XMP_TAG = 700
_PNG_LEVEL = 4  # zlib: half the time of Pillow's default for a few per cent of size.


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

    Raises
    ------
    PhotoError
        If the format cannot hold a picture of this size, or needs what is not installed.
    """
    if missing := missing_support(target or photo.format):
        raise PhotoError(f"{photo.name}: {missing}; or write another format")
    pixels = photo.converter.apply_edit(photo.native, photo.rgb, rgb)
    form, xmp = target or photo.format, xmp or photo.xmp
    try:
        if photo.is_16bit and photo.mode in _DEEP.get(form, ()):
            if form == "PNG":
                return _deep_png(photo, pixels, xmp)
            return _tagged_tiff(_deep_tiff(photo, pixels), photo, xmp)
        picture = _picture(photo, pixels, rgb, form)
        data = _encoded(picture, form, _save_options(photo, form, picture, xmp))
        if form == "TIFF":
            return _tagged_tiff(data, photo, xmp)
        if form == "JPEG" and photo.resources:
            return add_to_jpeg(data, photo.resources)
        return _bmp_with_alpha(data) if (form, picture.mode) == ("BMP", "RGBA") else data
    except MemoryError:
        raise PhotoError(f"{photo.name}: too large for this machine's memory") from None
    except Exception as error:
        # Encoders raise several kinds, on sizes that a format cannot hold above all.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise PhotoError(f"{photo.name}: cannot be encoded as {form} ({reason})") from error


def _encoded(picture: Image.Image, form: str, options: dict[str, Any]) -> bytes:
    """Encode a picture into a real file, in memory where the system has such.

    Pillow lets other threads go on only while it writes to one.
    """
    made = getattr(os, "memfd_create", None)
    file = os.fdopen(made("picture"), "w+b") if made else tempfile.TemporaryFile()  # noqa: SIM115
    with file:
        picture.save(file, form, **options)
        file.seek(0)
        return file.read()


_HOLDS = {
    "JPEG": ("L", "RGB", "CMYK"),
    "PNG": ("L", "LA", "RGB", "RGBA"),
    "WEBP": ("RGB", "RGBA"),
    "TIFF": ("L", "LA", "RGB", "RGBA", "CMYK"),
    "BMP": ("L", "RGB", "RGBA"),
    "AVIF": ("L", "RGB", "RGBA"),
    "HEIF": ("L", "RGB", "RGBA"),
}
_DEEP = {"PNG": ("LA", "RGB", "RGBA"), "TIFF": ("LA", "RGB", "RGBA", "CMYK")}
"""Kinds of 16-bit colour that are written here; Pillow writes 16-bit gray, and nothing else."""


def _picture(photo: Photo, pixels: Native, rgb: NDArray[np.uint8], form: str) -> Image.Image:
    """Return what to encode: the file's own kind of pixels, or the nearest that a format holds."""
    if not (photo.mode == "L" and form in _DEEP):
        pixels = to_uint8(pixels)
    if form == "BMP" and photo.mode in ("RGB", "RGBA"):  # Which knows sRGB alone.
        pixels = np.concatenate([rgb, pixels[:, :, 3:]], axis=2)
    if photo.mode in _HOLDS[form]:
        picture = Image.fromarray(pixels, "CMYK" if photo.mode == "CMYK" else None)
        same = form == photo.format and photo.options.get("palette")
        return _with_palette(picture) if same else picture
    if photo.mode == "LA" and form == "JPEG":
        return Image.fromarray(np.ascontiguousarray(pixels[:, :, 0]))
    if photo.mode == "LA":
        return Image.fromarray(np.dstack([rgb, pixels[:, :, 1]]))
    if photo.mode == "RGBA":
        return Image.fromarray(np.ascontiguousarray(pixels[:, :, :3]))
    return Image.fromarray(rgb)


def _with_palette(picture: Image.Image) -> Image.Image:
    """Return an RGB or RGBA picture with a palette, should it have 256 colours at most."""
    found = picture.getcolors(256)
    if found is None:
        return picture
    colours = np.array(sorted(c for _, c in found), np.uint8)  # type: ignore[type-var]
    width = 1 << 8 * np.arange(colours.shape[1])[::-1]
    codes = colours @ width
    places = np.searchsorted(codes, np.asarray(picture) @ width).astype(np.uint8)
    out = Image.fromarray(places, "P")
    out.putpalette(colours[:, :3].tobytes())
    if picture.mode == "RGBA":
        out.info["transparency"] = colours[:, 3].tobytes()
    return out


def _save_options(
    photo: Photo, form: str, picture: Image.Image, xmp: bytes | None
) -> dict[str, Any]:
    """Return Pillow's save options: the photo's own encoding and its metadata."""
    same = form == photo.format
    options: dict[str, Any] = dict(photo.options) if same else {}
    options.pop("palette", None)
    if "dpi" in photo.options:
        options["dpi"] = photo.options["dpi"]
    icc = _profile(photo, picture.mode)
    if icc and form != "BMP":
        options["icc_profile"] = icc
    if photo.exif and form in ("PNG", "WEBP"):
        options["exif"] = photo.exif
    if form == "JPEG":
        if "qtables" not in options:
            options["quality"] = QUALITY
        options["exif"] = shrink_exif(photo.exif or b"", JPEG_EXIF) or b""
        options["xmp"] = shrink_xmp(xmp) if xmp else None
    elif form == "PNG":
        options["compress_level"] = _PNG_LEVEL
        info = PngImagePlugin.PngInfo()
        info.chunks += _png_notes(photo)
        options["pnginfo"] = info
        if xmp:
            info.add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8", "replace"))
        if photo.resources:
            info.add_text(*to_png_text(photo.resources), zip=True)
    elif form == "WEBP":
        options.update(quality=QUALITY, exact=True, xmp=xmp or b"")
    elif form in ("AVIF", "HEIF"):
        options.update(quality=NEW_QUALITY[form], xmp=xmp)
        if photo.exif:
            options["exif"] = without_orientation(photo.exif).removeprefix(PREFIX)
    return options


def _profile(photo: Photo, mode: str) -> bytes | None:
    """Return the photo's profile for pixels of a mode: it goes when their kind changes."""
    kinds = {"L": b"GRAY", "LA": b"GRAY", "I;16": b"GRAY", "CMYK": b"CMYK"}
    kind = kinds.get(mode, b"RGB ")
    same = kind == kinds.get(photo.mode, b"RGB ")
    return photo.icc if photo.icc and (same or photo.icc[16:20] == kind) else None


def _chunk(kind: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)


def _png_notes(photo: Photo) -> list[Any]:
    """Return a PNG's texts and notes on colour, as Pillow keeps chunks."""
    return photo.options["pnginfo"].chunks if "pnginfo" in photo.options else []


def _deep_png(photo: Photo, pixels: Native, xmp: bytes | None) -> bytes:
    """Encode 16-bit colour as PNG, which Pillow cannot."""
    height, width, channels = pixels.shape
    kind = {2: 4, 3: 2, 4: 6}[channels]
    parts = [_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0))]
    if photo.icc:
        parts.append(_chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(photo.icc)))
    parts += [_chunk(n[0], n[1]) for n in _png_notes(photo) if not (photo.icc and n[0] == b"sRGB")]
    if "dpi" in photo.options:
        x, y = (int(v / 0.0254 + 0.5) for v in photo.options["dpi"])
        parts.append(_chunk(b"pHYs", struct.pack(">IIB", x, y, 1)))
    if photo.exif:
        parts.append(_chunk(b"eXIf", photo.exif.removeprefix(PREFIX)))
    if xmp:
        parts.append(_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp))
    if photo.resources:
        name, text = (part.encode("ascii") for part in to_png_text(photo.resources))
        parts.append(_chunk(b"zTXt", name + b"\0\0" + zlib.compress(text)))
    # Each row: filter type 1, then differences to the pixel on the left.
    rows = pixels.astype(">u2").reshape(height, -1).view(np.uint8)
    filtered = np.ones((height, 1 + rows.shape[1]), np.uint8)
    filtered[:, 1:] = rows
    filtered[:, 1 + 2 * channels :] -= rows[:, : -2 * channels]
    parts.append(_chunk(b"IDAT", zlib.compress(filtered.tobytes(), _PNG_LEVEL)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + _chunk(b"IEND", b"")


def _deep_tiff(photo: Photo, pixels: Native) -> bytes:
    """Encode 16-bit colour as TIFF, which Pillow cannot but tifffile can."""
    import tifffile

    if photo.mode == "LA":  # Which few programs read.
        pixels = pixels[:, :, [0, 0, 0, 1]]
    dpi = photo.options.get("dpi")
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        pixels,
        photometric="separated" if photo.mode == "CMYK" else "rgb",
        compression=None if photo.options.get("compression") == "raw" else "zlib",
        iccprofile=_profile(photo, "CMYK" if photo.mode == "CMYK" else "RGB"),
        extrasamples=["unassalpha"] if photo.mode in ("LA", "RGBA") else None,
        resolution=dpi,
        resolutionunit=2 if dpi else None,
        software=False,
        metadata=None,
    )
    return buffer.getvalue()


def _tagged_tiff(data: bytes, photo: Photo, xmp: bytes | None) -> bytes:
    extra = to_tiff_tags(photo.resources) if photo.resources else {}
    return add_to_tiff(data, photo.exif, extra | ({_XMP_TAG: xmp} if xmp else {}))


def _bmp_with_alpha(data: bytes) -> bytes:
    """Give a 32-bit BMP the header that says that its fourth channel is alpha."""
    fields = list(struct.unpack_from("<2sIHHIIiiHHIIiiII", data))
    more = struct.pack("<4I4s48x", 0xFF0000, 0xFF00, 0xFF, 0xFF000000, b"BGRs")
    fields[1] += len(more)  # Of the file.
    fields[4] += len(more)  # Of all before the pixels.
    fields[5] += len(more)  # Of the header.
    fields[10] = 3  # Channels are given by masks.
    return struct.pack("<2sIHHIIiiHHIIiiII", *fields) + more + data[54:]


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
            raise PhotoError(f"{path}: exists; use `overwrite`, `skip_existing` or another `out`")
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise PhotoError(f"{path}: cannot be written ({error.strerror or error})") from None
