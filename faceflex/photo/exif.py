"""EXIF as it is stored: mended in place where it can be, so that nothing else in it moves.

EXIF is a small TIFF: directories of entries, some of which point to further directories. Camera
makers keep notes in it whose offsets count from its start; writing all anew would break those.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

PREFIX = b"Exif\0\0"
ORIENTATION = 0x0112
_WIDTHS, _HEIGHTS = (0x0100, 0xA002), (0x0101, 0xA003)
_EXIF, _GPS, _INTEROPERABILITY = 0x8769, 0x8825, 0xA005
_POINTERS = {0: (_EXIF, _GPS), _EXIF: (_INTEROPERABILITY,)}
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_WORDS = _SIZES | {5: 4, 10: 4}  # What a change of byte order turns around.
_SHORT, _LONG = 3, 4
_IPTC = 33723
_DAMAGE = (struct.error, ValueError, OverflowError)
_RESOLUTION = (282, 283, 296)
_BULKY = (0x927C, 0x9286)  # Maker's notes and the user's comment.

DESCRIPTIVE = frozenset(
    (269, 270, 271, 272, ORIENTATION, *_RESOLUTION, 305, 306, 315, 316, 33432, _EXIF, _GPS)
)
"""Tags of a TIFF that describe the photo, not how its pixels are stored."""


@dataclass(frozen=True)
class Entry:
    """One value: its type, its bytes, and where they lie in the file or block."""

    kind: int
    data: bytes
    at: int


Directory: TypeAlias = "dict[int, Entry | Directory]"


@dataclass(frozen=True)
class _Layout:
    """How a TIFF or a BigTIFF stores its directories."""

    order: str
    big: bool = False

    @classmethod
    def of(cls, block: bytes) -> _Layout:
        known = {
            b"II*\0": cls("<"),
            b"MM\0*": cls(">"),
            b"II+\0": cls("<", True),
            b"MM\0+": cls(">", True),
        }
        if block[:4] not in known:
            raise ValueError("not EXIF")
        return known[block[:4]]

    @property
    def number(self) -> str:
        """Format of offsets and counts of values."""
        return self.order + ("Q" if self.big else "I")

    def start(self, block: bytes) -> int:
        return self.unpack(self.number, block, 8 if self.big else 4)

    @staticmethod
    def unpack(form: str, block: bytes, at: int) -> int:
        (value,) = struct.unpack_from(form, block, at)
        return int(value)

    def entries(self, block: bytes, offset: int) -> Iterator[tuple[int, Entry]]:
        """Yield the tags and values of a directory; values that cannot be there are left out.

        So are those after which all together would be longer than the block: they overlap, and a
        small block could ask for any amount of memory.
        """
        room = len(block)
        word = 8 if self.big else 4
        count = self.unpack(self.order + ("Q" if self.big else "H"), block, offset)
        first = offset + (8 if self.big else 2)
        for at in range(first, min(first + count * (4 + 2 * word), len(block)), 4 + 2 * word):
            if at + 4 + 2 * word > len(block):
                return
            tag, kind = struct.unpack_from(self.order + "HH", block, at)
            length = _SIZES.get(kind, 0) * self.unpack(self.number, block, at + 4)
            place = at + 4 + word
            if length > word:
                place = self.unpack(self.number, block, place)
            if 0 < length <= room and place + length <= len(block):
                room -= length
                yield tag, Entry(kind, bytes(block[place : place + length]), place)

    def link(self, block: bytes, offset: int) -> int:
        """Return where a directory says where the next one is."""
        if self.big:
            return offset + 8 + 20 * self.unpack(self.order + "Q", block, offset)
        return offset + 2 + 12 * self.unpack(self.order + "H", block, offset)

    def tree(self, block: bytes, offset: int, group: int = 0) -> Directory:
        """Read a directory with those that it points to."""
        found: Directory = dict(self.entries(block, offset))
        for tag in _POINTERS.get(group, ()):
            entry = found.pop(tag, None)
            if not isinstance(entry, Entry):
                continue
            try:
                below = self.tree(block, self.number_of(entry), tag)
            except _DAMAGE:
                continue
            if below:
                found[tag] = below
        return found

    def number_of(self, entry: Entry) -> int:
        """Return the first whole number of an entry."""
        forms = {1: "B", _SHORT: "H", _LONG: "I", 13: "I"}
        if entry.kind not in forms:
            raise ValueError("not a whole number")
        return self.unpack(self.order + forms[entry.kind], entry.data, 0)

    def whole(self, kind: int, value: int) -> bytes:
        """Return the bytes of a SHORT or LONG."""
        return struct.pack(self.order + ("H" if kind == _SHORT else "I"), value)

    def pack(self, directory: Directory, offset: int) -> bytes:
        """Return a directory, its values and those below it, to stand at ``offset``."""
        body = b""
        after = offset + 2 + 12 * len(directory) + 4
        head = struct.pack(self.order + "H", len(directory))
        for tag, entry in sorted(directory.items()):
            if isinstance(entry, dict):
                kind, count = _LONG, 1
                data = struct.pack(self.order + "I", after + len(body))
                body += self.pack(entry, after + len(body))
            else:
                kind, count, data = entry.kind, len(entry.data) // _SIZES[entry.kind], entry.data
                if len(data) > 4:
                    place = struct.pack(self.order + "I", after + len(body))
                    body += data + b"\0" * (len(data) % 2)
                    data = place
            head += struct.pack(self.order + "HHI", tag, kind, count) + data.ljust(4, b"\0")
        return head + b"\0\0\0\0" + body


def upright_block(block: bytes, width: int, height: int) -> bytes | None:
    """Return an EXIF block for the upright copy of its photo.

    Orientation becomes 1 and the sizes become true, both in place; the thumbnail, which would show
    the photo unedited, is blanked and unlinked.

    Parameters
    ----------
    block
        With or without the ``Exif`` prefix.
    width, height
        Of the upright photo.

    Returns
    -------
    The block with its prefix; None when it holds nothing that can be read.
    """
    block = block.removeprefix(PREFIX)
    try:
        layout = _Layout.of(block)
        before = layout.tree(block, layout.start(block))
        if not before or layout.big:
            return None
        wanted = _mended(layout, before, width, height)
        mended = _in_place(layout, block, wanted)
        return PREFIX + (mended if _holds(layout, mended, wanted) else _packed(layout, wanted))
    except _DAMAGE:
        return None


def upright_tags(data: bytes, width: int, height: int) -> bytes | None:
    """Return an EXIF block for the upright copy of a TIFF, from the tags that describe it."""
    try:
        layout = _Layout.of(data)
        tree = layout.tree(data, layout.start(data))
        kept: Directory = {tag: entry for tag, entry in tree.items() if tag in DESCRIPTIVE}
        if not kept:
            return None
        return PREFIX + _packed(_Layout(layout.order), _mended(layout, kept, width, height))
    except _DAMAGE:
        return None


def tag_bytes(data: bytes, tag: int) -> bytes | None:
    """Return the bytes of a tag in a TIFF's first directory, as stored."""
    try:
        layout = _Layout.of(data)
        found = dict(layout.entries(data, layout.start(data))).get(tag)
    except _DAMAGE:
        return None
    return found.data if found else None


