"""EXIF and XMP of a photo: read, corrected for its edited copy, and given provenance.

XMP declares edits by IPTC's digital source type for composites with trained models
(https://cv.iptc.org/newscodes/digitalsourcetype/) and by the AI fields of IPTC Photo Metadata
2025.1.
"""

from __future__ import annotations

import hashlib
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass

from PIL import Image

from faceflex.photo.exif import ORIENTATION, upright_block, upright_tags
from faceflex.photo.parts import jpeg_segments

DIGITAL_SOURCE_TYPE = (
    "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
)
JPEG_EXIF, JPEG_XMP = 65533, 65504
"""Largest EXIF and XMP in bytes that fit into a JPEG's segment."""

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_META = "adobe:ns:meta/"
_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_TIFF = "http://ns.adobe.com/tiff/1.0/"
_EXIF = "http://ns.adobe.com/exif/1.0/"
_XMP = "http://ns.adobe.com/xap/1.0/"
_NOTE = "http://ns.adobe.com/xmp/note/"
_CAMERA = "http://ns.google.com/photos/1.0/camera/"
_PROVENANCE = "{http://purl.org/dc/terms/}provenance"
# Properties of auxiliary images, which are not written back: gain maps, depth, video, the unedited
# photo.
_DROPPED_PREFIXES = (
    "{http://ns.adobe.com/hdr-gain-map/1.0/}",
    "{http://ns.apple.com/HDRGainMap/1.0/}",
    "{http://ns.google.com/photos/1.0/container/}",
    "{http://ns.google.com/photos/1.0/image/}",
    "{http://ns.google.com/photos/1.0/depthmap/}",
    f"{{{_CAMERA}}}MotionPhoto",
    f"{{{_CAMERA}}}MicroVideo",
)
_DROPPED = (f"{{{_XMP}}}Thumbnails", f"{{{_NOTE}}}HasExtendedXMP", _PROVENANCE)
_PREFIXES = {_META: "x", _RDF: "rdf", _IPTC: "Iptc4xmpExt", _TIFF: "tiff", _EXIF: "exif"}
_EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
_MAX_DEPTH = 100
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation of an image, 1 to 8; 1 when absent or invalid.

    Pillow decodes HEIC upright. It gives AVIF's rotation as EXIF; XMP's is ignored there.
    """
    if image.format == "HEIF":
        return 1
    try:
        exif = image.getexif()
        if image.format == "AVIF":
            exif = Image.Exif()
            exif.load(image.info.get("exif", b""))
        value = exif.get(ORIENTATION, 1)
    except Exception:  # Pillow raises nearly anything on damaged EXIF.
        return 1
    return value if value in range(1, 9) else 1


def upright_exif(image: Image.Image, data: bytes, width: int, height: int) -> bytes | None:
    """Return an image's EXIF for its upright copy: orientation 1, correct size, no thumbnail.

    Parameters
    ----------
    image, data
        The image and the content of its file.
    width, height
        Size of the upright copy.

    Returns
    -------
    The bytes for Pillow's ``save(exif=...)``; None without readable EXIF.
    """
    if image.format == "TIFF":
        return upright_tags(data, width, height)
    block = image.info.get("exif")
    text = image.info.get("Raw profile type exif")
    if block is None and isinstance(text, str):
        try:  # ImageMagick's form in PNG: name, length, then lines of hexadecimal digits.
            block = bytes.fromhex("".join(text.split("\n")[3:]))
        except ValueError:
            return None
    return upright_block(block, width, height) if isinstance(block, bytes) else None


def read_xmp(image: Image.Image, data: bytes) -> bytes | None:
    """Return an image's XMP packet, or None; a JPEG's extended XMP is merged into it."""
    value = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    if value is None and image.format == "TIFF":
        value = image.tag_v2.get(700)  # type: ignore[attr-defined]
    if isinstance(value, str):
        value = value.encode("utf-8")
    if not isinstance(value, bytes) or not value.strip(b"\0 \n"):
        return None
    return _merge_extension(value, data) if image.format == "JPEG" and _EXTENSION in data else value


class _BoundedTreeBuilder(ET.TreeBuilder):
    """Tree builder with a limit on depth; records the prefixes of namespaces."""

    def __init__(self) -> None:
        super().__init__()
        self.depth, self.prefixes = 0, dict[str, str]()

    def start_ns(self, prefix: str, address: str) -> None:
        self.prefixes.setdefault(address, prefix)

    def start(self, tag: str, attrs: dict[str, str]) -> ET.Element:  # type: ignore[override]
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise ET.ParseError("nested too deep")
        return super().start(tag, attrs)

    def end(self, tag: str) -> ET.Element:
        self.depth -= 1
        return super().end(tag)


@dataclass(frozen=True)
class _Packet:
    """A parsed XMP packet: root, RDF element, and namespace prefixes."""

    root: ET.Element
    rdf: ET.Element
    prefixes: Mapping[str, str]

    @classmethod
    def parse(cls, xmp: bytes | None) -> _Packet | None:
        """Parse a packet; None when it is damaged, or declares entities (entity bombs)."""
        text = (xmp or b"").strip(b"\0 \n\r\t\xef\xbb\xbf")
        if b"<!DOCTYPE" in text or b"\0" in text:  # XMP in files is UTF-8, without DTD.
            return None
        tree = _BoundedTreeBuilder()
        try:
            parser = ET.XMLParser(target=tree)
            parser.feed(text)
            root = parser.close()
        except (ET.ParseError, ValueError, LookupError):
            return None
        key = f"{{{_RDF}}}RDF"
        rdf = root if root.tag == key else root.find(f".//{key}")
        return None if rdf is None else cls(root, rdf, tree.prefixes)

    @classmethod
    def empty(cls) -> _Packet:
        root = ET.Element(f"{{{_META}}}xmpmeta")
        return cls(root, ET.SubElement(root, f"{{{_RDF}}}RDF"), {})

    def descriptions(self) -> list[ET.Element]:
        return self.rdf.findall(f"{{{_RDF}}}Description")

    def write(self) -> bytes:
        for address, prefix in {**self.prefixes, **_PREFIXES}.items():
            # Some readers rely on prefixes. ns1 and the like are reserved by ElementTree.
            if prefix and not re.fullmatch(r"ns\d+|xml", prefix):
                ET.register_namespace(prefix, address)
        body = ET.tostring(self.root, encoding="utf-8", xml_declaration=False)
        start = b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        return start + body + b'\n<?xpacket end="w"?>'


def _merge_extension(xmp: bytes, data: bytes) -> bytes:
    """Return a JPEG's packet merged with its extended XMP, which has segments of its own.

    The main packet references the extended one by its MD5; it is ignored if that differs.
    """
    packet, name = _Packet.parse(xmp), f"{{{_NOTE}}}HasExtendedXMP"
    if packet is None:
        return xmp
    nodes = list(packet.root.iter())
    digests = {n.get(name, "") for n in nodes} | {n.text or "" for n in nodes if n.tag == name}
    parts: dict[str, dict[int, bytes]] = {}
    for marker, at, end in jpeg_segments(data):
        body = data[at + 4 : end]
        if marker == 0xE1 and body.startswith(_EXTENSION) and len(body) > 75:
            digest = body[35:67].decode("latin-1")
            parts.setdefault(digest, {})[int.from_bytes(body[71:75], "big")] = body[75:]
    for digest in digests & parts.keys():
        content = b"".join(part for _, part in sorted(parts[digest].items()))
        extended = _Packet.parse(content)
        if extended and hashlib.md5(content, usedforsecurity=False).hexdigest() == digest.lower():
            packet.rdf.extend(extended.descriptions())
            prefixes = {**extended.prefixes, **packet.prefixes}
            return _Packet(packet.root, packet.rdf, prefixes).write()
    return xmp


def upright_xmp(xmp: bytes | None, width: int, height: int) -> bytes | None:
    """Return an XMP packet for the upright copy of its image.

    Orientation and sizes are corrected. Thumbnails of the unedited photo are dropped, and
    references to what is not written: extended XMP, content credentials, gain maps and videos. In a
    damaged packet only the orientation is corrected.
    """
    if not xmp:
        return xmp
    packet = _Packet.parse(xmp)
    if packet is None:
        return re.sub(rb"(tiff:Orientation(?:=[\"']|>)\s*)\d+", rb"\g<1>1", xmp)
    values = {f"{{{_TIFF}}}Orientation": "1"}
    values |= dict.fromkeys((f"{{{_TIFF}}}ImageWidth", f"{{{_EXIF}}}PixelXDimension"), str(width))
    values |= dict.fromkeys((f"{{{_TIFF}}}ImageLength", f"{{{_EXIF}}}PixelYDimension"), str(height))
    changed = False
    for node in packet.root.iter():
        for key in values.keys() & node.keys():
            changed |= node.get(key) != values[key]
            node.set(key, values[key])
        if node.tag in values:
            changed |= node.text != values[node.tag]
            node.text = values[node.tag]
        for key in filter(_is_dropped, list(node.keys())):
            del node.attrib[key]
            changed = True
        for child in [c for c in node if isinstance(c.tag, str) and _is_dropped(c.tag)]:
            node.remove(child)
            changed = True
    return packet.write() if changed else xmp


def _is_dropped(name: str) -> bool:
    return name in _DROPPED or name.startswith(_DROPPED_PREFIXES)


def references_credentials(xmp: bytes | None) -> bool:
    """Return whether an XMP packet references content credentials (``dcterms:provenance``)."""
    packet = _Packet.parse(xmp)
    return packet is not None and any(
        _PROVENANCE in (node.tag, *node.keys()) for node in packet.root.iter()
    )


def provenance_xmp(
    xmp: bytes | None, software: str, version: str, settings: Mapping[str, str]
) -> bytes:
    """Return an XMP packet with the provenance of an edit.

    Parameters
    ----------
    xmp
        The photo's own packet, whose other content is preserved; a damaged one is replaced.
    software, version
        Name and version of the editor.
    settings
        Parameters of the edit, by name; joined into the prompt field.
    """
    packet = _Packet.parse(xmp) or _Packet.empty()
    fields = {
        "DigitalSourceType": DIGITAL_SOURCE_TYPE,
        "AISystemUsed": software,
        "AISystemVersionUsed": version,
        "AIPromptInformation": ", ".join(f"{k}={v}" for k, v in settings.items()),
    }
    about = ""
    for node in packet.descriptions():
        about = about or node.get(f"{{{_RDF}}}about", "")
        for name in fields:
            node.attrib.pop(f"{{{_IPTC}}}{name}", None)
            for old in node.findall(f"{{{_IPTC}}}{name}"):
                node.remove(old)
    description = ET.SubElement(packet.rdf, f"{{{_RDF}}}Description", {f"{{{_RDF}}}about": about})
    for name, value in fields.items():
        description.set(f"{{{_IPTC}}}{name}", _NOT_XML.sub("?", value))
    return packet.write()


def shrink_xmp(xmp: bytes, limit: int = JPEG_XMP) -> bytes | None:
    """Return an XMP packet of at most ``limit`` bytes, if need be without its largest fields."""
    if len(xmp) <= limit:
        return xmp
    packet = _Packet.parse(xmp)
    if packet is None:
        return None
    fields: list[tuple[int, ET.Element, ET.Element | str]] = []
    for node in packet.descriptions():
        fields += [(len(value), node, key) for key, value in node.items()]
        fields += [(len(ET.tostring(child)), node, child) for child in node]
    for _, node, field in sorted(fields, key=lambda f: -f[0]):
        short = packet.write()
        if len(short) <= limit:
            return short
        if isinstance(field, ET.Element):
            node.remove(field)
        elif not field.startswith((f"{{{_IPTC}}}", f"{{{_RDF}}}")):
            del node.attrib[field]
    short = packet.write()
    return short if len(short) <= limit else None
