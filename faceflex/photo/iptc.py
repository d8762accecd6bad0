"""IPTC-IIM and the other image resources that Photoshop began with: kept, but for old pictures.

Resources are ``8BIM`` blocks: in a JPEG's APP13 segments, in a TIFF's tags and as text in a PNG.
Number 0x0404 holds IPTC-IIM, whose data sets start with 0x1C each
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
"""Tags of a TIFF for both."""

_IPTC = 0x0404
_HEAD = b"Photoshop 3.0\0"
_SIGNATURES = (b"8BIM", b"MeSa", b"AgHg", b"PHUT", b"DCSR")
# Thumbnails, and what stands elsewhere in a file too: profile, EXIF, XMP.
_GONE = (0x0409, 0x040C, 0x040F, 0x0422, 0x0423, 0x0424)
_PATHS = range(0x07D0, 0x0BB8)  # Outlines over the picture, which do not turn with it.
_PREVIEW = ((2, 200), (2, 201), (2, 202))
_PNG_TEXTS = ("Raw profile type iptc", "Raw profile type 8bim")
_SEGMENT = 65533


def read_resources(image: Image.Image, data: bytes, turned: bool) -> bytes | None:
    """Return a picture's resources for its edited copy.

    Parameters
    ----------
    image, data
        The picture, with its pixels loaded, and its file.
    turned
        Whether its copy is turned upright.

    Returns
    -------
    ``8BIM`` blocks without pictures of the photo unedited; None when there are none.
    """
    found = b""
    if image.format == "JPEG":
        bodies = (data[at + 4 : end] for m, at, end in jpeg_segments(data) if m == 0xED)
        found = b"".join(b.removeprefix(_HEAD) for b in bodies if b.startswith(_HEAD))
    elif image.format == "TIFF":
        found = tag_bytes(data, TIFF_RESOURCES) or b""
        if iim := tag_bytes(data, TIFF_IPTC):
            if iim[:1] != b"\x1c" and iim[3:4] == b"\x1c":  # Written as numbers of 4 bytes.
                iim = b"".join(iim[i : i + 4][::-1] for i in range(0, len(iim), 4))
            others = (_block(s, n, t, d) for s, n, t, d in _split(found) if n != _IPTC)
            found = b"".join((_block(b"8BIM", _IPTC, b"\0\0", iim), *others))
    elif image.format == "PNG":
        found = b"".join(_from_png_text(image.info.get(name)) for name in _PNG_TEXTS)
    kept = b"".join(
        _block(sign, number, title, _without_preview(body) if number == _IPTC else body)
        for sign, number, title, body in _split(found)
        if number not in _GONE and not (turned and number in _PATHS)
    )
    return kept or None


def add_to_jpeg(data: bytes, resources: bytes) -> bytes:
    """Return a JPEG with resources, in as many APP13 segments as they need."""
    place = 2
    for marker, _, end in jpeg_segments(data):
        if marker not in (0xE0, 0xE1):
            break
        place = end
    room, parts, now = _SEGMENT - len(_HEAD), [], b""
    for sign, number, title, body in _split(resources):
        block = _block(sign, number, title, body)
        if now and len(now) + len(block) > room:  # Some readers stumble over a head in two parts.
            parts.append(now)
            now = b""
        now += block
        while len(now) > room:
            parts.append(now[:room])
            now = now[room:]
    segments = (
        struct.pack(">BBH", 0xFF, 0xED, 2 + len(_HEAD) + len(part)) + _HEAD + part
        for part in (*parts, now)
    )
    return b"".join((data[:place], *segments, data[place:]))


def to_tiff_tags(resources: bytes) -> dict[int, bytes]:
    """Return the tags that hold resources in a TIFF."""
    iim, others = bytearray(), bytearray()
    for sign, number, title, body in _split(resources):
        if number == _IPTC:
            iim += body
        else:
            others += _block(sign, number, title, body)
    return {tag: bytes(v) for tag, v in ((TIFF_IPTC, iim), (TIFF_RESOURCES, others)) if v}


def to_png_text(resources: bytes) -> tuple[str, str]:
    """Return the name and the content of the text that holds resources in a PNG."""
    digits = resources.hex()
    lines = "\n".join(digits[i : i + 72] for i in range(0, len(digits), 72))
    return _PNG_TEXTS[0], f"\niptc\n{len(resources):8}\n{lines}\n"


def _from_png_text(text: object) -> bytes:
    if not isinstance(text, str):
        return b""
    try:
        found = bytes.fromhex("".join(text.split("\n")[3:]))
    except ValueError:
        return b""
    return _block(b"8BIM", _IPTC, b"\0\0", found) if found[:1] == b"\x1c" else found


def _split(block: bytes) -> Iterator[tuple[bytes, int, bytes, bytes]]:
    """Yield signature, number, stored name and content of resources, up to the first bad one."""
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


def _block(sign: bytes, number: int, title: bytes, body: bytes) -> bytes:
    head = sign + struct.pack(">H", number) + title + struct.pack(">I", len(body))
    return head + body + b"\0" * (len(body) % 2)


def _without_preview(iim: bytes) -> bytes:
    """Return IPTC-IIM without its preview and filling; what cannot be read stays as it is."""
    out, at = bytearray(), 0
    while at + 5 <= len(iim) and iim[at] == 0x1C:
        (length,) = struct.unpack_from(">H", iim, at + 3)
        end = at + 5 + length
        if length & 0x8000:  # The length of a length.
            size = length & 0x7FFF
            end = at + 5 + size + int.from_bytes(iim[at + 5 : at + 5 + size], "big")
        if (iim[at + 1], iim[at + 2]) not in _PREVIEW:
            out += iim[at:end]
        at = end
    return bytes(out + iim[at:] if iim[at:].strip(b"\0") else out)
