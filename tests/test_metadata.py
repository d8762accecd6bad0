"""What a file says besides its pixels: kept, made true for the upright picture, and marked."""

from __future__ import annotations

import io
import struct
import xml.etree.ElementTree as ET
from dataclasses import replace

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageCms, ImageOps, PngImagePlugin

from faceflex.errors import PhotoError
from faceflex.photo import encode_photo, load_photo
from faceflex.photo.exif import PREFIX, add_to_tiff, shrink_exif, upright_block
from faceflex.photo.metadata import DIGITAL_SOURCE_TYPE, provenance_xmp, shrink_xmp, upright_xmp
from tests.test_photo import chunk, cmyk_profile, deep, gray_profile, raw_png, smooth

ORIENTATION, ARTIST, COPYRIGHT, MAKE = 0x0112, 0x013B, 0x8298, 0x010F
EXIF, GPS, INTEROPERABILITY = 0x8769, 0x8825, 0xA005
TAKEN, WIDTH, HEIGHT, MAKER_NOTE, LENS = 0x9003, 0xA002, 0xA003, 0x927C, 0xA434
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
NOTE = bytes(range(256)) * 3
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
WRITERS = ["JPEG", "PNG", "WEBP", "TIFF", "PNG-16", "TIFF-16", "TIFF-deflate"]
PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Test">
 <!-- A comment is allowed. -->
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="uuid:1" xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:exif="http://ns.adobe.com/exif/1.0/"
    xmlns:acme="http://example.com/acme/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
    Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"
    Iptc4xmpExt:Event="a wedding" acme:Roll="17" tiff:Orientation="6" exif:PixelXDimension="9999">
   <tiff:ImageLength>8888</tiff:ImageLength>
   <dc:creator><rdf:Seq><rdf:li>Zoë &amp; Jörg</rdf:li></rdf:Seq></dc:creator>
   <acme:Note><![CDATA[1 < 2]]></acme:Note>
   <xmp:Thumbnails><rdf:Alt><rdf:li>AAAA</rdf:li></rdf:Alt></xmp:Thumbnails>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>""".encode()


def exif_block(orientation=6, order="<", thumbnail=b"\xff\xd8thumbnail\xff\xd9", note=NOTE):
    """Build EXIF byte by byte, as a camera would: with a maker's note and a thumbnail behind it."""

    def entry(tag, kind, data, count=None):
        size = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1}[kind]
        return tag, kind, len(data) // size if count is None else count, data

    def short(value):
        return struct.pack(order + "H", value)

    def long(value):
        return struct.pack(order + "I", value)

    def ratios(*values):
        return b"".join(struct.pack(order + "II", v, 1) for v in values)

    def directory(entries, at, link=0):
        head, body = struct.pack(order + "H", len(entries)), b""
        after = at + 2 + 12 * len(entries) + 4
        for tag, kind, count, data in sorted(entries):
            place = data.ljust(4, b"\0")
            if len(data) > 4:
                place = long(after + len(body))
                body += data + b"\0" * (len(data) % 2)
            head += struct.pack(order + "HHI", tag, kind, count) + place
        return head + long(link) + body

    gps = [entry(1, 2, b"N\0"), entry(2, 5, ratios(48, 12, 30)), entry(3, 2, b"E\0"),
           entry(4, 5, ratios(16, 22, 5)), entry(29, 2, b"2020:01:02\0")]  # fmt: skip
    interoperability = [entry(1, 2, b"R98\0"), entry(2, 7, b"0100")]

    def below(sub_at):
        return [
            entry(TAKEN, 2, b"2020:01:02 03:04:05\0"),
            entry(WIDTH, 4, long(53)),
            entry(HEIGHT, 3, short(37)),
            entry(MAKER_NOTE, 7, note),
            entry(LENS, 2, "Objektiv für ½\0".encode("latin-1")),
            entry(INTEROPERABILITY, 4, long(sub_at)),
        ]

    def main(exif_at, gps_at):
        entries = [
            entry(MAKE, 2, b"Acme\0"),
            entry(ARTIST, 2, "Jörg\0".encode()),
            entry(COPYRIGHT, 2, "© 2020 Zoë\0".encode()),
            entry(282, 5, ratios(300)),
            entry(283, 5, ratios(300)),
            entry(296, 3, short(2)),
            entry(EXIF, 4, long(exif_at)),
            entry(GPS, 4, long(gps_at)),
        ]
        return entries + ([entry(ORIENTATION, 3, short(orientation))] if orientation else [])

    first = 8
    exif_at = first + len(directory(main(0, 0), first))
    gps_at = exif_at + len(directory(below(0), exif_at))
    sub_at = gps_at + len(directory(gps, gps_at))
    next_at = sub_at + len(directory(interoperability, sub_at))
    link = next_at if thumbnail else 0
    block = (b"II*\0" if order == "<" else b"MM\0*") + long(8)
    block += directory(main(exif_at, gps_at), first, link)
    block += directory(below(sub_at), exif_at) + directory(gps, gps_at)
    block += directory(interoperability, sub_at)
    if thumbnail:
        tags = [entry(0x0103, 3, short(6)), entry(0x0201, 4, long(0)),
                entry(0x0202, 4, long(len(thumbnail)))]  # fmt: skip
        at = next_at + len(directory(tags, next_at))
        tags[1] = entry(0x0201, 4, long(at))
        block += directory(tags, next_at) + thumbnail
    return PREFIX + block


