"""How a photo was encoded, so that its edit can be encoded alike."""

from __future__ import annotations

import re
from typing import Any

from PIL import Image, JpegImagePlugin, PngImagePlugin

from faceflex.photo.parts import png_chunks, riff_chunk_ids

_LOSSLESS_TIFF = ("raw", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits", "lzma")
_ABOUT_COLOUR = (b"gAMA", b"cHRM", b"sRGB", b"cICP")
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_HEADER = 1 << 16  # Bytes at the start of an AVIF, in which its settings stand.


def encoding_options(image: Image.Image, data: bytes, mode: str) -> dict[str, Any]:
    """Return how a file was encoded.

    Parameters
    ----------
    image, data
        The picture and its file.
    mode
        Of its pixels as they are kept.

    Returns
    -------
    What Pillow's ``save`` takes, and ``palette``: whether the colours stood in one.
    """
    options: dict[str, Any] = {}
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        if image.quantization:  # Lossless ones have none.
            options["qtables"] = image.quantization
        options["progressive"] = bool(image.info.get("progressive"))
        if mode == "RGB":
            # Pillow cannot write rare samplings; full colour loses nothing of them.
            options["subsampling"] = max(JpegImagePlugin.get_sampling(image), 0)
        if image.info.get("comment"):
            options["comment"] = image.info["comment"]
    elif image.format == "PNG":
        options["pnginfo"] = _png_notes(data)
        options["palette"] = image.mode == "P"
    elif image.format == "WEBP":
        options["lossless"] = b"VP8L" in (data[12:16], *riff_chunk_ids(data))
    elif image.format == "TIFF":
        compression = image.info.get("compression", "raw")
        known = compression in _LOSSLESS_TIFF
        options["compression"] = compression if known else "tiff_adobe_deflate"
    elif image.format == "AVIF" and mode != "L":
        options["subsampling"] = _avif_settings(data)[1]
    elif image.format == "HEIF" and mode != "L":
        options["chroma"] = image.info.get("chroma", 420)
    dpi = image.info.get("dpi")
    if dpi and image.format in ("JPEG", "PNG", "TIFF", "BMP"):
        density = tuple(float(v) for v in dpi)
        if all(1 < v < 65536 for v in density):  # 1 stands for a shape of pixels, or for nothing.
            options["dpi"] = density
    return options


def plain(options: dict[str, Any]) -> dict[str, Any]:
    """Return options without what is said of the photo: comments and texts."""
    kept = {k: v for k, v in options.items() if k not in ("comment", "pnginfo")}
    if "pnginfo" in options:
        kept["pnginfo"] = PngImagePlugin.PngInfo()
        for note in options["pnginfo"].chunks:
            if note[0] in _ABOUT_COLOUR:
                kept["pnginfo"].add(*note[:2])
    return kept


def bit_depth_of(image: Image.Image, data: bytes) -> int:
    """Return the bits of a channel of an AVIF or HEIC file; 8 for others."""
    if image.format == "AVIF":
        return _avif_settings(data)[0]
    return int(image.info.get("bit_depth", 8)) if image.format == "HEIF" else 8


def _avif_settings(data: bytes) -> tuple[int, str]:
    """Return bits and sampling of an AVIF, from its first configuration that has colours."""
    for found in re.finditer(rb"av1C\x81.(.)", data[:_HEADER], re.DOTALL):
        (flags,) = found[1]
        if not flags & 0x10:  # Only light, as alpha has.
            depth = 12 if flags & 0x20 else 10 if flags & 0x40 else 8
            return depth, {0xC: "4:2:0", 0x8: "4:2:2"}.get(flags & 0xC, "4:4:4")
    return 8, "4:2:0"


def _png_notes(data: bytes) -> PngImagePlugin.PngInfo:
    """Return a PNG's texts, and what it says of its colours, but no EXIF, XMP and IPTC."""
    kept = PngImagePlugin.PngInfo()
    for kind, body in png_chunks(data):
        apart = body.startswith((b"XML:com.adobe.xmp\0", b"Raw profile type "))
        if kind in _ABOUT_COLOUR or (kind in _TEXTS and not apart):
            kept.add(kind, body)
    return kept
