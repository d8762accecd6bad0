"""Binary EXIF: corrected in place where possible, so that no offset in it changes.

EXIF is a small TIFF: image file directories (IFDs) of entries, some of which point to further
IFDs. Maker notes contain offsets from its start, which rewriting the block would break.
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
_WORD_BYTES = _SIZES | {5: 4, 10: 4}  # Units of a byte swap; a rational is two.
_SHORT, _LONG = 3, 4
_IPTC = 33723
_READ_ERRORS = (struct.error, ValueError, OverflowError)
_RESOLUTION = (282, 283, 296)
_LARGE_TAGS = (0x927C, 0x9286)  # MakerNote and UserComment.

DESCRIPTIVE_TAGS = frozenset(
    (269, 270, 271, 272, ORIENTATION, *_RESOLUTION, 305, 306, 315, 316, 33432, _EXIF, _GPS)
)
"""TIFF tags of metadata, as opposed to those of the pixels' storage."""


@dataclass(frozen=True)
class Entry:
    """Value of a tag: TIFF type, bytes, and their offset in the file or block."""

    kind: int
    data: bytes
    at: int


Directory: TypeAlias = "dict[int, Entry | Directory]"


@dataclass(frozen=True)
class _TiffLayout:
    """Byte order and integer sizes of a TIFF or BigTIFF."""

    order: str
    big: bool = False

    @classmethod
    def of(cls, block: bytes) -> _TiffLayout:
        layouts = {
            b"II*\0": cls("<"),
            b"MM\0*": cls(">"),
            b"II+\0": cls("<", True),
            b"MM\0+": cls(">", True),
        }
        if block[:4] not in layouts:
            raise ValueError("not EXIF")
        return layouts[block[:4]]

    @property
    def number(self) -> str:
        """Struct format of offsets and counts."""
        return self.order + ("Q" if self.big else "I")

    def start(self, block: bytes) -> int:
        return self.unpack(self.number, block, 8 if self.big else 4)

    @staticmethod
    def unpack(form: str, block: bytes, at: int) -> int:
        (value,) = struct.unpack_from(form, block, at)
        return int(value)

    def entries(self, block: bytes, offset: int) -> Iterator[tuple[int, Entry]]:
        """Yield tags and entries of a directory, without values that lie outside the block.

        The total size is limited to the block's: with overlapping values, a small block could
        otherwise demand any amount of memory.
        """
        budget = len(block)
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
            if 0 < length <= budget and place + length <= len(block):
                budget -= length
                yield tag, Entry(kind, bytes(block[place : place + length]), place)

    def link(self, block: bytes, offset: int) -> int:
        """Return the position of a directory's offset of the next one."""
        if self.big:
            return offset + 8 + 20 * self.unpack(self.order + "Q", block, offset)
        return offset + 2 + 12 * self.unpack(self.order + "H", block, offset)

    def tree(self, block: bytes, offset: int, group: int = 0) -> Directory:
        """Read a directory and, recursively, those that it points to."""
        directory: Directory = dict(self.entries(block, offset))
        for tag in _POINTERS.get(group, ()):
            entry = directory.pop(tag, None)
            if not isinstance(entry, Entry):
                continue
            try:
                below = self.tree(block, self.integer(entry), tag)
            except _READ_ERRORS:
                continue
            if below:
                directory[tag] = below
        return directory

    def integer(self, entry: Entry) -> int:
        """Return the first integer of an entry."""
        forms = {1: "B", _SHORT: "H", _LONG: "I", 13: "I"}
        if entry.kind not in forms:
            raise ValueError("not an integer")
        return self.unpack(self.order + forms[entry.kind], entry.data, 0)

    def pack_integer(self, kind: int, value: int) -> bytes:
        """Return the bytes of a SHORT or LONG."""
        return struct.pack(self.order + ("H" if kind == _SHORT else "I"), value)

    def pack(self, directory: Directory, offset: int) -> bytes:
        """Serialise a directory, its values and sub-directories, for position ``offset``."""
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

    Orientation becomes 1 and the sizes are corrected, both in place; the thumbnail, which shows the
    unedited photo, is zeroed and unlinked.

    Parameters
    ----------
    block
        With or without the ``Exif`` prefix.
    width, height
        Size of the upright photo.

    Returns
    -------
    The block with its prefix; None when it is empty or unreadable.
    """
    block = block.removeprefix(PREFIX)
    try:
        layout = _TiffLayout.of(block)
        before = layout.tree(block, layout.start(block))
        if not before or layout.big:
            return None
        target = _corrected(layout, before, width, height)
        patched = _patch(layout, block, target)
        readable = _reads_as(layout, patched, target)
        return PREFIX + (patched if readable else _pack_tiff(layout, target))
    except _READ_ERRORS:
        return None


def upright_tags(data: bytes, width: int, height: int) -> bytes | None:
    """Return an EXIF block for the upright copy of a TIFF, of its descriptive tags."""
    try:
        layout = _TiffLayout.of(data)
        tree = layout.tree(data, layout.start(data))
        metadata: Directory = {tag: entry for tag, entry in tree.items() if tag in DESCRIPTIVE_TAGS}
        if not metadata:
            return None
        target = _corrected(layout, metadata, width, height)
        return PREFIX + _pack_tiff(_TiffLayout(layout.order), target)
    except _READ_ERRORS:
        return None


def tag_bytes(data: bytes, tag: int) -> bytes | None:
    """Return the raw bytes of a tag in a TIFF's first directory."""
    try:
        layout = _TiffLayout.of(data)
        entry = dict(layout.entries(data, layout.start(data))).get(tag)
    except _READ_ERRORS:
        return None
    return entry.data if entry else None