def photo_file(form, mode="RGB", exif=None, icc=None, xmp=None, **more):
    """Encode a picture with metadata; Pillow reads it there, as tests check."""
    channels = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4}[mode]
    buffer = io.BytesIO()
    if form == "PNG-16":
        extra = more.pop("extra", b"")
        if icc:
            info = io.BytesIO()
            Image.new("RGB", (1, 1)).save(info, "PNG", icc_profile=icc)
            start = info.getvalue().index(b"iCCP") - 4
            size = struct.unpack(">I", info.getvalue()[start : start + 4])[0]
            extra += info.getvalue()[start : start + 12 + size]
        if exif:
            extra += chunk(b"eXIf", exif.removeprefix(PREFIX))
        if xmp:
            extra += chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)
        return raw_png(deep(channels), {2: 4, 3: 2, 4: 6}[channels], 16, extra)
    if form == "TIFF-16":
        tifffile.imwrite(buffer, deep(channels), photometric="rgb", iccprofile=icc,
                         metadata=None, software=False, **more)  # fmt: skip
        return add_to_tiff(buffer.getvalue(), exif, {700: xmp} if xmp else {})
    pixels = smooth(channels)
    options = {"icc_profile": icc} | more
    if form.startswith("TIFF"):
        options["compression"] = "tiff_adobe_deflate" if form == "TIFF-deflate" else "raw"
    elif exif:
        options["exif"] = exif
    if form == "PNG":
        info = more.get("pnginfo", PngImagePlugin.PngInfo())
        if xmp:
            info.add_itxt("XML:com.adobe.xmp", xmp.decode())
        options["pnginfo"] = info
    elif xmp and form in ("JPEG", "WEBP", "AVIF", "HEIF"):
        options["xmp"] = xmp
    if form == "JPEG":
        options.setdefault("quality", 95)
    picture = Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels, mode)
    picture.save(buffer, form.split("-")[0], **options)
    data = buffer.getvalue()
    if form.startswith("TIFF"):
        data = add_to_tiff(data, exif, {700: xmp} if xmp else {})
    return data


def opened(data):
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def resaved(data, **options):
    """Load, save without an edit, and open with Pillow."""
    photo = load_photo(data)
    return opened(encode_photo(photo, photo.rgb, **options))


def source_types(image):
    """Return every digital source type in the packet that Pillow finds in a picture."""
    key = f"{{{IPTC}}}DigitalSourceType"
    nodes = list(ET.fromstring(xmp_of(image)).iter())
    return [n.attrib[key] for n in nodes if key in n.attrib] + [
        n.text for n in nodes if n.tag == key
    ]


def xmp_of(image):
    value = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    return value.encode() if isinstance(value, str) else value


def values_of(xmp):
    """Return a packet's fields: name to the text of attributes and elements."""
    found = {}
    for node in ET.fromstring(xmp).iter(f"{{{RDF}}}Description"):
        found |= dict(node.items())
        found |= {below.tag: "".join(below.itertext()).strip() for below in node}
    return found