def without_orientation(block: bytes) -> bytes:
    """Return EXIF without its orientation, which is 1; all that entries point to stays in place.

    HEIF and AVIF say how to turn a picture outside of EXIF.
    """
    raw = block.removeprefix(PREFIX)
    layout = _Layout.of(raw)
    first = layout.start(raw)
    count = layout.unpack(layout.order + "H", raw, first)
    end = first + 2 + 12 * count + 4
    for at in range(first + 2, end - 4, 12):
        if layout.unpack(layout.order + "H", raw, at) == ORIENTATION:
            fewer = struct.pack(layout.order + "H", count - 1)
            rest = raw[at + 12 : end] + bytes(12) + raw[end:]
            return b"".join((PREFIX, raw[:first], fewer, raw[first + 2 : at], rest))
    return block


def shrink_exif(block: bytes, limit: int) -> bytes | None:
    """Return an EXIF block without its bulky parts, should it be longer than ``limit`` bytes."""
    if len(block) <= limit:
        return block
    raw = block.removeprefix(PREFIX)
    layout = _Layout.of(raw)
    tree = layout.tree(raw, layout.start(raw))
    details = tree.get(_EXIF)
    if isinstance(details, dict):
        tree[_EXIF] = {tag: entry for tag, entry in details.items() if tag not in _BULKY}
    short = PREFIX + _packed(layout, tree)
    return short if len(short) <= limit else None


