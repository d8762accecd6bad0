"""Content credentials (C2PA): found in a photo, which an edit makes untrue, and signed anew.

The places are those of the C2PA specification 2.1, appendix A
(https://spec.c2pa.org/specifications/specifications/2.1/specs/C2PA_Specification.html).
"""

from __future__ import annotations

from PIL import Image

from faceflex.photo.exif import tag_bytes
from faceflex.photo.metadata import names_credentials
from faceflex.photo.parts import boxes, jpeg_segments, png_chunks, riff_chunks

_TIFF_TAG = 0xCD41
_BOX = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")


def has_credentials(image: Image.Image, data: bytes, xmp: bytes | None) -> bool:
    """Tell whether a photo has content credentials, in its file or, by its XMP, elsewhere."""
    if image.format == "JPEG":
        found = any(
            marker == 0xEB and data[at + 4 : at + 6] == b"JP" and b"c2pa" in data[at:end]
            for marker, at, end in jpeg_segments(data)
        )
    elif image.format == "PNG":
        found = any(kind == b"caBX" for kind, _ in png_chunks(data))
    elif image.format == "WEBP":
        found = b"C2PA" in riff_chunks(data)
    elif image.format == "TIFF":
        found = tag_bytes(data, _TIFF_TAG) is not None
    else:
        found = any(kind == b"uuid" and body.startswith(_BOX) for kind, body in boxes(data))
    return found or names_credentials(xmp)