def check_exif(image, width, height):
    """Check the fields of :func:`exif_block` in a saved picture."""
    exif = image.getexif()
    assert exif.get(ORIENTATION, 1) == 1
    assert exif[MAKE] == "Acme"
    assert exif[ARTIST].encode("latin-1").decode() == "Jörg"
    assert exif[COPYRIGHT].encode("latin-1").decode() == "© 2020 Zoë"
    details = exif.get_ifd(EXIF)
    assert details[TAKEN] == "2020:01:02 03:04:05"
    assert details[LENS] == "Objektiv für ½"
    assert (details[WIDTH], details[HEIGHT]) == (width, height)
    assert details[MAKER_NOTE] == NOTE
    gps = exif.get_ifd(GPS)
    assert gps[1] == "N"
    assert [float(v) for v in gps[2]] == [48, 12, 30]
    assert [float(v) for v in gps[4]] == [16, 22, 5]
    assert exif.get_ifd(INTEROPERABILITY)[1] == "R98"
    assert not exif.get_ifd(ExifTags.IFD.IFD1)  # The thumbnail


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", WRITERS)
def test_a_photo_is_turned_upright_once_and_its_exif_kept(form, orientation):
    data = photo_file(form, exif=exif_block(orientation))
    photo = load_photo(data)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    if form.endswith("16"):
        assert np.abs(photo.rgb.astype(int) - expected).max() <= 1  # Pillow cuts off low bytes.
    else:
        np.testing.assert_array_equal(photo.rgb, expected)
    saved = encode_photo(photo, photo.rgb)
    image = opened(saved)
    height, width = photo.rgb.shape[:2]
    assert (width, height) == ((53, 37) if orientation < 5 else (37, 53))
    assert image.size == (width, height)
    check_exif(image, width, height)
    assert b"thumbnail" not in saved
    np.testing.assert_array_equal(
        np.asarray(ImageOps.exif_transpose(image)), np.asarray(image)
    )  # fmt: skip
    again = load_photo(saved)
    difference = np.abs(again.rgb.astype(int) - photo.rgb).mean()
    assert difference < 2.5 if form in ("JPEG", "WEBP") else difference == 0


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("target", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("form", WRITERS)
def test_exif_survives_a_change_of_format_in_either_byte_order(form, target, order):
    image = resaved(photo_file(form, exif=exif_block(6, order)), target=target)
    assert image.format == target
    check_exif(image, 37, 53)


def test_exif_of_a_big_endian_tiff_and_of_a_bigtiff_survives():
    pixels = deep(3)
    for order, big in ((">", False), ("<", True)):
        buffer = io.BytesIO()
        tags = [(ARTIST, 2, 0, "A. Nother", True), (ORIENTATION, 3, 1, 8, True)]
        tifffile.imwrite(buffer, pixels, photometric="rgb", byteorder=order, bigtiff=big,
                         extratags=tags, metadata=None)  # fmt: skip
        for target in ("TIFF", "JPEG", "PNG"):
            image = resaved(buffer.getvalue(), target=target)
            assert image.size == (37, 53)
            assert image.getexif()[ARTIST] == "A. Nother"
            assert image.getexif().get(ORIENTATION, 1) == 1


@pytest.mark.parametrize("form", WRITERS)
def test_the_files_of_these_tests_hold_what_they_should(form):
    data = photo_file(form, exif=exif_block(5), icc=SRGB, xmp=PACKET)
    image = Image.open(io.BytesIO(data))
    exif = image.getexif()
    assert exif[ORIENTATION] == 5
    exif[ORIENTATION] = 1
    assert exif.get_ifd(EXIF)[WIDTH] == 53
    assert image.info["icc_profile"] == SRGB
    assert b"9999" in xmp_of(image)
    if not form.startswith("TIFF"):
        assert exif.get_ifd(ExifTags.IFD.IFD1)[0x0202] == len(b"\xff\xd8thumbnail\xff\xd9")


def test_exif_that_pillow_put_into_a_tiff_survives():
    exif = Image.Exif()
    exif[ORIENTATION], exif[COPYRIGHT] = 8, "A. Nother"
    exif.get_ifd(EXIF)[TAKEN] = "2020:01:02 03:04:05"
    exif.get_ifd(GPS)[1] = "S"
    buffer = io.BytesIO()
    Image.fromarray(smooth(3)).save(buffer, "TIFF", exif=exif.tobytes())
    for target in ("TIFF", "JPEG"):
        image = resaved(buffer.getvalue(), target=target)
        assert image.size == (37, 53)
        saved = image.getexif()
        assert (saved.get(ORIENTATION, 1), saved[COPYRIGHT]) == (1, "A. Nother")
        assert saved.get_ifd(EXIF)[TAKEN] == "2020:01:02 03:04:05"
        assert saved.get_ifd(GPS)[1] == "S"


def test_nothing_of_a_makers_note_moves():
    block = exif_block(6)
    mended = upright_block(block, 37, 53)
    assert mended is not None
    assert mended.index(NOTE) == block.index(NOTE)
    changed = [a != b for a, b in zip(block, mended, strict=False)]
    assert sum(changed[: block.index(b"R98")]) <= 8  # Orientation, sizes, link to the thumbnail.
    assert len(mended) < len(block)
    assert b"thumbnail" not in mended
    tags = struct.unpack_from("<H", mended, 14)[0]
    assert struct.unpack_from("<I", mended, 16 + 12 * tags) == (0,)  # No next directory.


def test_a_thumbnail_in_the_middle_is_blanked():
    block = bytearray(exif_block(3))
    start = block.index(b"\xff\xd8thumbnail")
    block += b"something behind it"
    mended = upright_block(bytes(block), 53, 37)
    assert mended is not None
    assert b"thumbnail" not in mended
    assert mended.endswith(b"something behind it")
    assert len(mended) == len(block)
    assert start > 0


def test_a_thumbnail_said_to_lie_over_everything_takes_nothing_with_it():
    block = bytearray(exif_block(3))
    at = block.index(struct.pack("<HHI", 0x0201, 4, 1))
    block[at + 8 : at + 12] = struct.pack("<I", 0)
    at = block.index(struct.pack("<HHI", 0x0202, 4, 1))
    block[at + 8 : at + 12] = struct.pack("<I", len(block))
    image = resaved(photo_file("JPEG", exif=bytes(block)))
    check_exif(image, 53, 37)


def test_a_side_beyond_16_bits_is_written_as_a_longer_number():
    mended = upright_block(exif_block(1), 70000, 80000)
    assert mended is not None
    exif = Image.Exif()
    exif.load(mended)
    assert (exif.get_ifd(EXIF)[WIDTH], exif.get_ifd(EXIF)[HEIGHT]) == (70000, 80000)
    assert exif.get_ifd(EXIF)[MAKER_NOTE] == NOTE


def test_exif_as_text_in_a_png_is_found():
    info = PngImagePlugin.PngInfo()
    raw = exif_block(8)
    info.add_text("Raw profile type exif", f"\nexif\n{len(raw):8}\n{raw.hex()}\n", zip=True)
    image = resaved(photo_file("PNG", pnginfo=info))
    assert image.size == (37, 53)
    check_exif(image, 37, 53)
    assert "Raw profile type exif" not in image.info


@pytest.mark.parametrize(
    "block", [b"", b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM"]
)
def test_exif_that_cannot_be_read_is_left_out(block):
    assert upright_block(block, 1, 1) is None
    assert resaved(photo_file("JPEG", exif=block)).getexif().get(ORIENTATION, 1) == 1


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(6, 1200), st.integers(0, 255)), max_size=6), st.data())
def test_damaged_exif_never_stops_a_photo(hits, data):
    block = bytearray(exif_block(data.draw(st.integers(0, 9)), data.draw(st.sampled_from("<>"))))
    for place, value in hits:
        block[place % (len(block) - 6) + 6] = value
    end = data.draw(st.sampled_from([len(block), 200, 60, 14]))
    block = bytes(block[:end])
    photo = load_photo(photo_file("JPEG", exif=block))
    for target in ("JPEG", "TIFF"):
        assert (
            load_photo(encode_photo(photo, photo.rgb, target=target)).rgb.shape == photo.rgb.shape
        )