def add_to_tiff(data: bytes, block: bytes | None, extra: Mapping[int, bytes]) -> bytes:
    """Add EXIF and further tags to a TIFF file.

    Parameters
    ----------
    data
        The file, with one page.
    block
        EXIF. Its resolution gives way to the file's own.
    extra
        Tags whose values are plain bytes, such as XMP.

    Returns
    -------
    The file with a new directory at its end; pixels stay where they are.
    """
    layout = _Layout.of(data)
    if layout.big or not (block or extra):
        return data
    tree = layout.tree(data, layout.start(data))
    if block:
        raw = block.removeprefix(PREFIX)
        other = _Layout.of(raw)
        found = other.tree(raw, other.start(raw))
        own_resolution = _RESOLUTION[0] in tree
        for tag in DESCRIPTIVE & found.keys():
            if tag not in _RESOLUTION or not own_resolution:
                tree[tag] = _turned(found[tag], other.order != layout.order)
    for tag, value in extra.items():
        long = tag == _IPTC  # By custom; its bytes stay in their order all the same.
        tree[tag] = Entry(_LONG, value + bytes(-len(value) % 4), 0) if long else Entry(1, value, 0)
    at = len(data) + len(data) % 2
    directory = layout.pack(tree, at)
    link = struct.pack(layout.order + "I", at)
    return b"".join((data[:4], link, data[8:], b"\0" * (at - len(data)), directory))


def _mended(layout: _Layout, tree: Directory, width: int, height: int) -> Directory:
    """Return a directory with orientation 1 and the true sizes, where it has these fields."""
    values = {ORIENTATION: 1}
    values |= dict.fromkeys(_WIDTHS, width) | dict.fromkeys(_HEIGHTS, height)
    out: Directory = {}
    for tag, entry in tree.items():
        if isinstance(entry, dict):
            out[tag] = _mended(layout, entry, width, height) if tag == _EXIF else entry
        elif tag in values and entry.kind in (_SHORT, _LONG):
            fits = values[tag] < 65536 or entry.kind == _LONG
            kind = entry.kind if fits else _LONG
            out[tag] = Entry(kind, layout.whole(kind, values[tag]), entry.at)
        else:
            out[tag] = entry
    return out


def _in_place(layout: _Layout, block: bytes, wanted: Directory) -> bytes:
    """Write changed values where the old ones are, and cut out what follows the main directory."""
    out = bytearray(block)
    for part in (wanted, wanted.get(_EXIF)):
        for entry in part.values() if isinstance(part, dict) else ():
            if isinstance(entry, Entry):
                out[entry.at : entry.at + len(entry.data)] = entry.data
    link = layout.link(block, layout.start(block))
    if link + 4 > len(block):
        return bytes(out)
    thumbnail = layout.unpack(layout.number, block, link)
    out[link : link + 4] = b"\0\0\0\0"
    if thumbnail:
        end = len(out)
        for start, length in _thumbnail_parts(layout, block, thumbnail):
            stop = min(start + length, len(out))
            out[start:stop] = b"\0" * max(stop - start, 0)
            end = min(end, start) if stop == len(out) else end
        del out[end:]
    return bytes(out)


def _thumbnail_parts(layout: _Layout, block: bytes, offset: int) -> list[tuple[int, int]]:
    """Return where a thumbnail's directory and pixels lie, as (start, length)."""
    try:
        found = dict(layout.entries(block, offset))
        parts = [(offset, layout.link(block, offset) + 4 - offset)]
        for starts, lengths in ((0x0201, 0x0202), (0x0111, 0x0117)):
            if starts in found and lengths in found:
                start, length = (layout.number_of(found[tag]) for tag in (starts, lengths))
                parts.append((start, length))
        return sorted(parts)
    except _DAMAGE:
        return []


def _packed(layout: _Layout, tree: Directory) -> bytes:
    head = b"II*\0" if layout.order == "<" else b"MM\0*"
    return head + struct.pack(layout.order + "I", 8) + layout.pack(tree, 8)


def _holds(layout: _Layout, block: bytes, wanted: Directory) -> bool:
    """Tell whether a block reads as wanted."""
    try:
        return _values(layout.tree(block, layout.start(block))) == _values(wanted)
    except _DAMAGE:
        return False


def _values(tree: Directory) -> dict[int, object]:
    return {
        tag: _values(entry) if isinstance(entry, dict) else (entry.kind, entry.data)
        for tag, entry in tree.items()
    }


def _turned(entry: Entry | Directory, swap: bool) -> Entry | Directory:
    """Return an entry in the other byte order."""
    if isinstance(entry, dict):
        return {tag: _turned(below, swap) for tag, below in entry.items()}
    word = _WORDS[entry.kind]
    if not swap or word == 1:
        return entry
    values = np.frombuffer(entry.data, np.dtype(f"u{word}")).byteswap()
    return Entry(entry.kind, values.tobytes(), entry.at)
