"""The parts that picture files are made of: JPEG segments, PNG and WebP chunks, HEIF boxes."""

from __future__ import annotations

import struct
from collections.abc import Iterator

_BARE = (0x01, *range(0xD0, 0xD9))  # Markers without a length.
_FRAMES = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
_RARE = (*range(0xC5, 0xC8), *range(0xCB, 0xD0), 0xF7)  # Hierarchical, arithmetic lossless, LS.
_START_OF_SCAN, _END = 0xDA, 0xD9


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the segments before a JPEG's pixels: marker, start of the marker, end of the segment.

    A segment that claims more than the file has ends the walk.
    """
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # A filler.
            at += 1
            continue
        if marker in (_START_OF_SCAN, _END):
            return
        end = at + 2
        if marker not in _BARE:
            end += int.from_bytes(data[end : end + 2], "big")
        if end > len(data) or (marker not in _BARE and end < at + 4):
            return
        yield marker, at, end
        at = end


def unsupported_jpeg(data: bytes) -> bool:
    """Tell whether a JPEG says that it is of a kind that Pillow cannot read."""
    return data[:2] == b"\xff\xd8" and any(
        marker in _RARE or (marker in _FRAMES and data[at + 4 : at + 5] != b"\x08")
        for marker, at, _ in jpeg_segments(data)
    )


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the kind and the content of each chunk of a PNG."""
    at = 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        at += 12 + length


def riff_chunk_ids(data: bytes) -> Iterator[bytes]:
    """Yield the names of a WebP file's chunks."""
    at = 12
    while at + 8 <= len(data):
        yield data[at : at + 4]
        at += 8 + int.from_bytes(data[at + 4 : at + 8], "little")
        at += at % 2


def bmff_boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the kind and the start (64 bytes at most) of each outermost box of an HEIF file."""
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1 and at + 16 <= len(data):
            (size,) = struct.unpack_from(">Q", data, at + 8)
            head = 16
        end = at + size if size else len(data)
        if end < at + head:
            return
        yield kind, data[at + head : min(end, at + head + 64)]
        at = end