def test_exif_too_long_for_a_jpeg_loses_the_makers_note_first():
    photo = load_photo(photo_file("PNG", exif=exif_block(6, note=b"n" * 70000)))
    image = opened(encode_photo(photo, photo.rgb, target="JPEG"))
    assert image.getexif()[MAKE] == "Acme"
    assert image.getexif().get_ifd(EXIF)[TAKEN] == "2020:01:02 03:04:05"
    assert MAKER_NOTE not in image.getexif().get_ifd(EXIF)
    image = opened(encode_photo(photo, photo.rgb))
    assert image.getexif().get_ifd(EXIF)[MAKER_NOTE] == b"n" * 70000
    assert shrink_exif(exif_block(), 50) is None


def test_orientation_in_xmp_alone_turns_the_photo_once():
    for form in ("JPEG", "PNG", "WEBP"):
        photo = load_photo(photo_file(form, xmp=PACKET))
        assert photo.rgb.shape == (53, 37, 3)
        image = opened(encode_photo(photo, photo.rgb))
        assert image.size == (37, 53)
        np.testing.assert_array_equal(np.asarray(ImageOps.exif_transpose(image)), np.asarray(image))


def test_the_orientation_of_a_damaged_packet_is_mended_too():
    for broken in (
        b'<rdf tiff:Orientation="6" <<',
        b"<tiff:Orientation>6</tiff",
        b"tiff:Orientation='6'<",
    ):
        mended = upright_xmp(broken, 3, 4)
        assert mended == broken.replace(b"6", b"1")


