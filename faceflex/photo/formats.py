"""File formats that are read and written, and the plug-ins that some of them need."""

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
"""File name suffixes by format, as Pillow names formats."""

_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs")
_AVIF_BRANDS = (b"avif", b"avis")


def format_from_brands(data: bytes) -> str | None:
    """Return ``AVIF`` or ``HEIF`` by the brands of an ISO media file (``ftyp``); else None."""
    if data[4:8] != b"ftyp":
        return None
    end = min(int.from_bytes(data[:4], "big"), 256)
    brands = [data[at : at + 4] for at in (8, *range(16, end, 4))]
    for code in brands:
        if code in _AVIF_BRANDS:
            return "AVIF"
        if code in _HEIF_BRANDS:
            return "HEIF"
    return "HEIF" if {b"mif1", b"msf1"} & set(brands) else None


def missing_support(file_format: str) -> str | None:
    """Return what to install for a format, as a sentence; None when it is supported.

    Registers the HEIC plug-in lazily, which keeps start-up fast.
    """
    if file_format == "AVIF" and not features.check("avif"):
        return "AVIF needs a newer Pillow (pip install --upgrade pillow)"
    if file_format == "HEIF":
        try:
            import pillow_heif
        except ImportError:
            return "HEIC needs a plug-in (pip install 'faceflex[heic]')"
        pillow_heif.register_heif_opener()
    return None


def format_for(path: Path) -> str:
    """Return the format for a file name's suffix.

    Raises
    ------
    UsageError
        If the suffix is unknown, or its format not supported by the installed packages.

    Examples
    --------
    >>> format_for(Path("friend.jpeg")), format_for(Path("friend.PNG"))
    ('JPEG', 'PNG')
    """
    suffix = path.suffix.lower()
    for name, suffixes in FORMATS.items():
        if suffix in suffixes:
            if missing := missing_support(name):
                raise UsageError(f"{path}: {missing}; or write another format")
            return name
    known = ", ".join(s[0] for s in FORMATS.values())
    raise UsageError(f"{path}: cannot tell the format from {suffix!r}; use one of {known}")
