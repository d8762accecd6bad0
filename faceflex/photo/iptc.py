"""Photoshop image resources, among them IPTC-IIM: preserved, without previews of the photo.

Image resource blocks (``8BIM``) are stored in APP13 segments of JPEG, in tags of TIFF and as text
in PNG. Number 0x0404 contains IPTC-IIM, a sequence of data sets that start with 0x1C
(https://www.iptc.org/std/IIM/4.2/specification/IIMV4.2.pdf;
https://www.adobe.com/devnet-apps/photoshop/fileformatashtml/).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from PIL import Image

from faceflex.photo.exif import tag_bytes
from faceflex.photo.parts import jpeg_segments

TIFF_IPTC, TIFF_RESOURCES = 33723, 34377
"""TIFF tags of IPTC-IIM and of the other resources."""

_IPTC = 0x0404
_HEADER = b"Photoshop 3.0\0"
_SIGNATURES = (b"8BIM", b"MeSa", b"AgHg", b"PHUT", b"DCSR")
# Thumbnails, and what a file stores elsewhere too: profile, EXIF, XMP.
_DROPPED = (0x0409, 0x040C, 0x040F, 0x0422, 0x0423, 0x0424)
_CLIPPING_PATHS = range(0x07D0, 0x0BB8)  # Not valid for rotated pixels.
_PREVIEW_SETS = ((2, 200), (2, 201), (2, 202))
_PNG_TEXTS = ("Raw profile type iptc", "Raw profile type 8bim")
_MAX_SEGMENT = 65533


def read_resources(image: Image.Image, data: bytes, rotated: bool) -> bytes | None:
    """Return an image's resources, for its edited copy.

    Parameters
    ----------
    image, data
        The image, with its pixels loaded, and the content of its file.
    rotated
        Whether its orientation is not 1.

    Returns
    -------
    ``8BIM`` blocks without previews of the unedited photo; None when there are none.
    """
    blocks = b""
    if image.format == "JPEG":
        bodies = (data[at + 4 : end] for m, at, end in jpeg_segments(data) if m == 0xED)
        blocks = b"".join(b.removeprefix(_HEADER) for b in bodies if b.startswith(_HEADER))
    elif image.format == "TIFF":
        blocks = tag_bytes(data, TIFF_RESOURCES) or b""
        if iim := tag_bytes(data, TIFF_IPTC):
            if iim[:1] != b"\x1c" and iim[3:4] == b"\x1c":  # Byte-swapped as LONG.
                iim = b"".join(iim[i : i + 4][::-1] for i in range(0, len(iim), 4))
            others = (_pack_block(s, n, t, d) for s, n, t, d in _parse_blocks(blocks) if n != _IPTC)
            blocks = b"".join((_pack_block(b"8BIM", _IPTC, b"\0\0", iim), *others))
    elif image.format == "PNG":
        blocks = b"".join(_from_png_text(image.info.get(name)) for name in _PNG_TEXTS)
    preserved = b"".join(
        _pack_block(sign, number, title, _without_preview(body) if number == _IPTC else body)
        for sign, number, title, body in _parse_blocks(blocks)
        if number not in _DROPPED and not (rotated and number in _CLIPPING_PATHS)
    )
    return preserved or None


def add_to_jpeg(data: bytes, resources: bytes) -> bytes:
    """Insert resources into a JPEG, in as many APP13 segments as necessary."""
    place = 2
    for marker, _, end in jpeg_segments(data):
        if marker not in (0xE0, 0xE1):
            break
        place = end
    capacity, parts, part = _MAX_SEGMENT - len(_HEADER), [], b""
    for sign, number, title, body in _parse_blocks(resources):
        block = _pack_block(sign, number, title, body)
        if part and len(part) + len(block) > capacity:  # Some readers fail on split block headers.
            parts.append(part)
            part = b""
        part += block
        while len(part) > capacity:
            parts.append(part[:capacity])
            part = part[capacity:]
    segments = (
        struct.pack(">BBH", 0xFF, 0xED, 2 + len(_HEADER) + len(body)) + _HEADER + body
        for body in (*parts, part)
    )
    return b"".join((data[:place], *segments, data[place:]))


def to_tiff_tags(resources: bytes) -> dict[int, bytes]:
    """Return the TIFF tags for resources."""
    iim, others = bytearray(), bytearray()
    for sign, number, title, body in _parse_blocks(resources):
        if number == _IPTC:
            iim += body
        else:
            others += _pack_block(sign, number, title, body)
    return {tag: bytes(v) for tag, v in ((TIFF_IPTC, iim), (TIFF_RESOURCES, others)) if v}


def to_png_text(resources: bytes) -> tuple[str, str]:
    """Return keyword and text of the PNG text chunk for resources."""
    digits = resources.hex()
    lines = "\n".join(digits[i : i + 72] for i in range(0, len(digits), 72))
    return _PNG_TEXTS[0], f"\niptc\n{len(resources):8}\n{lines}\n"


def _from_png_text(text: object) -> bytes:
    if not isinstance(text, str):
        return b""
    try:
        data = bytes.fromhex("".join(text.split("\n")[3:]))
    except ValueError:
        return b""
    return _pack_block(b"8BIM", _IPTC, b"\0\0", data) if data[:1] == b"\x1c" else data


def _parse_blocks(block: bytes) -> Iterator[tuple[bytes, int, bytes, bytes]]:
    """Yield signature, number, raw name and data of resources, up to the first invalid one."""
    at = 0
    while at + 12 <= len(block) and block[at : at + 4] in _SIGNATURES:
        (number,) = struct.unpack_from(">H", block, at + 4)
        start = at + 6 + (block[at + 6] + 2) // 2 * 2
        if start + 4 > len(block):
            return
        (length,) = struct.unpack_from(">I", block, start)
        if start + 4 + length > len(block):
            return
        body = block[start + 4 : start + 4 + length]
        yield block[at : at + 4], number, block[at + 6 : start], body
        at = start + 4 + length + length % 2


def _pack_block(sign: bytes, number: int, title: bytes, body: bytes) -> bytes:
    head = sign + struct.pack(">H", number) + title + struct.pack(">I", len(body))
    return head + body + b"\0" * (len(body) % 2)


def _without_preview(iim: bytes) -> bytes:
    """Return IPTC-IIM without its preview and padding; an unreadable rest is kept."""
    out, at = bytearray(), 0
    while at + 5 <= len(iim) and iim[at] == 0x1C:
        (length,) = struct.unpack_from(">H", iim, at + 3)
        end = at + 5 + length
        if length & 0x8000:  # Extended data set: the length's own length.
            size = length & 0x7FFF
            end = at + 5 + size + int.from_bytes(iim[at + 5 : at + 5 + size], "big")
        if (iim[at + 1], iim[at + 2]) not in _PREVIEW_SETS:
            out += iim[at:end]
        at = end
    return bytes(out + iim[at:] if iim[at:].strip(b"\0") else out)