@pytest.mark.parametrize("form", WRITERS)
def test_xmp_says_what_is_true_of_the_upright_picture(form):
    data = photo_file(form, exif=exif_block(6), xmp=PACKET)
    image = resaved(data)
    values = values_of(xmp_of(image))
    assert values.get("{http://ns.adobe.com/tiff/1.0/}Orientation", "1") == "1"
    assert values["{http://ns.adobe.com/exif/1.0/}PixelXDimension"] == "37"
    assert values["{http://ns.adobe.com/tiff/1.0/}ImageLength"] == "53"
    assert "{http://ns.adobe.com/xap/1.0/}Thumbnails" not in values
    assert values["{http://example.com/acme/}Roll"] == "17"
    assert values[f"{{{IPTC}}}DigitalSourceType"].endswith("digitalCapture")
    check_exif(image, 37, 53)


@pytest.mark.parametrize("xmp", [None, PACKET])
@pytest.mark.parametrize("form", WRITERS)
def test_pillow_reads_the_mark_from_each_format(form, xmp):
    photo = load_photo(photo_file(form, exif=exif_block(6), icc=SRGB, xmp=xmp))
    marked = provenance_xmp(photo.xmp, "faceflex", "1.0 (model ab)", {"smile": "+1.5", "age": "-1"})
    image = opened(encode_photo(photo, photo.rgb, xmp=marked))
    assert source_types(image) == [DIGITAL_SOURCE_TYPE]
    values = values_of(xmp_of(image))
    assert values[f"{{{IPTC}}}AISystemUsed"] == "faceflex"
    assert values[f"{{{IPTC}}}AISystemVersionUsed"] == "1.0 (model ab)"
    assert values[f"{{{IPTC}}}AIPromptInformation"] == "smile=+1.5, age=-1"
    check_exif(image, 37, 53)
    assert image.info["icc_profile"] == SRGB
    if xmp:
        assert values[f"{{{IPTC}}}Event"] == "a wedding"
        assert values["{http://purl.org/dc/elements/1.1/}creator"] == "Zoë & Jörg"


@pytest.mark.parametrize("form", ["JPEG", "PNG-16"])
@pytest.mark.parametrize("target", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_the_mark_survives_a_change_of_format(form, target):
    photo = load_photo(photo_file(form, xmp=PACKET))
    marked = provenance_xmp(photo.xmp, "faceflex", "1", {})
    image = opened(encode_photo(photo, photo.rgb, target=target, xmp=marked))
    assert source_types(image) == [DIGITAL_SOURCE_TYPE]


def test_a_mark_without_a_packet_makes_one():
    for xmp in (None, b"", b"\0\0 \n"):
        values = values_of(provenance_xmp(xmp, "faceflex", "1", {"smile": "1"}))
        assert values[f"{{{IPTC}}}DigitalSourceType"] == DIGITAL_SOURCE_TYPE
        assert values[f"{{{RDF}}}about"] == ""


def test_a_mark_replaces_an_older_one_and_keeps_all_else():
    once = provenance_xmp(PACKET, "faceflex", "1", {"smile": "1"})
    twice = provenance_xmp(once, "faceflex", "2", {"age": "2"})
    assert twice.count(b"DigitalSourceType=") == 1
    assert b"digitalCapture" not in once
    values = values_of(twice)
    assert values[f"{{{IPTC}}}DigitalSourceType"] == DIGITAL_SOURCE_TYPE
    assert values[f"{{{IPTC}}}AIPromptInformation"] == "age=2"
    assert values["{http://example.com/acme/}Note"] == "1 < 2"
    assert values["{http://example.com/acme/}Roll"] == "17"
    assert values["{http://purl.org/dc/elements/1.1/}creator"] == "Zoë & Jörg"
    assert values[f"{{{RDF}}}about"] == "uuid:1"  # One picture, one name.
    assert b"acme:Roll" in twice  # Some readers look for prefixes.
    old = b"<Iptc4xmpExt:DigitalSourceType>x</Iptc4xmpExt:DigitalSourceType>"
    element = PACKET.replace(b"<dc:creator>", old + b"<dc:creator>")
    marked = provenance_xmp(element, "faceflex", "1", {})
    assert marked.count(b"DigitalSourceType") == 1


def test_a_packet_without_its_outer_element_is_kept():
    bare = PACKET[PACKET.index(b"<rdf:RDF") : PACKET.index(b"</x:xmpmeta")]
    values = values_of(provenance_xmp(bare, "faceflex", "1", {}))
    assert values["{http://example.com/acme/}Roll"] == "17"
    assert values[f"{{{IPTC}}}DigitalSourceType"] == DIGITAL_SOURCE_TYPE


def bomb(encoding="utf-8", size=9):
    levels = "".join(f'<!ENTITY b{i + 1} "{f"&b{i};" * 10}">' for i in range(size))
    text = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY b0 "boom">{levels}]>'
    text += '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf='
    text += f'"{RDF}"><rdf:Description rdf:about="">&b'
    text += f"{size};</rdf:Description></rdf:RDF></x:xmpmeta>"
    return text.encode(encoding)