def drop_orientation(block: bytes) -> bytes:
    """Return EXIF without its orientation, which is 1; offsets in it stay valid.

    HEIF and AVIF store the orientation outside EXIF.
    """
    raw = block.removeprefix(PREFIX)
    layout = _TiffLayout.of(raw)
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
    """Return an EXIF block of at most ``limit`` bytes, if need be without large tags; or None."""
    if len(block) <= limit:
        return block
    raw = block.removeprefix(PREFIX)
    layout = _TiffLayout.of(raw)
    tree = layout.tree(raw, layout.start(raw))
    details = tree.get(_EXIF)
    if isinstance(details, dict):
        tree[_EXIF] = {tag: entry for tag, entry in details.items() if tag not in _LARGE_TAGS}
    short = PREFIX + _pack_tiff(layout, tree)
    return short if len(short) <= limit else None


def add_to_tiff(data: bytes, block: bytes | None, extra: Mapping[int, bytes]) -> bytes:
    """Add EXIF and further tags to a TIFF file.

    Parameters
    ----------
    data
        The file, with one page.
    block
        EXIF block; the file's own resolution takes precedence over its.
    extra
        Tags with values of type BYTE, such as XMP.

    Returns
    -------
    The file with a new directory appended; pixels are not moved.
    """
    layout = _TiffLayout.of(data)
    if layout.big or not (block or extra):
        return data
    tree = layout.tree(data, layout.start(data))
    if block:
        raw = block.removeprefix(PREFIX)
        exif = _TiffLayout.of(raw)
        exif_tree = exif.tree(raw, exif.start(raw))
        has_resolution = _RESOLUTION[0] in tree
        for tag in DESCRIPTIVE_TAGS & exif_tree.keys():
            if tag not in _RESOLUTION or not has_resolution:
                tree[tag] = _swap_bytes(exif_tree[tag], exif.order != layout.order)
    for tag, value in extra.items():
        long = tag == _IPTC  # By convention, of type LONG, but without byte order.
        tree[tag] = Entry(_LONG, value + bytes(-len(value) % 4), 0) if long else Entry(1, value, 0)
    at = len(data) + len(data) % 2
    directory = layout.pack(tree, at)
    link = struct.pack(layout.order + "I", at)
    return b"".join((data[:4], link, data[8:], b"\0" * (at - len(data)), directory))


def _corrected(layout: _TiffLayout, tree: Directory, width: int, height: int) -> Directory:
    """Return a directory with orientation 1 and correct sizes, where it has these tags."""
    values = {ORIENTATION: 1}
    values |= dict.fromkeys(_WIDTHS, width) | dict.fromkeys(_HEIGHTS, height)
    out: Directory = {}
    for tag, entry in tree.items():
        if isinstance(entry, dict):
            out[tag] = _corrected(layout, entry, width, height) if tag == _EXIF else entry
        elif tag in values and entry.kind in (_SHORT, _LONG):
            fits = values[tag] < 65536 or entry.kind == _LONG
            kind = entry.kind if fits else _LONG
            out[tag] = Entry(kind, layout.pack_integer(kind, values[tag]), entry.at)
        else:
            out[tag] = entry
    return out


def _patch(layout: _TiffLayout, block: bytes, target: Directory) -> bytes:
    """Overwrite values in place; zero and unlink the thumbnail."""
    out = bytearray(block)
    for directory in (target, target.get(_EXIF)):
        for entry in directory.values() if isinstance(directory, dict) else ():
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


def _thumbnail_parts(layout: _TiffLayout, block: bytes, offset: int) -> list[tuple[int, int]]:
    """Return (start, length) of a thumbnail's directory and pixels."""
    try:
        entries = dict(layout.entries(block, offset))
        parts = [(offset, layout.link(block, offset) + 4 - offset)]
        for starts, lengths in ((0x0201, 0x0202), (0x0111, 0x0117)):
            if starts in entries and lengths in entries:
                start, length = (layout.integer(entries[tag]) for tag in (starts, lengths))
                parts.append((start, length))
        return sorted(parts)
    except _READ_ERRORS:
        return []


def _pack_tiff(layout: _TiffLayout, tree: Directory) -> bytes:
    head = b"II*\0" if layout.order == "<" else b"MM\0*"
    return head + struct.pack(layout.order + "I", 8) + layout.pack(tree, 8)


def _reads_as(layout: _TiffLayout, block: bytes, target: Directory) -> bool:
    """Return whether a block parses to the values of a directory."""
    try:
        return _values(layout.tree(block, layout.start(block))) == _values(target)
    except _READ_ERRORS:
        return False


def _values(tree: Directory) -> dict[int, object]:
    return {
        tag: _values(entry) if isinstance(entry, dict) else (entry.kind, entry.data)
        for tag, entry in tree.items()
    }


def _swap_bytes(entry: Entry | Directory, swap: bool) -> Entry | Directory:
    """Return an entry, or a directory of entries, in the other byte order if ``swap``."""
    if isinstance(entry, dict):
        return {tag: _swap_bytes(below, swap) for tag, below in entry.items()}
    word = _WORD_BYTES[entry.kind]
    if not swap or word == 1:
        return entry
    values = np.frombuffer(entry.data, np.dtype(f"u{word}")).byteswap()
    return Entry(entry.kind, values.tobytes(), entry.at)
