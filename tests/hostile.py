"""A folder of hostile files: damaged, lying, absurd and special ones, always the same.

``python -m tests.hostile FOLDER`` writes it. ``python -m tests.hostile FOLDER --run OUT`` also
edits all of it with one command, and reports what became of each file.
"""

from __future__ import annotations

import io
import os
import socket
import struct
import sys
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image, ImageCms

from faceflex.photo.exif import add_to_tiff

PORTRAIT = Path(__file__).parent.parent / "examples" / "portrait.jpg"
SIDE = 180
_FLIPS = 20
_XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-'
    b'syntax-ns#"><rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" rdf:about="" '
    b'tiff:Orientation="1"/></rdf:RDF></x:xmpmeta>'
)


@cache
def face() -> Image.Image:
    """Return the example photo, small."""
    return Image.open(PORTRAIT).convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def exif() -> bytes:
    """Return EXIF with a directory below, GPS and a maker's note."""
    found = Image.Exif()
    found[0x0112], found[0x010F] = 1, "Maker"
    found.get_ifd(0x8769).update({0x9003: "2020:01:02 03:04:05", 0x927C: b"note" * 20})
    found.get_ifd(0x8825)[1] = "N"
    return found.tobytes()


def profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def saved(form: str, picture: Image.Image | None = None, **options: object) -> bytes:
    buffer = io.BytesIO()
    (picture or face()).save(buffer, form, **options)
    return buffer.getvalue()


def tiff(pixels: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, **{"metadata": None, **options})
    return buffer.getvalue()