@pytest.mark.parametrize(
    "xmp",
    [
        PACKET[:300],
        b"not XML at all",
        b"\xff\xfe\x00\x01",
        b"<a/>",
        PACKET.replace(b"Zo", b"\xe9\xff"),
        b'<?xml version="1.0" encoding="none-such"?><a/>',
        bomb(),
        bomb("utf-16"),
        bomb("utf-16-be"),
        bomb(size=1),
        bomb("utf-16", size=1),
        PACKET.replace(b"<dc:creator>", b"<a>" * 5000 + b"</a>" * 5000 + b"<dc:creator>"),
    ],
    ids=["cut", "text", "binary", "no-rdf", "bad-utf8", "encoding", "bomb", "bomb-16",
         "bomb-16-be", "small-bomb", "small-bomb-16", "deep"],
)  # fmt: skip
def test_a_damaged_or_hostile_packet_is_replaced(xmp):
    marked = provenance_xmp(xmp, "faceflex", "1", {"smile": "1"})
    assert len(marked) < 1200
    assert b"boom" not in marked
    assert values_of(marked)[f"{{{IPTC}}}DigitalSourceType"] == DIGITAL_SOURCE_TYPE
    assert len(upright_xmp(xmp, 3, 4)) <= len(xmp)


def test_an_entity_bomb_in_a_file_is_not_expanded():
    photo = load_photo(photo_file("PNG", xmp=bomb()))
    marked = provenance_xmp(photo.xmp, "faceflex", "1", {})
    image = opened(encode_photo(photo, photo.rgb, xmp=marked))
    assert source_types(image) == [DIGITAL_SOURCE_TYPE]


@settings(max_examples=60, deadline=None)
@given(st.text(), st.text())
def test_whatever_is_noted_the_packet_can_be_read(name, value):
    values = values_of(provenance_xmp(None, name, value, {name: value}))
    assert f"{{{IPTC}}}AIPromptInformation" in values


