"""Container parsing: JPEG segments, PNG and RIFF (WebP) chunks, boxes of HEIF and AVIF."""

from __future__ import annotations

import struct
from collections.abc import Iterator

_STANDALONE = (0x01, *range(0xD0, 0xD9))  # Markers without a length.
_START_OF_FRAME = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
_UNSUPPORTED = (*range(0xC5, 0xC8), *range(0xCB, 0xD0), 0xF7)  # Frames Pillow cannot decode.
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start (of the marker) and end of each segment before a JPEG's first scan.

    Stops at a segment that exceeds the file.
    """
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # A fill byte.
            at += 1
            continue
        if marker in (_START_OF_SCAN, _END_OF_IMAGE):
            return
        end = at + 2
        if marker not in _STANDALONE:
            end += int.from_bytes(data[end : end + 2], "big")
        if end > len(data) or (marker not in _STANDALONE and end < at + 4):
            return
        yield marker, at, end
        at = end


def unsupported_jpeg(data: bytes) -> bool:
    """Return whether a JPEG has a frame that Pillow cannot decode: 12 bits, JPEG-LS and others."""
    return data[:2] == b"\xff\xd8" and any(
        marker in _UNSUPPORTED or (marker in _START_OF_FRAME and data[at + 4 : at + 5] != b"\x08")
        for marker, at, _ in jpeg_segments(data)
    )


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield type and data of each chunk of a PNG."""
    at = 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        at += 12 + length


def riff_chunk_ids(data: bytes) -> Iterator[bytes]:
    """Yield the FourCC of each chunk of a WebP file."""
    at = 12
    while at + 8 <= len(data):
        yield data[at : at + 4]
        at += 8 + int.from_bytes(data[at + 4 : at + 8], "little")
        at += at % 2


def bmff_boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield type and first 64 bytes of each top-level box of an ISO media file (HEIF, AVIF)."""
    at = 0
    while at + 8 <= len(data):
        size, box_type = struct.unpack_from(">I4s", data, at)
        header = 8
        if size == 1 and at + 16 <= len(data):
            (size,) = struct.unpack_from(">Q", data, at + 8)
            header = 16
        end = at + size if size else len(data)
        if end < at + header:
            return
        yield box_type, data[at + header : min(end, at + header + 64)]
        at = end