def chunk(kind: bytes, body: bytes, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return struct.pack(">I", size) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_with(*chunks: bytes, data: bytes | None = None) -> bytes:
    """Return a PNG with chunks put behind its header."""
    data = data or saved("PNG")
    return data[:33] + b"".join(chunks) + data[33:]


def jpeg_with(*segments: tuple[int, bytes]) -> bytes:
    """Return a JPEG with segments (marker, body) put at its start."""
    data = saved("JPEG", quality=90)
    parts = (struct.pack(">BBH", 0xFF, m, len(body) + 2) + body for m, body in segments)
    return data[:2] + b"".join(parts) + data[2:]


@cache
def bases() -> dict[str, bytes]:
    """Return a whole file of each kind, by a name with its suffix."""
    deep = np.asarray(face()).astype(np.uint16) * 257
    notes = {"exif": exif(), "icc_profile": profile()}
    found = {
        "baseline.jpg": saved("JPEG", quality=90, xmp=_XMP, dpi=(300, 300), **notes),
        "progressive.jpg": saved("JPEG", quality=80, progressive=True, **notes),
        "cmyk.jpg": saved("JPEG", face().convert("CMYK")),
        "rgb.png": saved("PNG", **notes),
        "palette.png": saved("PNG", face().quantize(64)),
        "lossy.webp": saved("WEBP", xmp=_XMP, **notes),
        "lossless.webp": saved("WEBP", lossless=True),
        "raw.tif": saved("TIFF", **notes),
        "lzw.tif": saved("TIFF", compression="tiff_lzw"),
        "deep.tif": tiff(deep, photometric="rgb", compression="zlib"),
        "rgb.bmp": saved("BMP"),
        "gray.bmp": saved("BMP", face().convert("L")),
    }
    from faceflex.photo.load import FORMATS

    if "AVIF" in FORMATS:
        found["colour.avif"] = saved("AVIF", speed=10, exif=exif(), xmp=_XMP)
    return found


def _cut(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Cut a file in its head, between, and just before its end."""
    size = len(data)
    places = {1, 2, 3, 4, 7, 8, 12, 16, 21, 27, 33, 54, 130, 300, 700}
    places |= {size * n // 8 for n in range(1, 8)} | {size - n for n in (1, 2, 5, 12, 40)}
    for place in sorted(p for p in places if 0 < p < size):
        yield f"cut-{place}", data[:place]


def _hit(data: bytes, seed: int) -> Iterator[tuple[str, bytes]]:
    """Change bytes: half of the times near the start, where the structure is."""
    rng = np.random.default_rng(seed)
    for number in range(_FLIPS):
        out = bytearray(data)
        reach = len(data) if number % 2 else min(len(data), 600)
        for at in rng.integers(0, reach, 1 + number // 4):
            out[at] ^= int(rng.integers(1, 256))
        yield f"hit-{number}", bytes(out)


def _declared() -> Iterator[tuple[str, bytes]]:
    """Sizes that are declared and not there, and pictures of absurd shape."""
    for width, height in ((60000, 60000), (2**31 - 1, 2**31 - 1), (0, 0), (13000, 13000), (1, 1)):
        head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        data = saved("PNG")
        yield f"says-{width}x{height}.png", data[:8] + chunk(b"IHDR", head) + data[33:]
        bmp = bytearray(saved("BMP"))
        bmp[18:26] = struct.pack("<ii", width, -height if width == 13000 else height)
        yield f"says-{width}x{height}.bmp", bytes(bmp)
        jpeg = bytearray(saved("JPEG"))
        at = jpeg.index(b"\xff\xc0")
        jpeg[at + 5 : at + 9] = struct.pack(">HH", min(height, 65535), min(width, 65535))
        yield f"says-{width}x{height}.jpg", bytes(jpeg)
        for tag, count in ((256, width), (257, height), (273, width), (279, width), (277, 60000)):
            yield f"says-{tag}-{count}-{width}.tif", _tiff_says(tag, count)
        webp = bytearray(saved("WEBP", exif=exif()))
        webp[24:30] = struct.pack("<I", min(width, 2**24) - 1 & 0xFFFFFF)[:3] * 2
        yield f"says-{width}x{height}.webp", bytes(webp)
    shapes = {"1x1": (1, 1), "2x3": (2, 3), "20000x1": (20000, 1), "1x20000": (1, 20000)}
    shapes |= {"65500x1": (65500, 1), "65000x24": (65000, 24), "24x65000": (24, 65000)}
    for name, size in shapes.items():
        picture = face().resize(size)
        for form, suffix in (("JPEG", "jpg"), ("PNG", "png"), ("TIFF", "tif"), ("BMP", "bmp")):
            yield f"shape-{name}.{suffix}", saved(form, picture)
    yield "shape-16383x9.webp", saved("WEBP", face().resize((16383, 9)))
    wide = Image.new("RGB", (40000, SIDE))
    wide.paste(face(), (33000, 0))
    yield "face-in-40000x180.jpg", saved("JPEG", wide, quality=90)
    # What these declare is there, but nearly all of it is one colour.
    yield "solid-12000x9000.png", saved("PNG", Image.new("1", (12000, 9000)))
    yield "solid-9000x9000.tif", saved("TIFF", Image.new("L", (9000, 9000)), compression="tiff_lzw")


def _tiff_says(tag: int, value: int) -> bytes:
    """Return a TIFF with one value changed: of a width, an offset, a length or a count."""
    data = bytearray(saved("TIFF"))
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    for at in range(start + 2, start + 2 + 12 * count, 12):
        if struct.unpack_from("<H", data, at)[0] == tag:
            data[at : at + 12] = struct.pack("<HHII", tag, 4, 1, value)
    return bytes(data)


def _ifd(*entries: tuple[int, int, int, int], link: int = 0, at: int = 8) -> bytes:
    body = b"".join(struct.pack("<HHII", *e) for e in entries)
    head = b"II*\0" + struct.pack("<I", at)
    return head + struct.pack("<H", len(entries)) + body + struct.pack("<I", link)


def _notes() -> Iterator[tuple[str, bytes]]:
    """Metadata that leads nowhere, round in circles, or is far too much."""
    rng = np.random.default_rng(5)
    noise = rng.bytes(70_000)
    blocks = {
        "loop": _ifd((0x8769, 4, 1, 8), (0x8825, 4, 1, 8), (0xA005, 4, 1, 8), link=8),
        "link-to-self": _ifd((0x0112, 3, 1, 6), link=8),
        "interop-loop": _ifd((0x8769, 4, 1, 26), link=0)
        + struct.pack("<HHHIII", 1, 0xA005, 4, 1, 26, 26),
        "many-same": _ifd(*[(0x8769, 4, 1, 8)] * 4000),
        "huge-count": _ifd((0x010F, 2, 2**32 - 1, 8), (0x8769, 4, 2**31, 8)),
        "far": _ifd((0x0112, 3, 1, 3), at=2**32 - 4),
        "kinds": _ifd(*[(0x0100 + k, k, 5, 8) for k in range(40)]),
        "noise": b"II*\0" + noise[:60_000],
        "empty": b"",
        "big": b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 2**63),
        "orientation-text": _ifd((0x0112, 2, 3, 0x363636)),
    }
    for name, block in blocks.items():
        yield f"exif-{name}.jpg", jpeg_with((0xE1, b"Exif\0\0" + block))
        yield f"exif-{name}.png", png_with(chunk(b"eXIf", block))
        yield f"exif-{name}.webp", saved("WEBP", exif=b"Exif\0\0" + block)
    good = bytearray(profile())
    wrong_class, huge, tags = good[:], good[:], good[:]
    wrong_class[12:20] = b"prtrCMYK"
    huge[0:4] = b"\xff\xff\xff\xff"
    tags[128:132] = b"\xff\xff\xff\xff"
    itself = good[:]
    for entry in range(132, 132 + 12 * int.from_bytes(good[128:132], "big"), 12):
        itself[entry + 4 : entry + 12] = struct.pack(">II", 128, len(good))
    profiles = {"noise": noise[:5000], "class": wrong_class, "huge": huge, "tags": tags,
                "itself": itself, "long": good + bytes(5_000_000), "short": good[:99]}  # fmt: skip
    for name, one in profiles.items():
        yield f"icc-{name}.png", saved("PNG", icc_profile=bytes(one))
        yield f"icc-{name}.tif", saved("TIFF", face().convert("CMYK"), icc_profile=bytes(one))
        yield f"icc-{name}.webp", saved("WEBP", icc_profile=bytes(one))
        if len(one) < 1_000_000:
            yield f"icc-{name}.jpg", saved("JPEG", face().convert("CMYK"), icc_profile=bytes(one))
    xmp = b"http://ns.adobe.com/xap/1.0/\0"
    entities = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]><x>&b;</x>'
    for name, packet in {
        "deep": b"<a>" * 15_000,
        "entities": entities,
        "noise": noise[:50_000],
        "utf-16": "<?xml version='1.0' encoding='utf-16'?><a/>".encode("utf-16"),
        "wrong-code": b"<?xml version='1.0' encoding='klingon'?><a/>",
        "cut": _XMP[:-20],
    }.items():
        yield f"xmp-{name}.jpg", jpeg_with((0xE1, xmp + packet))
        yield f"xmp-{name}.webp", saved("WEBP", xmp=packet)
        yield f"xmp-{name}.png", png_with(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet))
    yield "many-comments.jpg", jpeg_with(*[(0xFE, b"comment" * 900)] * 300)
    yield "mpf-noise.jpg", jpeg_with((0xE2, b"MPF\0" + noise[:300]))
    yield "mpf-loop.jpg", jpeg_with((0xE2, b"MPF\0" + _ifd((0xB001, 4, 1, 2**31), link=8)))
    yield "photoshop.jpg", jpeg_with((0xED, b"Photoshop 3.0\0" + b"8BIM\x04\x04\xff" + noise[:90]))
    for tag, one in ((33723, b"\x1c\2\x78\0\0"), (34377, b"8BIM\4\5" + bytes(6))):
        yield f"many-{tag}.tif", add_to_tiff(saved("TIFF"), None, {tag: one * 300_000})


def _bombs() -> Iterator[tuple[str, bytes]]:
    """Little that unpacks to much."""
    much = zlib.compress(bytes(80_000_000), 9)
    yield "bomb-ztxt.png", png_with(chunk(b"zTXt", b"Comment\0\0" + much))
    yield "bomb-iccp.png", png_with(chunk(b"iCCP", b"ICC\0\0" + much))
    yield "bomb-itxt.png", png_with(chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + much))
    yield "bomb-many-texts.png", png_with(*[chunk(b"tEXt", b"k\0" + b"v" * 1000)] * 3000)
    yield "bomb-idat.png", png_with(chunk(b"IDAT", much))
    yield "chunk-length.png", png_with(chunk(b"tEXt", b"k\0v", 2**31))
    yield "chunk-negative.png", png_with(chunk(b"tEXt", b"k\0v", 2**32 - 1))
    webp = bytearray(bases()["lossy.webp"])
    yield "riff-short.webp", bytes(webp[:4] + struct.pack("<I", 4) + webp[8:])
    yield "riff-long.webp", bytes(webp[:4] + struct.pack("<I", 2**32 - 1) + webp[8:])
    yield "riff-chunk.webp", bytes(webp[:16] + struct.pack("<I", 2**32 - 9) + webp[20:])


def _kinds() -> Iterator[tuple[str, bytes]]:
    """Pixels that are no photo's, pages, and files of two kinds at once."""
    gray = np.asarray(face().convert("L"))
    rgb = np.asarray(face())
    odd = gray.astype(np.float32) / 255
    odd[::3], odd[1::3] = np.nan, np.inf
    for kind in ("float16", "float32", "float64", "int8", "int16", "int32", "uint32", "uint64"):
        values = odd if kind.startswith("float") else gray // 2
        yield f"kind-{kind}.tif", tiff(values.astype(kind), photometric="minisblack")
    yield "kind-float-rgb.tif", tiff(np.dstack([odd] * 3), photometric="rgb")
    yield "kind-complex64.tif", tiff(gray.astype(np.complex64), photometric="minisblack")
    yield "kind-2-channels.tif", tiff(rgb[..., :2].copy(), photometric="minisblack")
    yield "kind-5-channels.tif", tiff(np.dstack([rgb, rgb[..., :2]]), photometric="rgb",
                                      extrasamples=[0, 0])  # fmt: skip
    yield "kind-lab.tif", saved("TIFF", face().convert("LAB"))
    yield "kind-float.tif", saved("TIFF", face().convert("F"))
    yield "pages-1000.tif", tiff(np.zeros((1000, 8, 8), np.uint8), photometric="minisblack")
    yield "animated.webp", saved("WEBP", save_all=True, append_images=[face().rotate(9)])
    yield "animated.png", saved("PNG", save_all=True, append_images=[face().rotate(9)])
    link = bytearray(saved("TIFF"))
    (start,) = struct.unpack_from("<I", link, 4)
    at = start + 2 + 12 * struct.unpack_from("<H", link, start)[0]
    link[at : at + 4] = struct.pack("<I", start)
    yield "pages-loop.tif", bytes(link)
    jpeg, png = bases()["baseline.jpg"], bases()["rgb.png"]
    archive = b"PK\3\4" + bytes(40) + b"PK\5\6" + bytes(18)
    yield "and-zip.jpg", jpeg + archive
    yield "and-jpeg.png", png + jpeg
    yield "and-png.jpg", jpeg + png
    yield "two.jpg", jpeg + jpeg
    yield "and-html.gif.jpg", b"GIF89a/*" + b"<html><script>alert(1)</script>*/" + jpeg
    yield "page.jpg", b"<!DOCTYPE html><html><body>404</body></html>"
    yield "vector.png", b'<svg xmlns="http://www.w3.org/2000/svg"><rect width="9"/></svg>'
    yield "script.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/hosts) run\n"
    for suffix in (".jpg", ".png", ".webp", ".tif", ".bmp"):
        yield f"nothing{suffix}", b""
        yield f"zeros{suffix}", bytes(100_000)
        yield f"ones{suffix}", b"\xff" * 5000
        yield f"noise{suffix}", np.random.default_rng(len(suffix)).bytes(20_000)


def _names() -> Iterator[tuple[str, bytes]]:
    """Whole photos under names that are hard to handle."""
    good = saved("JPEG", quality=80)
    for name in ("new\nline.jpg", "-o.jpg", "--help.jpg", "\U0001f600.jpg", "it's \"it\".jpg",
                 "$(reboot).jpg", "`a`;b&c|d.jpg", "[a-z]*.jpg", "%s%n{0}.jpg", "\x1b[31mred.jpg",
                 "non-utf-8-\udcff\udcfe.jpg", "space .jpg", " .jpg", ".hidden.jpg", "CON.jpg",
                 "nul.jpg", "com1.txt.jpg", "a" * 251 + ".jpg", "ü" * 125 + ".jpg",
                 "dots..jpg", "tab\t.jpg", "\u202egpj.jpg", "~.jpg", "~root.jpg", "-.jpg",
                 "back\\slash.jpg", "colon:.jpg"):  # fmt: skip
        yield name, good


def files() -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each plain file."""
    suffixes = sorted({Path(name).suffix for name in bases()})
    for number, (name, data) in enumerate(bases().items()):
        stem, suffix = Path(name).stem, Path(name).suffix
        yield f"whole-{name}", data
        for kind, changed in (*_cut(data), *_hit(data, number)):
            yield f"{stem}-{kind}{suffix}", changed
        other = suffixes[(suffixes.index(suffix) + 1) % len(suffixes)]
        yield f"wrong-{stem}-{suffix[1:]}{other}", data
    for more in (_declared, _notes, _bombs, _kinds, _names):
        yield from more()


def special(folder: Path) -> None:
    """Make what is no plain file: folders, links, a pipe, a socket, devices."""
    (folder / "a-folder.jpg").mkdir()
    (folder / "unreadable.jpg").write_bytes(bases()["baseline.jpg"])
    (folder / "unreadable.jpg").chmod(0)
    with (folder / "sparse.jpg").open("wb") as file:
        file.truncate(1 << 34)
    links = {"loop-1.jpg": "loop-2.jpg", "loop-2.jpg": "loop-1.jpg", "itself.jpg": "itself.jpg",
             "dangling.jpg": "gone", "to-folder.jpg": ".", "good-link.jpg": "whole-baseline.jpg",
             "zero.jpg": "/dev/zero", "full.jpg": "/dev/full", "null.jpg": "/dev/null",
             "random.png": "/dev/urandom", "terminal.jpg": "/dev/tty"}  # fmt: skip
    for name, target in links.items():
        (folder / name).symlink_to(target)
    os.mkfifo(folder / "pipe.jpg")
    here = Path.cwd()
    os.chdir(folder)  # A socket's path is short.
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("socket.jpg")
    finally:
        os.chdir(here)


def write(folder: Path) -> int:
    """Write the whole corpus to a new folder; return how many there are."""
    folder.mkdir(parents=True)
    for name, data in files():
        path = folder / name
        assert not path.exists(), name
        path.write_bytes(data)
    special(folder)
    return sum(1 for _ in os.scandir(folder))


if __name__ == "__main__":
    if Path(sys.argv[1]).exists():
        sys.exit(f"{sys.argv[1]}: exists; name a new folder")
    count = write(Path(sys.argv[1]))
    sys.stdout.write(f"{count} files in {sys.argv[1]}\n")
    if sys.argv[2:3] == ["--run"]:
        from tests.hostile_run import report

        sys.exit(report(Path(sys.argv[1]), Path(sys.argv[3])))
