"""What a photo file says besides its pixels: EXIF and XMP, read, mended and written back.

Outputs are marked with IPTC's digital source type for pictures edited with a trained model
(https://cv.iptc.org/newscodes/digitalsourcetype/) in XMP, and with the AI fields of IPTC Photo
Metadata 2025.1.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping

from PIL import Image

DIGITAL_SOURCE_TYPE = (
    "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
)
ORIENTATION = 0x0112
_EXIF_IFD, _WIDTH, _HEIGHT = 0x8769, 0xA002, 0xA003

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_META = "adobe:ns:meta/"
_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_TIFF = "http://ns.adobe.com/tiff/1.0/"
_NAMESPACES = {
    "x": _META,
    "rdf": _RDF,
    "Iptc4xmpExt": _IPTC,
    "tiff": _TIFF,
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "xmpMM": "http://ns.adobe.com/xap/1.0/mm/",
    "xmpRights": "http://ns.adobe.com/xap/1.0/rights/",
    "stEvt": "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#",
    "stRef": "http://ns.adobe.com/xap/1.0/sType/ResourceRef#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
    "crs": "http://ns.adobe.com/camera-raw-settings/1.0/",
    "lr": "http://ns.adobe.com/lightroom/1.0/",
    "aux": "http://ns.adobe.com/exif/1.0/aux/",
}


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation of a picture, 1 to 8; 1 when absent or nonsense."""
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except (SyntaxError, ValueError, TypeError, OSError, KeyError):
        return 1
    return value if value in range(1, 9) else 1


def upright_exif(image: Image.Image, width: int, height: int) -> bytes | None:
    """Return a picture's EXIF for its upright copy: orientation 1, true size, no thumbnail.

    Returns
    -------
    The bytes that Pillow's ``save(exif=...)`` takes; None when there is no EXIF, or none that can
    be read.
    """
    try:
        exif = image.getexif()
        if not len(exif):
            return None
        if ORIENTATION in exif:
            exif[ORIENTATION] = 1
        details = exif.get_ifd(_EXIF_IFD)
        for tag, value in ((_WIDTH, width), (_HEIGHT, height)):
            if tag in details:
                details[tag] = value
        if image.format == "TIFF":
            exif = _without_layout(exif)
        # Pillow writes the main, EXIF, GPS and interoperability parts; the thumbnail's is left out.
        return exif.tobytes()
    except (SyntaxError, ValueError, TypeError, OSError, KeyError, OverflowError):
        return None


_DESCRIPTIVE = frozenset(
    {270, 271, 272, ORIENTATION, 282, 283, 296, 305, 306, 315, 316, 33432, 0x8769, 0x8825}
)


def _without_layout(exif: Image.Exif) -> Image.Exif:
    """Keep of a TIFF's tags what describes the photo, not how its pixels were stored."""
    for tag in [t for t in exif if t not in _DESCRIPTIVE]:
        del exif[tag]
    return exif


def read_xmp(image: Image.Image) -> bytes | None:
    """Return a picture's XMP packet, or None."""
    value = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    if value is None and image.format == "TIFF":
        value = image.tag_v2.get(700)  # type: ignore[attr-defined]
    if isinstance(value, str):
        value = value.encode("utf-8")
    return value if isinstance(value, bytes) and value.strip(b"\0 \n") else None


def _parse(xmp: bytes | None) -> ET.Element | None:
    """Parse a packet; None when it is damaged, or could be an entity bomb."""
    if not xmp or b"<!" in xmp:
        return None
    try:
        root = ET.fromstring(xmp.strip(b"\0 \n\r\t\xef\xbb\xbf"))
    except ET.ParseError:
        return None
    return root if _rdf(root) is not None else None


def _rdf(root: ET.Element) -> ET.Element | None:
    return root if root.tag == f"{{{_RDF}}}RDF" else root.find(f".//{{{_RDF}}}RDF")


def upright_xmp(xmp: bytes | None) -> bytes | None:
    """Return an XMP packet for the upright copy of its picture; unreadable ones are kept."""
    root = _parse(xmp)
    if root is None:
        return xmp
    key, changed = f"{{{_TIFF}}}Orientation", False
    for node in root.iter():
        if node.get(key) is not None:
            node.set(key, "1")
            changed = True
        if node.tag == key:
            node.text, changed = "1", True
    return _packet(root) if changed else xmp


def marked_xmp(
    xmp: bytes | None, software: str, version: str, settings: Mapping[str, str]
) -> bytes:
    """Return an XMP packet that says how the picture was made.

    Parameters
    ----------
    xmp
        The photo's own packet, whose content is kept; a damaged one is replaced.
    software, version
        What made the edit.
    settings
        What was asked for, by name; joined into the prompt field.
    """
    root = _parse(xmp)
    if root is None:
        root = ET.Element(f"{{{_META}}}xmpmeta")
        ET.SubElement(root, f"{{{_RDF}}}RDF")
    rdf = _rdf(root)
    assert rdf is not None
    fields = {
        "DigitalSourceType": DIGITAL_SOURCE_TYPE,
        "AISystemUsed": software,
        "AISystemVersionUsed": version,
        "AIPromptInformation": ", ".join(f"{k}={v}" for k, v in settings.items()),
    }
    for node in rdf.findall(f"{{{_RDF}}}Description"):
        for name in fields:
            node.attrib.pop(f"{{{_IPTC}}}{name}", None)
            for old in node.findall(f"{{{_IPTC}}}{name}"):
                node.remove(old)
    description = ET.SubElement(rdf, f"{{{_RDF}}}Description", {f"{{{_RDF}}}about": ""})
    for name, value in fields.items():
        description.set(f"{{{_IPTC}}}{name}", value)
    return _packet(root)


def _packet(root: ET.Element) -> bytes:
    for prefix, address in _NAMESPACES.items():
        ET.register_namespace(prefix, address)
    body = ET.tostring(root, encoding="utf-8", xml_declaration=False)
    start = b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    return start + body + b'\n<?xpacket end="w"?>'
