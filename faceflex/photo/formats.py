"""The formats that are read and written back, and what some of them need."""

from __future__ import annotations

from pathlib import Path

from PIL import features

from faceflex.errors import UsageError

FORMATS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "BMP": (".bmp", ".dib"),
    "AVIF": (".avif",),
    "HEIF": (".heic", ".heif", ".hif"),
}
"""Formats that are read and written, and their suffixes."""

_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs")
_AVIF_BRANDS = (b"avif", b"avis")


def format_from_brands(data: bytes) -> str | None:
    """Return ``AVIF`` or ``HEIF`` for the start of such a file, by its brands; else None."""
    if data[4:8] != b"ftyp":
        return None
    end = min(int.from_bytes(data[:4], "big"), 256)
    brands = [data[at : at + 4] for at in (8, *range(16, end, 4))]
    for name in brands:
        if name in _AVIF_BRANDS:
            return "AVIF"
        if name in _HEIF_BRANDS:
            return "HEIF"
    return "HEIF" if {b"mif1", b"msf1"} & set(brands) else None


def missing_support(form: str) -> str | None:
    """Return what to do to have a format, in words; None when it is there.

    HEIC's plug-in is loaded here, so that a start without HEIC does not wait for it.
    """
    if form == "AVIF" and not features.check("avif"):
        return "AVIF needs a newer Pillow (pip install --upgrade pillow)"
    if form == "HEIF":
        try:
            import pillow_heif
        except ImportError:
            return "HEIC needs a plug-in (pip install 'faceflex[heic]')"
        pillow_heif.register_heif_opener()
    return None


def format_for(path: Path) -> str:
    """Return the format that a file name asks for.

    Raises
    ------
    UsageError
        If its suffix is not one that can be written, or not with what is installed.
    """
    suffix = path.suffix.lower()
    for name, suffixes in FORMATS.items():
        if suffix in suffixes:
            if missing := missing_support(name):
                raise UsageError(f"{path}: {missing}; or write another format")
            return name
    known = ", ".join(s[0] for s in FORMATS.values())
    raise UsageError(f"{path}: cannot tell the format from {suffix!r}; use one of {known}")