def long_packet(size):
    filling = b"".join(b"<acme:F%d>%s</acme:F%d>" % (i, b"f" * (size // 10), i) for i in range(10))
    return PACKET.replace(b"<dc:creator>", filling + b"<dc:creator>")


def test_a_packet_too_long_for_a_jpeg_loses_its_largest_fields_but_not_the_mark():
    photo = load_photo(photo_file("PNG", xmp=long_packet(80000)))
    marked = provenance_xmp(photo.xmp, "faceflex", "1", {"smile": "1"})
    image = opened(encode_photo(photo, photo.rgb, target="JPEG", xmp=marked))
    assert source_types(image) == [DIGITAL_SOURCE_TYPE]
    values = values_of(xmp_of(image))
    assert values["{http://purl.org/dc/elements/1.1/}creator"] == "Zoë & Jörg"
    assert 5 <= sum("acme/}F" in key for key in values) < 10
    whole = opened(encode_photo(photo, photo.rgb, xmp=marked))
    assert sum("acme/}F" in key for key in values_of(xmp_of(whole))) == 10
    assert shrink_xmp(b"?" * 100000) is None


@pytest.mark.parametrize("form", WRITERS)
def test_a_profile_is_kept(form):
    image = resaved(photo_file(form, icc=SRGB))
    assert image.info["icc_profile"] == SRGB


@pytest.mark.parametrize(("form", "mode"), [("PNG-16", "RGBA"), ("PNG-16", "LA"), ("PNG", "L"),
                                            ("JPEG", "L"), ("TIFF", "L")])  # fmt: skip
def test_a_profile_is_kept_for_other_kinds_of_pixels(form, mode):
    profile = SRGB if mode == "RGBA" else gray_profile()
    data = photo_file(form, mode, icc=profile)
    assert resaved(data).info["icc_profile"] == profile


def test_a_profile_goes_when_the_kind_of_pixels_changes():
    printer = cmyk_profile()
    for form in ("JPEG", "TIFF"):
        data = photo_file(form, "CMYK", icc=printer)
        assert resaved(data).info["icc_profile"] == printer
        for target in ("PNG", "WEBP"):
            image = resaved(data, target=target)
            assert image.mode == "RGB"
            assert "icc_profile" not in image.info
        other = {"JPEG": "TIFF", "TIFF": "JPEG"}[form]
        image = resaved(data, target=other)
        assert (image.mode, image.info["icc_profile"]) == ("CMYK", printer)
    gray = photo_file("PNG", "L", icc=gray_profile())
    assert "icc_profile" not in resaved(gray, target="WEBP").info
    assert resaved(gray, target="JPEG").info["icc_profile"] == gray_profile()
    assert resaved(photo_file("PNG", "RGBA", icc=SRGB), target="JPEG").info["icc_profile"] == SRGB
    assert resaved(photo_file("PNG-16", icc=SRGB), target="JPEG").info["icc_profile"] == SRGB
    assert resaved(photo_file("JPEG", icc=SRGB), target="TIFF").info["icc_profile"] == SRGB


def test_a_cmyk_photo_becomes_the_rgb_that_was_shown():
    photo = load_photo(photo_file("TIFF", "CMYK", icc=cmyk_profile()))
    image = opened(encode_photo(photo, photo.rgb, target="PNG"))
    np.testing.assert_array_equal(np.asarray(image), photo.rgb)


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("quality", [35, 88])
def test_a_jpeg_is_encoded_as_it_was(subsampling, progressive, quality):
    data = photo_file("JPEG", quality=quality, subsampling=subsampling, progressive=progressive)
    before, after = opened(data), resaved(data)
    assert after.quantization == before.quantization
    assert after.layer == before.layer
    assert bool(after.info.get("progressive")) == progressive


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_gray_and_cmyk_jpeg_keep_their_tables(mode):
    data = photo_file("JPEG", mode, quality=60, progressive=True)
    before, after = opened(data), resaved(data)
    assert after.mode == mode
    assert after.quantization == before.quantization
    assert after.info["progressive"]
    if mode == "CMYK":
        assert after.info["adobe_transform"] == before.info["adobe_transform"]


def test_a_sampling_that_cannot_be_written_loses_no_colour():
    flags = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440]
    data = cv2.imencode(".jpg", smooth(3), flags)[1].tobytes()
    assert opened(data).layer[0][1:3] == (1, 2)
    assert {part[1:3] for part in resaved(data).layer} == {(1, 1)}


def test_a_picture_from_elsewhere_becomes_a_jpeg_of_high_quality():
    image = resaved(photo_file("PNG"), target="JPEG")
    assert max(image.quantization[0]) < 15


def test_a_jpeg_comment_is_kept():
    assert resaved(photo_file("JPEG", comment=b"hello")).info["comment"] == b"hello"


@pytest.mark.parametrize("target", [None, "JPEG", "PNG", "TIFF", "BMP"])
@pytest.mark.parametrize("form", [*(w for w in WRITERS if w != "WEBP"), "BMP"])
def test_the_resolution_is_kept(form, target):
    if form == "PNG-16":
        data = photo_file(form, extra=chunk(b"pHYs", struct.pack(">IIB", 11811, 7874, 1)))
    elif form == "TIFF-16":
        data = photo_file(form, resolution=(300, 200), resolutionunit=2)
    else:
        data = photo_file(form, dpi=(300, 200))
    dpi = resaved(data, target=target).info["dpi"]
    assert tuple(float(v) for v in dpi) == pytest.approx((300, 200), abs=0.1)


def test_the_resolution_of_the_file_itself_counts_in_a_tiff():
    data = photo_file("JPEG", exif=exif_block(6), dpi=(150, 100))
    assert resaved(data, target="TIFF").info["dpi"] == (150, 100)
    data = photo_file("WEBP", exif=exif_block(6))
    assert resaved(data, target="TIFF").info["dpi"] == (300, 300)


@pytest.mark.parametrize("form", ["TIFF", "TIFF-16"])
def test_a_resolution_per_centimetre_is_kept(form):
    buffer = io.BytesIO()
    pixels = deep(3) if form == "TIFF-16" else smooth(3)
    tifffile.imwrite(buffer, pixels, photometric="rgb", resolution=(100, 100), resolutionunit=3)
    image = resaved(buffer.getvalue())
    assert float(image.info["dpi"][0]) == pytest.approx(254, abs=0.1)


def test_a_resolution_that_is_nonsense_is_left_out():
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, smooth(3), photometric="rgb", resolution=(77, 99), resolutionunit=2)
    ratios = struct.pack("<II", 77, 1), struct.pack("<II", 99, 1)
    data = buffer.getvalue()
    assert all(data.count(ratio) == 1 for ratio in ratios)
    for wrong in ((0, 0), (1, 0), (0, 1), (2**32 - 1, 1)):
        broken = data
        for ratio in ratios:
            broken = broken.replace(ratio, struct.pack("<II", *wrong))
        for target in ("TIFF", "JPEG", "PNG"):
            assert resaved(broken, target=target).size == (53, 37)


@pytest.mark.parametrize("form", ["PNG", "PNG-16"])
def test_what_a_png_says_of_its_colours_and_in_its_texts_is_kept(form):
    gamma = struct.pack(">I", 45455)
    if form == "PNG":
        info = PngImagePlugin.PngInfo()
        info.add(b"gAMA", gamma)
        info.add_text("Author", "Jörg")
        info.add_itxt("Title", "Zoë", zip=True)
        data = photo_file(form, pnginfo=info, xmp=PACKET)
    else:
        extra = chunk(b"gAMA", gamma) + chunk(b"tEXt", "Author\0Jörg".encode("latin-1"))
        extra += chunk(b"iTXt", b"Title\0\0\0\0\0" + "Zoë".encode())
        data = photo_file(form, extra=extra, xmp=PACKET)
    photo = load_photo(data)
    saved = encode_photo(photo, photo.rgb, xmp=provenance_xmp(photo.xmp, "faceflex", "1", {}))
    image = opened(saved)
    assert image.info["gamma"] == pytest.approx(0.45455)
    assert image.text["Author"] == "Jörg"
    assert image.text["Title"] == "Zoë"
    assert saved.count(b"XML:com.adobe.xmp") == 1


@pytest.mark.parametrize("form", ["PNG", "PNG-16"])
@pytest.mark.parametrize("icc", [None, SRGB])
def test_a_png_has_either_a_profile_or_the_word_srgb(form, icc):
    if form == "PNG":
        info = PngImagePlugin.PngInfo()
        info.add(b"sRGB", b"\0")
        photo = load_photo(photo_file(form, pnginfo=info))
    else:
        photo = load_photo(photo_file(form, extra=chunk(b"sRGB", b"\0")))
    photo = replace(photo, icc=icc)
    saved = encode_photo(photo, photo.rgb)
    assert (chunk(b"sRGB", b"\0") in saved) == (icc is None)
    assert opened(saved).info.get("icc_profile") == icc


def test_metadata_behind_the_pixels_of_a_16_bit_png_is_found():
    data = raw_png(deep(3), 2)
    late = chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + PACKET)
    late += chunk(b"eXIf", exif_block(6).removeprefix(PREFIX))
    image = resaved(data[:-12] + late + data[-12:])
    assert image.size == (37, 53)
    check_exif(image, 37, 53)
    assert values_of(xmp_of(image))[f"{{{IPTC}}}Event"] == "a wedding"


def test_a_bmp_carries_no_metadata_but_its_picture():
    photo = load_photo(photo_file("JPEG", exif=exif_block(6), icc=SRGB, xmp=PACKET))
    image = opened(encode_photo(photo, photo.rgb, target="BMP"))
    np.testing.assert_array_equal(np.asarray(image), photo.rgb)


def test_a_photo_without_metadata_gets_none():
    for form in WRITERS:
        photo = load_photo(photo_file(form))
        assert (photo.icc, photo.xmp) == (None, None)
        image = opened(encode_photo(photo, photo.rgb))
        assert "icc_profile" not in image.info
        assert xmp_of(image) is None
        assert ARTIST not in image.getexif()
        assert 305 not in image.getexif()


def test_an_error_in_encoding_names_the_photo():
    photo = load_photo(photo_file("PNG"), "friend.png")
    with pytest.raises(PhotoError, match=r"^friend\.png: cannot be encoded as NONE"):
        encode_photo(photo, photo.rgb, target="NONE")
