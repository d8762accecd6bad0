"""Photos from file to pixels and back: bit for bit where nothing was edited, or not at all."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageCms

from faceflex import files
from faceflex.errors import PhotoError, UsageError
from faceflex.photo import encode_photo, load_photo, load_rgb, write_file
from faceflex.photo.formats import format_for
from faceflex.photo.pixels import Converter

HEIGHT, WIDTH = 37, 53
BOX = np.s_[9:20, 11:31]


def smooth(channels, seed=0, height=HEIGHT, width=WIDTH):
    """Return (H, W, C) uint8 with soft colours from 30 to 225."""
    low = np.random.default_rng(seed).integers(30, 226, (5, 6, channels)).astype(np.float32)
    wide = cv2.resize(low, (width, height), interpolation=cv2.INTER_LINEAR)
    return wide.reshape(height, width, channels).astype(np.uint8)


def deep(channels, seed=0):
    """Return (H, W, C) uint16 whose low bits are noise."""
    noise = np.random.default_rng(seed).integers(0, 257, (HEIGHT, WIDTH, channels))
    return (smooth(channels, seed).astype(np.int64) * 256 + noise).astype(np.uint16)


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def raw_png(pixels, kind, depth=16, extra=b""):
    """Encode (H, W, C) with no help: PNG colour type ``kind``, chunks ``extra`` after the head."""
    height, width = pixels.shape[:2]
    values = pixels.astype(">u2" if depth == 16 else np.uint8).reshape(height, -1).view(np.uint8)
    if depth < 8:
        bits = np.unpackbits(pixels.reshape(height, width, 1), axis=2)[:, :, 8 - depth :]
        values = np.packbits(bits.reshape(height, -1), axis=1)
    rows = np.hstack([np.zeros((height, 1), np.uint8), values])
    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", head),
            extra,
            chunk(b"IDAT", zlib.compress(rows.tobytes())),
            chunk(b"IEND", b""),
        )
    )


def pillow(form, mode, **options):
    """Return a maker of a file: soft pixels of a mode, written by Pillow."""
    channels = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4}[mode]

    def make():
        pixels = smooth(channels)
        picture = Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels, mode)
        buffer = io.BytesIO()
        picture.save(buffer, form, **options)
        return buffer.getvalue()

    return make


def converted(form, change, **options):
    """Return a maker of a file: what ``change`` makes of an RGBA picture, written by Pillow."""

    def make():
        buffer = io.BytesIO()
        change(Image.fromarray(smooth(4), "RGBA")).save(buffer, form, **options)
        return buffer.getvalue()

    return make


def deep_tiff(channels, photometric, **options):
    def make():
        pixels, buffer = deep(channels), io.BytesIO()
        if options.get("planarconfig") == "separate":
            pixels = np.moveaxis(pixels, 2, 0)
        tifffile.imwrite(buffer, pixels.squeeze(), photometric=photometric, **options)
        return buffer.getvalue()

    return make


def deep_gray(form, **options):
    def make():
        buffer = io.BytesIO()
        Image.fromarray(deep(1)[:, :, 0]).save(buffer, form, **options)
        return buffer.getvalue()

    return make


def cv2_file(suffix, channels, *flags):
    def make():
        _, data = cv2.imencode(suffix, deep(channels), flags)
        return data.tobytes()

    return make


def palette(picture):
    return picture.convert("RGB").quantize(40)


def see_through_palette(picture):
    picture = palette(picture)
    picture.info["transparency"] = bytes(range(0, 240, 6))
    return picture


LZW = (cv2.IMWRITE_TIFF_COMPRESSION, 5)
LOSSLESS = {
    # name: maker, mode, deep
    "png-gray": (pillow("PNG", "L"), "L", False),
    "png-gray-alpha": (pillow("PNG", "LA"), "LA", False),
    "png-rgb": (pillow("PNG", "RGB"), "RGB", False),
    "png-rgba": (pillow("PNG", "RGBA"), "RGBA", False),
    "png-palette": (converted("PNG", palette), "RGB", False),
    "png-palette-alpha": (converted("PNG", see_through_palette), "RGBA", False),
    "png-1-bit": (converted("PNG", lambda p: p.convert("1")), "L", False),
    "png-16-gray": (deep_gray("PNG"), "L", True),
    "png-16-gray-alpha": (lambda: raw_png(deep(2), 4), "LA", True),
    "png-16-rgb": (cv2_file(".png", 3), "RGB", True),
    "png-16-rgba": (cv2_file(".png", 4), "RGBA", True),
    "tiff-gray": (pillow("TIFF", "L"), "L", False),
    "tiff-gray-alpha": (pillow("TIFF", "LA"), "LA", False),
    "tiff-rgb": (pillow("TIFF", "RGB"), "RGB", False),
    "tiff-rgb-lzw": (pillow("TIFF", "RGB", compression="tiff_lzw"), "RGB", False),
    "tiff-rgb-deflate": (pillow("TIFF", "RGB", compression="tiff_adobe_deflate"), "RGB", False),
    "tiff-rgba-lzw": (pillow("TIFF", "RGBA", compression="tiff_lzw"), "RGBA", False),
    "tiff-cmyk": (pillow("TIFF", "CMYK"), "CMYK", False),
    "tiff-cmyk-lzw": (pillow("TIFF", "CMYK", compression="tiff_lzw"), "CMYK", False),
    "tiff-16-gray": (deep_gray("TIFF"), "L", True),
    "tiff-16-gray-lzw": (deep_gray("TIFF", compression="tiff_lzw"), "L", True),
    "tiff-16-rgb": (deep_tiff(3, "rgb"), "RGB", True),
    "tiff-16-rgb-deflate": (deep_tiff(3, "rgb", compression="zlib"), "RGB", True),
    "tiff-16-rgb-lzw": (cv2_file(".tiff", 3, *LZW), "RGB", True),
    "tiff-16-rgb-big-endian": (deep_tiff(3, "rgb", byteorder=">"), "RGB", True),
    "tiff-16-rgb-planes": (deep_tiff(3, "rgb", planarconfig="separate"), "RGB", True),
    "tiff-16-rgb-bigtiff": (deep_tiff(3, "rgb", bigtiff=True), "RGB", True),
    "tiff-16-rgba": (deep_tiff(4, "rgb", extrasamples=["unassalpha"]), "RGBA", True),
    "tiff-16-rgba-lzw": (cv2_file(".tiff", 4, *LZW), "RGBA", True),
    "tiff-16-cmyk": (deep_tiff(4, "separated"), "CMYK", True),
    "bmp-gray": (pillow("BMP", "L"), "L", False),
    "bmp-rgb": (pillow("BMP", "RGB"), "RGB", False),
    "webp-rgb": (pillow("WEBP", "RGB", lossless=True), "RGB", False),
    "webp-rgba": (pillow("WEBP", "RGBA", lossless=True, exact=True), "RGBA", False),
}


@pytest.fixture(params=LOSSLESS)
def lossless(request, tmp_path):
    """A photo from a file that loses nothing, in each kind."""
    maker, mode, is_deep = LOSSLESS[request.param]
    path = tmp_path / "photo"
    path.write_bytes(maker())
    photo = load_photo(path)
    assert (photo.mode, photo.is_16bit) == (mode, is_deep)
    return photo


def expected_native(name):
    """Return the pixels that went into a lossless file, or None where a test must not know."""
    maker, mode, is_deep = LOSSLESS[name]
    if "palette" in name or "1-bit" in name:
        return None
    channels = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4}[mode]
    pixels = deep(channels) if is_deep else smooth(channels)
    if maker.__qualname__.startswith("cv2_file"):
        pixels = pixels[:, :, [2, 1, 0, 3][:channels]]
    return pixels[:, :, 0] if channels == 1 else pixels


@pytest.mark.parametrize("name", [n for n in LOSSLESS if expected_native(n) is not None])
def test_the_pixels_read_are_those_of_the_file(name):
    np.testing.assert_array_equal(load_photo(LOSSLESS[name][0]()).native, expected_native(name))


def test_a_lossless_photo_without_an_edit_keeps_every_bit(lossless):
    again = load_photo(encode_photo(lossless, lossless.rgb))
    assert (again.format, again.mode) == (lossless.format, lossless.mode)
    assert again.native.dtype == lossless.native.dtype
    np.testing.assert_array_equal(again.native, lossless.native)


def test_an_edit_changes_only_what_was_edited(lossless):
    after = lossless.rgb.copy()
    after[BOX] = np.clip(after[BOX].astype(int) + (14 if lossless.mode[0] == "L" else [20, 5, -9]),
                         0, 255)  # fmt: skip
    again = load_photo(encode_photo(lossless, after))
    outside = np.ones((HEIGHT, WIDTH), bool)
    outside[BOX] = False
    np.testing.assert_array_equal(again.native[outside], lossless.native[outside])
    changed = (after[BOX] != lossless.rgb[BOX]).any(axis=2)
    assert changed.mean() > 0.4
    assert ((again.rgb[BOX] != lossless.rgb[BOX]).any(axis=2) == changed).all()
    assert np.abs(again.rgb[BOX].astype(int) - after[BOX]).max() <= 1
    if lossless.mode in ("LA", "RGBA"):
        np.testing.assert_array_equal(again.native[..., -1], lossless.native[..., -1])
    if lossless.is_16bit and lossless.mode != "CMYK":
        difference = again.native[BOX].astype(int) - lossless.native[BOX]
        assert (difference % 257 == 0).all()  # Low bits stay inside as well.


def test_a_gray_photo_stays_gray_under_a_coloured_edit(tmp_path):
    photo = load_photo(pillow("PNG", "L")())
    after = photo.rgb.copy()
    after[BOX] = (200, 40, 90)
    again = load_photo(encode_photo(photo, after))
    assert again.native.ndim == 2
    assert abs(int(again.native[BOX].mean()) - round(0.299 * 200 + 0.587 * 40 + 0.114 * 90)) <= 1


@pytest.mark.parametrize("colour", [(250, 240, 230), (5, 5, 5), (200, 30, 90)])
def test_an_edit_of_cmyk_gets_its_colour_even_out_of_black(colour):
    inks = np.zeros((20, 30, 4), np.uint8)
    inks[..., 3] = np.linspace(0, 255, 30).astype(np.uint8)
    inks[10:, :, :3] = (90, 200, 255)
    buffer = io.BytesIO()
    Image.fromarray(inks, "CMYK").save(buffer, "TIFF")
    photo = load_photo(buffer.getvalue())
    after = photo.rgb.copy()
    after[5:15] = colour
    again = load_photo(encode_photo(photo, after))
    assert np.abs(again.rgb[5:15].astype(int) - colour).max() <= 1
    np.testing.assert_array_equal(again.native[:5], inks[:5])
    np.testing.assert_array_equal(again.native[15:], inks[15:])


def lut8(colours, table, inputs, outputs, grid):
    """Return an ICC lookup table with 8 bits and straight curves."""
    ramp = bytes(range(256))
    head = b"mft1\0\0\0\0" + bytes((inputs, outputs, grid, 0))
    unit = struct.pack(">9i", *(65536 * v for v in (1, 0, 0, 0, 1, 0, 0, 0, 1)))
    assert table.shape == (grid**inputs, outputs)
    return head + unit + ramp * inputs + np.round(table).astype(np.uint8).tobytes() + ramp * outputs


def icc(kind, space, connection, tags):
    """Return an ICC profile of version 2."""
    at, entries, bodies = 132 + 12 * len(tags), b"", b""
    for name, content in tags.items():
        body = content + b"\0" * (-len(content) % 4)
        entries += name + struct.pack(">II", at + len(bodies), len(body))
        bodies += body
    size = 132 + len(entries) + len(bodies)
    head = struct.pack(">I4sI4s4s4s", size, b"test", 0x02400000, kind, space, connection)
    head += b"\0" * 12 + b"acsp" + b"\0" * 28 + struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + entries + bodies


def text_tags(name):
    return {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(name) + 1) + name + b"\0" * 79,
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061),
    }


def gray_profile():
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, 256 * 2)
    return icc(b"mntr", b"GRAY", b"XYZ ", text_tags(b"gray") | {b"kTRC": curve})


def cmyk_profile():
    """Return a profile of a plain printer: inks take light away, gray is half printed in black."""
    lab = ImageCms.createProfile("LAB")
    srgb = ImageCms.createProfile("sRGB")

    def pass_through(transform, values, before, after):
        pixels = np.ascontiguousarray(np.round(values).astype(np.uint8)[None])
        picture = Image.frombytes(before, pixels.shape[1::-1], pixels.tobytes())
        done = ImageCms.applyTransform(picture, transform)
        return np.frombuffer(done.tobytes(), np.uint8).reshape(-1, 3), after

    def grid(count, channels):
        steps = np.linspace(0, 255, count)
        return np.stack(np.meshgrid(*[steps] * channels, indexing="ij"), -1).reshape(-1, channels)

    inks = grid(7, 4)
    light = (255 - inks[:, :3]) * (1 - inks[:, 3:] / 255)
    to_lab = ImageCms.buildTransform(srgb, lab, "RGB", "LAB")
    seen, _ = pass_through(to_lab, light, "RGB", "LAB")
    # Pillow keeps a and b signed; profiles count them from -128.
    forth = seen ^ np.array([0, 128, 128], np.uint8)
    nodes = np.round(grid(17, 3)).astype(np.uint8)
    back = ImageCms.buildTransform(lab, srgb, "LAB", "RGB")
    rgb, _ = pass_through(back, nodes ^ np.array([0, 128, 128], np.uint8), "LAB", "RGB")
    black = (255 - rgb.max(axis=1, keepdims=True)) / 2
    colours = 255 * (1 - rgb / (255 - black))
    tags = text_tags(b"plain printer") | {
        b"A2B0": lut8(inks, forth, 4, 3, 7),
        b"B2A0": lut8(nodes, np.hstack([colours, black]), 3, 4, 17),
    }
    return icc(b"prtr", b"CMYK", b"Lab ", tags)


@pytest.fixture(scope="module")
def printer():
    return cmyk_profile()


@pytest.mark.parametrize("is_deep", [False, True])
def test_cmyk_goes_through_its_profile(printer, is_deep):
    inks = smooth(4, seed=3)
    inks[:, :, 3] //= 3
    buffer = io.BytesIO()
    if is_deep:
        values = inks.astype(np.uint16) * 257
        tifffile.imwrite(buffer, values, photometric="separated", iccprofile=printer)
    else:
        Image.fromarray(inks, "CMYK").save(buffer, "TIFF", icc_profile=printer)
    photo = load_photo(buffer.getvalue())
    plain = np.asarray(Image.fromarray(inks, "CMYK").convert("RGB"))
    profiled = ImageCms.profileToProfile(
        Image.fromarray(inks, "CMYK"),
        ImageCms.ImageCmsProfile(io.BytesIO(printer)),
        ImageCms.createProfile("sRGB"),
        outputMode="RGB",
    )
    np.testing.assert_array_equal(photo.rgb, np.asarray(profiled))
    assert (photo.rgb != plain).mean() > 0.3
    after = photo.rgb.copy()
    after[BOX] = np.clip(after[BOX].astype(int) + [25, 12, 6], 0, 235)
    again = load_photo(encode_photo(photo, after))
    outside = np.ones((HEIGHT, WIDTH), bool)
    outside[BOX] = False
    np.testing.assert_array_equal(again.native[outside], photo.native[outside])
    assert np.abs(again.rgb[BOX].astype(int) - after[BOX]).mean() < 3
    assert again.icc == printer


def test_a_profile_that_is_damaged_or_of_another_kind_does_not_matter():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    plain = load_photo(pillow("TIFF", "CMYK")()).rgb
    for profile in (b"no profile at all", srgb):
        photo = load_photo(pillow("TIFF", "CMYK", icc_profile=profile)())
        np.testing.assert_array_equal(photo.rgb, plain)


@pytest.mark.parametrize(
    ("depth", "key", "expected"),
    [(1, 0, 0), (1, 1, 255), (2, 2, 170), (4, 3, 51), (8, 77, 77), (16, 30000, 30000)],
)
def test_a_gray_level_that_stands_for_nothing_becomes_alpha(depth, key, expected):
    values = np.random.default_rng(0).integers(0, 2**depth, (HEIGHT, WIDTH, 1))
    values[3:7, 4:9] = key
    values = values.astype(np.uint16 if depth == 16 else np.uint8)
    photo = load_photo(raw_png(values, 0, depth, chunk(b"tRNS", struct.pack(">H", key))))
    assert photo.mode == "LA"
    np.testing.assert_array_equal(photo.native[..., 1] == 0, values[..., 0] == key)
    assert set(photo.native[3:7, 4:9, 0].ravel()) == {expected}
    again = load_photo(encode_photo(photo, photo.rgb))
    np.testing.assert_array_equal(again.native, photo.native)


@pytest.mark.parametrize("depth", [8, 16])
def test_a_colour_that_stands_for_nothing_becomes_alpha(depth):
    values = smooth(3) if depth == 8 else deep(3)
    values[3:7, 4:9] = (12, 34, 56)
    key = chunk(b"tRNS", struct.pack(">3H", 12, 34, 56))
    photo = load_photo(raw_png(values, 2, depth, key))
    assert photo.mode == "RGBA"
    np.testing.assert_array_equal(photo.native[..., :3], values)
    np.testing.assert_array_equal(photo.native[..., 3] == 0, (values == (12, 34, 56)).all(axis=2))
    again = load_photo(encode_photo(photo, photo.rgb))
    np.testing.assert_array_equal(again.native, photo.native)


def test_premultiplied_16_bit_alpha_is_divided_out():
    pixels = deep(4)
    pixels[..., 3] = 40000
    stored = pixels.copy()
    stored[..., :3] = np.round(pixels[..., :3] * (40000 / 65535))
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, stored, photometric="rgb", extrasamples=["assocalpha"])
    photo = load_photo(buffer.getvalue())
    assert np.abs(photo.native.astype(int) - pixels).max() <= 1
    again = load_photo(encode_photo(photo, photo.rgb))
    np.testing.assert_array_equal(again.native, photo.native)


def test_a_fourth_16_bit_channel_of_unknown_use_is_not_taken_for_alpha():
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, deep(4), photometric="rgb", extrasamples=["unspecified"])
    photo = load_photo(buffer.getvalue())
    assert photo.mode == "RGB"
    np.testing.assert_array_equal(photo.native, deep(4)[..., :3])


def test_bmp_alpha_survives():
    pixels = smooth(4)
    png = load_photo(pillow("PNG", "RGBA")())
    photo = load_photo(encode_photo(png, png.rgb, target="BMP"))
    assert photo.mode == "RGBA"
    again = load_photo(encode_photo(photo, photo.rgb))
    np.testing.assert_array_equal(again.native, pixels)
    read = cv2.imdecode(np.frombuffer(encode_photo(photo, photo.rgb), np.uint8), -1)
    np.testing.assert_array_equal(read[..., 2::-1], pixels[..., :3])


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_jpeg_of_each_kind_stays_close_and_of_its_kind(mode):
    photo = load_photo(pillow("JPEG", mode, quality=95)())
    assert photo.mode == mode
    inverted = np.asarray(Image.open(io.BytesIO(pillow("JPEG", mode, quality=95)())))
    np.testing.assert_array_equal(photo.native, inverted)
    again = load_photo(encode_photo(photo, photo.rgb))
    assert (again.format, again.mode) == ("JPEG", mode)
    assert np.abs(again.native.astype(int) - photo.native).mean() < 1.5
    after = photo.rgb.copy()
    after[8:24, 16:32] = np.clip(after[8:24, 16:32].astype(int) + 25, 0, 255)
    again = load_photo(encode_photo(photo, after))
    inner = np.s_[10:22, 18:30]
    assert np.abs(again.rgb[inner].astype(int) - after[inner]).mean() < 4
    far = np.s_[:, 40:]
    assert np.abs(again.native[far].astype(int) - photo.native[far]).mean() < 1.5


def test_a_jpeg_with_a_second_view_is_edited_as_a_jpeg():
    first, second = (Image.fromarray(smooth(3, seed)) for seed in (1, 2))
    buffer = io.BytesIO()
    first.save(buffer, "MPO", save_all=True, append_images=[second], quality=95)
    photo = load_photo(buffer.getvalue())
    assert photo.format == "JPEG"
    assert np.abs(photo.rgb.astype(int) - smooth(3, 1)).mean() < 4
    again = Image.open(io.BytesIO(encode_photo(photo, photo.rgb)))
    assert again.format == "JPEG"
    assert getattr(again, "n_frames", 1) == 1


SOURCES = {
    "JPEG": pillow("JPEG", "RGB", quality=95),
    "JPEG-gray": pillow("JPEG", "L", quality=95),
    "PNG-RGBA": pillow("PNG", "RGBA"),
    "PNG-LA": pillow("PNG", "LA"),
    "PNG-16-gray": deep_gray("PNG"),
    "PNG-16-gray-alpha": lambda: raw_png(deep(2), 4),
    "PNG-16-RGB": cv2_file(".png", 3),
    "PNG-16-RGBA": cv2_file(".png", 4),
    "TIFF-CMYK": pillow("TIFF", "CMYK"),
    "TIFF-16-CMYK": deep_tiff(4, "separated"),
    "BMP": pillow("BMP", "RGB"),
    "WEBP": pillow("WEBP", "RGB", quality=95),
}


@pytest.mark.parametrize("target", ["JPEG", "PNG", "WEBP", "TIFF", "BMP"])
@pytest.mark.parametrize("name", SOURCES)
def test_a_photo_can_be_written_in_another_format(name, target):
    photo = load_photo(SOURCES[name]())
    again = load_photo(encode_photo(photo, photo.rgb, target=target))
    assert again.format == target
    difference = np.abs(again.rgb.astype(int) - photo.rgb)
    if target in ("PNG", "TIFF", "BMP"):
        assert difference.max() == 0
    else:
        assert difference.mean() < 4
    if photo.mode in ("L", "LA") and target != "WEBP" and photo.mode + target != "LABMP":
        assert photo.mode + target == "LATIFF" or again.mode[0] == "L"
    if photo.mode in ("LA", "RGBA") and target != "JPEG":
        alpha = photo.native[..., -1] if again.is_16bit or not photo.is_16bit else None
        if alpha is None:
            alpha = np.round(photo.native[..., -1] / 257)
        np.testing.assert_array_equal(again.native[..., -1], alpha)
    if photo.is_16bit:
        holds = {"PNG": photo.mode != "CMYK", "TIFF": True}
        assert again.is_16bit == holds.get(target, False)
        if again.is_16bit and again.mode == photo.mode:
            np.testing.assert_array_equal(again.native, photo.native)


@pytest.mark.parametrize(
    ("target", "size"), [("JPEG", (70000, 2)), ("WEBP", (20000, 2)), ("WEBP", (2, 20000))]
)
def test_a_size_that_a_format_cannot_hold_is_told_in_one_line(tmp_path, target, size):
    path = tmp_path / "long.png"
    Image.new("RGB", size, (9, 8, 7)).save(path)
    photo = load_photo(path)
    with pytest.raises(PhotoError) as caught:
        encode_photo(photo, photo.rgb, target=target)
    one_line(caught, path)


def test_rgb_is_read_only_and_load_rgb_gives_it(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(pillow("PNG", "RGB")())
    rgb = load_rgb(path)
    np.testing.assert_array_equal(rgb, smooth(3))
    with pytest.raises(ValueError, match="read-only"):
        rgb[0, 0] = 0


KINDS = [("L", 1), ("LA", 2), ("RGB", 3), ("RGBA", 4), ("CMYK", 4)]


@st.composite
def edits(draw):
    """Draw pixels of any kind, and an edit of some of them."""
    mode, channels = draw(st.sampled_from(KINDS))
    kind = draw(st.sampled_from([np.uint8, np.uint16]))
    height, width = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    shape = (height, width) if mode == "L" else (height, width, channels)
    native = draw(hnp.arrays(kind, shape))
    colours = draw(hnp.arrays(np.uint8, (height, width, 3)))
    where = draw(hnp.arrays(np.bool_, (height, width)))
    return mode, native, colours, where


@settings(max_examples=300, deadline=None)
@given(edits())
def test_what_is_not_edited_keeps_every_bit_whatever_the_pixels(case):
    mode, native, colours, where = case
    converter = Converter(mode, native.dtype == np.uint16, None)
    rgb = converter.to_rgb(native)
    original = native.copy()
    assert rgb.shape == (*native.shape[:2], 3)
    assert rgb.dtype == np.uint8
    np.testing.assert_array_equal(converter.apply_edit(native, rgb, rgb), native)
    after = np.where(where[:, :, None], colours, rgb)
    out = converter.apply_edit(native, rgb, after)
    np.testing.assert_array_equal(native, original)
    assert out.dtype == native.dtype
    same = (after == rgb).all(axis=2)
    np.testing.assert_array_equal(out[same], native[same])
    if mode in ("LA", "RGBA"):
        np.testing.assert_array_equal(out[..., -1], native[..., -1])
    if mode in ("RGB", "RGBA", "CMYK"):
        assert np.abs(converter.to_rgb(out).astype(int) - after).max() <= 1
    else:
        gray = np.round(after @ np.array([0.299, 0.587, 0.114]))
        assert np.abs(converter.to_rgb(out)[..., 0] - gray).max() <= 1


def one_line(caught, path, reason=""):
    """Check that an error is one line that names the file."""
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert reason in message


def refused(path, reason=""):
    with pytest.raises(PhotoError) as caught:
        load_photo(path)
    one_line(caught, path, reason)


def test_a_missing_file_a_folder_and_an_empty_file_are_refused(tmp_path):
    refused(tmp_path / "none.jpg", "No such file")
    refused(tmp_path, "directory")
    (tmp_path / "empty.png").touch()
    refused(tmp_path / "empty.png", "empty")
    refused(tmp_path / "nul\0.png")


def test_bytes_are_named_in_errors():
    with pytest.raises(PhotoError) as caught:
        load_photo(b"", "<stdin>")
    one_line(caught, "<stdin>")
    with pytest.raises(PhotoError) as caught:
        load_photo(b"nothing")
    one_line(caught, "-")


@pytest.mark.parametrize("text", ["hello\nworld\n", "<svg/>", "\xff\xd8\xff"])
def test_a_file_that_is_no_picture_is_refused(tmp_path, text):
    path = tmp_path / "notes.jpg"
    path.write_bytes(text.encode("latin-1"))
    refused(path)


TRUNCATED = {
    "jpg": pillow("JPEG", "RGB"),
    "progressive.jpg": pillow("JPEG", "RGB", progressive=True),
    "png": pillow("PNG", "RGB"),
    "palette.png": converted("PNG", palette),
    "16.png": cv2_file(".png", 3),
    "16-gray-alpha.png": lambda: raw_png(deep(2), 4),
    "webp": pillow("WEBP", "RGB"),
    "bmp": pillow("BMP", "RGB"),
    "16.tif": deep_tiff(3, "rgb"),
    "16-deflate.tif": deep_tiff(3, "rgb", compression="zlib"),
}


@pytest.mark.parametrize("name", TRUNCATED)
def test_a_truncated_file_is_refused_wherever_it_ends(tmp_path, name, capfd):
    data = TRUNCATED[name]()
    for share in (0.0005, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95):
        path = tmp_path / f"cut.{name}"
        path.write_bytes(data[: max(int(len(data) * share), 1)])
        refused(path)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "make",
    [pillow("TIFF", "RGB"), pillow("TIFF", "RGB", compression="tiff_lzw"),
     cv2_file(".tiff", 3, *LZW)],
)  # fmt: skip
def test_a_tiff_truncated_in_its_pixels_is_refused(tmp_path, make):
    data = make()
    path = tmp_path / "cut.tif"
    with Image.open(io.BytesIO(data)) as image:
        last = struct.pack("<I", image.tag_v2[273][-1])
    assert data.count(last) == 1
    # The directory stays; the last strip of pixels begins just before the file's end.
    path.write_bytes(data.replace(last, struct.pack("<I", len(data) - 40)))
    refused(path)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["jpg", "png", "16.png", "webp", "16-deflate.tif", "bmp"]),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_a_damaged_file_loads_or_is_refused_but_nothing_else(name, hits):
    data = bytearray(TRUNCATED[name]())
    for place, value in hits:
        data[min(int(place * len(data)), len(data) - 1)] = value
    try:
        message = "hit: " + str(load_photo(bytes(data), "hit").rgb.shape)
    except PhotoError as error:
        message = str(error)
    assert message.startswith("hit: ")
    assert "\n" not in message


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF"])
def test_several_frames_or_pages_are_refused(tmp_path, form):
    path = tmp_path / f"many.{form.lower()}"
    frames = [Image.fromarray(smooth(3, seed)) for seed in range(3)]
    frames[0].save(path, form, save_all=True, append_images=frames[1:])
    refused(path, "several frames or pages")


@pytest.mark.parametrize("form", ["GIF", "PPM", "ICO", "TGA"])
def test_formats_that_cannot_be_written_back_are_refused(tmp_path, form):
    path = tmp_path / "photo.bin"
    Image.fromarray(smooth(3)).save(path, form)
    refused(path, form)


def test_pixels_that_are_no_photo_are_refused(tmp_path):
    for number, values in enumerate((deep(1)[:, :, 0].astype(np.float32), deep(5), deep(2))):
        path = tmp_path / f"{number}.tif"
        tifffile.imwrite(path, values, photometric="minisblack", planarconfig="contig",
                         metadata=None)  # fmt: skip
        refused(path)
    gray = Image.new("I", (4, 4), 70000)
    gray.save(tmp_path / "32.tif")
    refused(tmp_path / "32.tif", "beyond 16 bits")


def test_a_huge_declared_size_is_refused_before_memory_is_taken(tmp_path):
    path = tmp_path / "bomb.png"
    data = raw_png(smooth(3), 2, 8)
    head = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    path.write_bytes(data[:8] + chunk(b"IHDR", head) + data[33:])
    refused(path, "too many pixels")
    path = tmp_path / "bomb.bmp"
    data = bytearray(pillow("BMP", "RGB")())
    data[18:26] = struct.pack("<ii", 60000, 60000)
    path.write_bytes(data)
    refused(path, "too many pixels")


def test_a_file_is_written_with_its_folders(tmp_path):
    path = tmp_path / "a" / "b" / "c.bin"
    write_file(path, b"content")
    assert path.read_bytes() == b"content"
    assert [p.name for p in path.parent.iterdir()] == ["c.bin"]


def test_a_file_is_replaced_only_when_asked(tmp_path):
    path = tmp_path / "c.bin"
    path.write_bytes(b"old")
    with pytest.raises(PhotoError) as caught:
        write_file(path, b"new")
    one_line(caught, path, "exists")
    assert path.read_bytes() == b"old"
    write_file(path, b"new", overwrite=True)
    assert path.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["c.bin"]


def test_a_link_to_nowhere_counts_as_there(tmp_path):
    path = tmp_path / "c.bin"
    path.symlink_to(tmp_path / "gone")
    with pytest.raises(PhotoError, match="exists"):
        write_file(path, b"new")
    assert path.is_symlink()


@pytest.mark.parametrize("existing", [None, b"old"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_while_writing_leaves_what_was_there(
    tmp_path, monkeypatch, existing, error, step
):
    path = tmp_path / "c.bin"
    if existing:
        path.write_bytes(existing)

    def fail(*_):
        assert len(list(tmp_path.iterdir())) == (2 if existing else 1)
        raise error

    monkeypatch.setattr(files.os, step, fail)
    with pytest.raises((PhotoError, KeyboardInterrupt)) as caught:
        write_file(path, b"new" * 1000, overwrite=True)
    monkeypatch.undo()
    if isinstance(error, OSError):
        one_line(caught, path, "No space left")
    left = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    assert left == ({"c.bin": existing} if existing else {})


def test_a_folder_that_cannot_be_made_is_told_in_one_line(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "c.bin", tmp_path / "file" / "deeper" / "c.bin"):
        with pytest.raises(PhotoError) as caught:
            write_file(path, b"new")
        one_line(caught, path, "cannot be written")


def test_a_folder_is_not_overwritten(tmp_path):
    folder = tmp_path / "c.bin"
    folder.mkdir()
    with pytest.raises(PhotoError) as caught:
        write_file(folder, b"new", overwrite=True)
    one_line(caught, folder, "cannot be written")
    assert [p.name for p in tmp_path.iterdir()] == ["c.bin"]


def test_a_name_that_is_too_long_is_told_and_leaves_nothing(tmp_path):
    path = tmp_path / ("c" * 300 + ".png")
    with pytest.raises(PhotoError, match="cannot be written"):
        write_file(path, b"new")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "form"),
    [("a.jpg", "JPEG"), ("a.JPEG", "JPEG"), ("a.png", "PNG"), ("a.webp", "WEBP"),
     ("a.tif", "TIFF"), ("a.TIFF", "TIFF"), ("a.bmp", "BMP")],
)  # fmt: skip
def test_a_suffix_asks_for_a_format(name, form):
    assert format_for(Path(name)) == form


@pytest.mark.parametrize("name", ["a.gif", "a", "a.jxl"])
def test_an_unknown_suffix_is_a_mistake_in_use(name):
    with pytest.raises(UsageError, match=r"\.jpg"):
        format_for(Path(name))
