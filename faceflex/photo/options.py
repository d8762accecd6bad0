"""Encoding parameters of a photo's file, so that its edit is encoded with the same ones."""

from __future__ import annotations

import re
from typing import Any

from PIL import Image, JpegImagePlugin, PngImagePlugin

from faceflex.photo.parts import png_chunks, riff_chunk_ids

_LOSSLESS_TIFF = ("raw", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits", "lzma")
_COLOR_CHUNKS = (b"gAMA", b"cHRM", b"sRGB", b"cICP")
_TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt")
_HEADER_BYTES = 1 << 16  # Of an AVIF, searched for its codec configuration.


def encoding_options(image: Image.Image, data: bytes, mode: str) -> dict[str, Any]:
    """Return the encoding parameters of a file.

    Parameters
    ----------
    image, data
        The image and the content of its file.
    mode
        Mode of the decoded pixels.

    Returns
    -------
    Keyword arguments of Pillow's ``save``, and ``palette``: whether colours were indexed.
    """
    options: dict[str, Any] = {}
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        if image.quantization:  # Lossless JPEG has no tables.
            options["qtables"] = image.quantization
        options["progressive"] = bool(image.info.get("progressive"))
        if mode == "RGB":
            # Pillow cannot write rare subsamplings; 4:4:4 loses nothing.
            options["subsampling"] = max(JpegImagePlugin.get_sampling(image), 0)
        if image.info.get("comment"):
            options["comment"] = image.info["comment"]
    elif image.format == "PNG":
        options["pnginfo"] = _png_info(data)
        options["palette"] = image.mode == "P"
    elif image.format == "WEBP":
        options["lossless"] = b"VP8L" in (data[12:16], *riff_chunk_ids(data))
    elif image.format == "TIFF":
        compression = image.info.get("compression", "raw")
        lossless = compression in _LOSSLESS_TIFF
        options["compression"] = compression if lossless else "tiff_adobe_deflate"
    elif image.format == "AVIF" and mode != "L":
        options["subsampling"] = _avif_settings(data)[1]
    elif image.format == "HEIF" and mode != "L":
        options["chroma"] = image.info.get("chroma", 420)
    dpi = image.info.get("dpi")
    if dpi and image.format in ("JPEG", "PNG", "TIFF", "BMP"):
        density = tuple(float(v) for v in dpi)
        if all(1 < v < 65536 for v in density):  # 1 encodes an aspect ratio, or unknown.
            options["dpi"] = density
    return options


def without_texts(options: dict[str, Any]) -> dict[str, Any]:
    """Return encoding options without comments and texts, which are metadata."""
    encoding = {k: v for k, v in options.items() if k not in ("comment", "pnginfo")}
    if "pnginfo" in options:
        encoding["pnginfo"] = PngImagePlugin.PngInfo()
        for chunk in options["pnginfo"].chunks:
            if chunk[0] in _COLOR_CHUNKS:
                encoding["pnginfo"].add(*chunk[:2])
    return encoding


def bit_depth_of(image: Image.Image, data: bytes) -> int:
    """Return the bits per channel of an AVIF or HEIC file; 8 for other formats."""
    if image.format == "AVIF":
        return _avif_settings(data)[0]
    return int(image.info.get("bit_depth", 8)) if image.format == "HEIF" else 8


def _avif_settings(data: bytes) -> tuple[int, str]:
    """Return bit depth and subsampling of an AVIF, by its first codec configuration in colour."""
    for match in re.finditer(rb"av1C\x81.(.)", data[:_HEADER_BYTES], re.DOTALL):
        (flags,) = match[1]
        if not flags & 0x10:  # Monochrome: alpha.
            depth = 12 if flags & 0x20 else 10 if flags & 0x40 else 8
            return depth, {0xC: "4:2:0", 0x8: "4:2:2"}.get(flags & 0xC, "4:4:4")
    return 8, "4:2:0"


def _png_info(data: bytes) -> PngImagePlugin.PngInfo:
    """Return a PNG's text and colour chunks, without EXIF, XMP and IPTC."""
    info = PngImagePlugin.PngInfo()
    for kind, body in png_chunks(data):
        profile = body.startswith((b"XML:com.adobe.xmp\0", b"Raw profile type "))
        if kind in _COLOR_CHUNKS or (kind in _TEXT_CHUNKS and not profile):
            info.add(kind, body)
    return info
