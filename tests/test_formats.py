"""Formats with their own ways: HEIC, AVIF, palettes, wide colours, IPTC, and what is left out."""

from __future__ import annotations

import builtins
import hashlib
import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin, features

from faceflex.cli.common import expand
from faceflex.errors import PhotoError, UsageError
from faceflex.photo import encode_photo, load_photo
from faceflex.photo.exif import PREFIX
from faceflex.photo.formats import format_for
from faceflex.photo.iptc import add_to_jpeg, to_png_text
from faceflex.photo.metadata import upright_xmp
from faceflex.photo.parts import jpeg_segments
from tests.test_metadata import MAKE, NOTE, PACKET, SRGB, exif_block, opened, photo_file, xmp_of
from tests.test_photo import BOX, chunk, icc, palette, see_through_palette, smooth, text_tags

D65 = (0.3127, 0.3290)
PRIMARIES = {
    "display-p3": ([(0.68, 0.32), (0.265, 0.69), (0.15, 0.06)], D65, None),
    "adobe-rgb": ([(0.64, 0.33), (0.21, 0.71), (0.15, 0.06)], D65, 2.19921875),
    "prophoto": ([(0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001)], (0.3457, 0.3585), 1.8),
    "srgb-by-another": ([(0.64, 0.33), (0.30, 0.60), (0.15, 0.06)], D65, None),
}


def new_format(form):
    """Return the format as a test's parameter, skipped where it cannot be had."""
    there = features.check("avif")
    if form == "HEIF":
        try:
            import pillow_heif
        except ImportError:
            there = False
        else:
            there = True
            pillow_heif.register_heif_opener()
    return pytest.param(form, marks=pytest.mark.skipif(not there, reason=f"without {form}"))


NEW = [new_format("AVIF"), new_format("HEIF")]


def rgb_profile(name):
    """Return an ICC profile by its primaries, white and gamma (None: sRGB's curve)."""
    primaries, white, gamma = PRIMARIES[name]
    x, y = np.array(primaries).T
    tristimulus = np.array([x / y, np.ones(3), (1 - x - y) / y])
    light = np.array([white[0] / white[1], 1, (1 - white[0] - white[1]) / white[1]])
    matrix = tristimulus * np.linalg.solve(tristimulus, light)
    cones = [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
    bradford = np.array(cones)
    gain = bradford @ [0.9642, 1, 0.8249] / (bradford @ light)
    matrix = np.linalg.solve(bradford, np.diag(gain) @ bradford) @ matrix

    def fixed(values):
        return struct.pack(f">{len(values)}i", *(round(65536 * v) for v in values))

    if gamma:
        curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))
    else:
        parts = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
        curve = b"para\0\0\0\0\0\3\0\0" + fixed(parts)
    tags = text_tags(name.encode()) | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    names = (b"rXYZ", b"gXYZ", b"bXYZ")
    tags |= {n: b"XYZ \0\0\0\0" + fixed(c) for n, c in zip(names, matrix.T, strict=True)}
    return icc(b"mntr", b"RGB ", b"XYZ ", tags)


def shown(pixels, profile):
    """Return what a viewer shows: sRGB by relative colorimetry."""
    return np.asarray(
        ImageCms.profileToProfile(
            Image.fromarray(pixels),
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
        )
    )


@pytest.mark.parametrize(("form", "mode"), [("PNG", "RGB"), ("PNG", "RGBA"), ("PNG-16", "RGB"),
                                            ("PNG-16", "RGBA"), ("TIFF-16", "RGB")])  # fmt: skip
@pytest.mark.parametrize("name", ["display-p3", "adobe-rgb", "prophoto"])
def test_wide_colours_are_edited_as_they_are_shown(name, form, mode):
    profile = rgb_profile(name)
    photo = load_photo(photo_file(form, mode, icc=profile))
    native = (photo.native.astype(int) + 128) // 257 if photo.is_16bit else photo.native
    np.testing.assert_array_equal(photo.rgb, shown(native[..., :3].astype(np.uint8), profile))
    assert np.abs(photo.rgb.astype(int) - native[..., :3]).mean() > 4
    after = photo.rgb.copy()
    after[BOX] = np.clip(after[BOX].astype(int) + [14, -8, 5], 20, 235)
    again = load_photo(encode_photo(photo, after))
    assert (again.icc, again.mode, again.is_16bit) == (profile, photo.mode, photo.is_16bit)
    outside = np.ones(photo.rgb.shape[:2], bool)
    outside[BOX] = False
    np.testing.assert_array_equal(again.native[outside], photo.native[outside])
    if mode == "RGBA":
        np.testing.assert_array_equal(again.native[..., 3], photo.native[..., 3])
    inside = ((photo.rgb[BOX] > 25) & (photo.rgb[BOX] < 230)).all(axis=2)  # Of sRGB, before.
    assert inside.mean() > 0.2
    assert np.abs(again.rgb[BOX].astype(int) - after[BOX])[inside].mean() < 1


def test_colours_beyond_srgb_stay_as_strong_as_they_were():
    profile = rgb_profile("display-p3")
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[...] = (20, 250, 20)  # A green that sRGB cannot show.
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", icc_profile=profile)
    photo = load_photo(buffer.getvalue())
    assert photo.rgb[0, 0].min() == 0
    after = photo.rgb.copy()
    after[:4] = np.maximum(after[:4], 12) - [0, 12, 0]  # Hardly darker.
    again = load_photo(encode_photo(photo, after))
    assert np.abs(again.native[:4].astype(int) - (20, 240, 20)).max() <= 12
    plain = shown(pixels, profile)
    back = ImageCms.profileToProfile(
        Image.fromarray(plain), ImageCms.createProfile("sRGB"),
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
    )  # fmt: skip
    clipped = np.asarray(back)[0, 0]  # What a mere conversion there and back would leave of it.
    assert clipped[0] > 80 > again.native[:4, :, 0].max()


def test_profiles_that_are_srgb_in_all_but_name_change_nothing():
    for profile in (SRGB, rgb_profile("srgb-by-another")):
        photo = load_photo(photo_file("PNG", icc=profile))
        assert not photo.converter.color_managed
        np.testing.assert_array_equal(photo.rgb, photo.native)


@pytest.mark.parametrize("target", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", *NEW])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_wide_photo_looks_the_same_in_each_format(mode, target):
    profile = rgb_profile("display-p3")
    photo = load_photo(photo_file("TIFF", mode, icc=profile))
    again = load_photo(encode_photo(photo, photo.rgb, target=target))
    assert again.icc == (None if target == "BMP" else profile)
    lossy = target in ("JPEG", "WEBP", "AVIF", "HEIF")
    assert np.abs(again.rgb.astype(int) - photo.rgb).mean() <= (5 if lossy else 0)


def recoloured(photo):
    """Return an edit of a photo that brings no new colour."""
    after = photo.rgb.copy()
    after[3:6, 4:9] = after[20, 30]
    return after


@pytest.mark.parametrize("change", [palette, see_through_palette])
def test_a_palette_comes_back_while_the_colours_fit(change):
    buffer = io.BytesIO()
    change(Image.fromarray(smooth(4), "RGBA")).save(buffer, "PNG")
    photo = load_photo(buffer.getvalue())
    kept = encode_photo(photo, recoloured(photo))
    assert opened(kept).mode == "P"
    expected = photo.converter.apply_edit(photo.native, photo.rgb, recoloured(photo))
    np.testing.assert_array_equal(load_photo(kept).native, expected)
    after = photo.rgb.copy()
    after[10:30, 10:40] = np.arange(1800, dtype=np.uint8).reshape(20, 30, 3)
    grown = encode_photo(photo, after)
    assert opened(grown).mode == photo.mode
    again = load_photo(grown)
    np.testing.assert_array_equal(again.rgb, after)
    assert opened(encode_photo(photo, photo.rgb, target="TIFF")).mode == photo.mode


@pytest.mark.parametrize("form", NEW)
@pytest.mark.parametrize("orientation", [1, 3, 5, 6, 8])
def test_heic_and_avif_are_turned_once_and_keep_what_they_say(form, orientation):
    suffix = {"AVIF": b"avif", "HEIF": b"heic"}[form]
    xmp = PACKET.replace(b'tiff:Orientation="6"', b"")  # Which the plug-in would heed in writing.
    data = photo_file(form, exif=exif_block(orientation), icc=SRGB, xmp=xmp, quality=95)
    assert data[4:12] == b"ftyp" + suffix
    photo = load_photo(data)
    assert photo.rgb.shape == ((37, 53, 3) if orientation < 5 else (53, 37, 3))
    upright = load_photo(photo_file("PNG", exif=exif_block(orientation)))
    assert np.abs(photo.rgb.astype(int) - upright.rgb).mean() < 6
    after = photo.rgb.copy()
    after[8:24, 8:24] = 200
    saved = encode_photo(photo, after)
    assert b"thumbnail" not in saved
    assert saved[4:12] == data[4:12]
    image = opened(saved)
    assert (image.format, image.size) == (form, (photo.rgb.shape[1], photo.rgb.shape[0]))
    again = load_photo(saved)
    assert np.abs(again.rgb.astype(int) - after).mean() < 4
    exif = image.getexif()
    assert (exif[MAKE], exif.get(0x0112, 1)) == ("Acme", 1)
    assert NOTE in again.exif
    assert image.info["icc_profile"] == SRGB
    assert b"a wedding" in xmp_of(image)


@pytest.mark.parametrize("form", NEW)
def test_nothing_of_a_makers_note_moves_in_heic_and_avif(form):
    block = exif_block(1, thumbnail=b"")
    photo = load_photo(photo_file("JPEG", exif=block))
    saved = load_photo(encode_photo(photo, photo.rgb, target=form))
    plain = saved.exif.removeprefix(PREFIX)
    assert plain.index(NOTE) == block.removeprefix(PREFIX).index(NOTE)


@pytest.mark.parametrize("form", NEW)
@pytest.mark.parametrize("mode", ["L", "RGBA"])
def test_gray_and_alpha_stay_in_heic_and_avif(form, mode):
    photo = load_photo(photo_file(form, mode))
    assert photo.mode == mode
    again = load_photo(encode_photo(photo, photo.rgb))
    assert again.mode == mode
    assert np.abs(again.native.astype(int) - photo.native).mean() < 5


def test_sampling_of_an_avif_is_kept():
    if not features.check("avif"):
        pytest.skip("without AVIF")
    for sampling in ("4:4:4", "4:2:2", "4:2:0"):
        photo = load_photo(photo_file("AVIF", subsampling=sampling))
        assert photo.options["subsampling"] == sampling
        again = load_photo(encode_photo(photo, photo.rgb))
        assert again.options["subsampling"] == sampling


def test_ten_bits_are_said_to_become_eight():
    pillow_heif = pytest.importorskip("pillow_heif")
    values = smooth(3).astype(np.uint16) * 257
    buffer = io.BytesIO()
    heif = pillow_heif.from_bytes("RGB;16", (53, 37), values.tobytes())
    heif.save(buffer, quality=95)
    photo = load_photo(buffer.getvalue())
    assert np.abs(photo.rgb.astype(int) - smooth(3)).mean() < 6
    bits = opened(buffer.getvalue()).info["bit_depth"]
    assert bits > 8
    assert photo.notes == (f"has {bits} bits a channel; edited and written with 8",)
    assert load_photo(encode_photo(photo, photo.rgb)).notes == ()


@pytest.mark.parametrize("form", [*NEW, "GIF", "WEBP", "PNG", "TIFF"])
def test_moving_pictures_of_every_kind_are_refused(form):
    frames = [Image.fromarray(smooth(3, seed)) for seed in range(2)]
    buffer = io.BytesIO()
    frames[0].save(buffer, form, save_all=True, append_images=frames[1:])
    with pytest.raises(PhotoError, match=r"^a\.x: has several frames or pages; save one"):
        load_photo(buffer.getvalue(), "a.x")


@pytest.mark.parametrize("form", NEW)
def test_a_truncated_heic_or_avif_is_refused(form):
    data = photo_file(form)
    for share in (0.02, 0.1, 0.4, 0.8):
        with pytest.raises(PhotoError, match=r"^cut: [^\n]+$"):
            load_photo(data[: int(len(data) * share)], "cut")


def test_heic_without_its_plug_in_is_told_how_to_get_it(monkeypatch, tmp_path):
    real = builtins.__import__

    def missing(name, *rest):
        if name == "pillow_heif":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    start = struct.pack(">I", 24) + b"ftypheic\0\0\0\0mif1heic" + bytes(40)
    with pytest.raises(
        PhotoError, match=r"^a\.heic: HEIC needs a plug-in .*faceflex\[heic\].*JPEG"
    ):
        load_photo(start, "a.heic")
    with pytest.raises(UsageError, match=r"faceflex\[heic\]"):
        format_for(tmp_path / "out.heic")
    photo = load_photo(photo_file("PNG"), "a.png")
    with pytest.raises(PhotoError, match=r"^a\.png: HEIC needs a plug-in"):
        encode_photo(photo, photo.rgb, target="HEIF")


def test_avif_without_a_pillow_that_knows_it_is_told_so(monkeypatch):
    monkeypatch.setattr(features, "check", lambda _: False)
    start = struct.pack(">I", 24) + b"ftypavif\0\0\0\0mif1avif" + bytes(40)
    with pytest.raises(PhotoError, match=r"^a\.avif: AVIF needs a newer Pillow .* JPEG"):
        load_photo(start, "a.avif")


def test_folders_give_their_heic_and_avif_photos(tmp_path):
    for name in ("a.heic", "b.AVIF", "c.heif", "d.txt"):
        (tmp_path / name).touch()
    assert [p[-6:] for p in expand([str(tmp_path)])] == ["a.heic", "b.AVIF", "c.heif"]


def test_a_rare_jpeg_is_named_and_damage_is_not_taken_for_one():
    data = photo_file("JPEG")
    at = next(at for marker, at, _ in jpeg_segments(data) if marker == 0xC0)
    deep = data[: at + 4] + b"\x0c" + data[at + 5 :]
    for rare in (deep, data[: at + 1] + b"\xf7" + data[at + 2 :]):
        with pytest.raises(PhotoError, match="rare kind of JPEG"):
            load_photo(rare)
    with pytest.raises(PhotoError, match=r"cannot|damaged") as caught:
        load_photo(data[: at + 20])
    assert "rare" not in str(caught.value)


def iim(record, number, value):
    return struct.pack(">BBBH", 0x1C, record, number, len(value)) + value


def resource(number, body, name=b"\0\0"):
    head = b"8BIM" + struct.pack(">H", number) + name + struct.pack(">I", len(body))
    return head + body + b"\0" * (len(body) % 2)


CAPTION = iim(2, 120, "Zoë und Jörg".encode()) + iim(2, 25, b"wedding")
PATHS = resource(0x07D0, b"outline", b"\4Path\0")
RESOURCES = (
    resource(0x0409, b"old picture")
    + resource(0x0404, CAPTION + iim(2, 202, b"old picture"))
    + resource(0x040C, b"old picture")
    + resource(0x040A, b"\1")
    + PATHS
)
KEPT = resource(0x0404, CAPTION) + resource(0x040A, b"\1") + PATHS


def with_resources(form, resources, **more):
    """Encode a picture with image resources, by other means than those under test."""
    if form == "JPEG":
        head = b"Photoshop 3.0\0"
        parts = [resources[:40], resources[40:]]  # One segment continues the other.
        segments = b"".join(
            b"\xff\xed" + struct.pack(">H", 16 + len(part)) + head + part for part in parts
        )
        data = photo_file("JPEG", **more)
        return data[:2] + segments + data[2:]
    if form == "TIFF":
        info = {34377: resources}
        buffer = io.BytesIO()
        Image.fromarray(smooth(3)).save(buffer, "TIFF", tiffinfo=info)
        return buffer.getvalue()
    name, text = to_png_text(resources)
    if form == "PNG-16":
        return photo_file(form, extra=chunk(b"tEXt", f"{name}\0{text}".encode()), **more)
    info = PngImagePlugin.PngInfo()
    info.add_text(name, text)
    return photo_file(form, pnginfo=info, **more)


@pytest.mark.parametrize("target", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "PNG-16", "TIFF"])
def test_iptc_is_kept_and_its_old_pictures_are_not(form, target):
    photo = load_photo(with_resources(form, RESOURCES))
    assert photo.resources == KEPT
    saved = encode_photo(photo, photo.rgb, target=target)
    assert b"old picture" not in saved
    again = load_photo(saved)
    assert again.resources == KEPT
    assert again.rgb.shape == photo.rgb.shape
    image = opened(saved)
    if target == "JPEG":
        assert image.info["photoshop"][0x0404] == CAPTION  # As Pillow reads it.


def test_outlines_do_not_turn_with_a_photo():
    data = with_resources("JPEG", RESOURCES, exif=exif_block(6))
    assert load_photo(data).resources == KEPT.removesuffix(PATHS)


def test_long_resources_take_several_segments_and_damaged_ones_end_the_reading():
    long = resource(0x0404, iim(2, 120, b"x" * 2000) * 90)
    data = add_to_jpeg(photo_file("JPEG"), long)
    assert sum(marker == 0xED for marker, _, _ in jpeg_segments(data)) == 3
    photo = load_photo(data)
    assert photo.resources == long
    assert load_photo(encode_photo(photo, photo.rgb)).resources == long
    for end in range(len(KEPT) - len(PATHS), len(KEPT) - 1):
        kept = load_photo(with_resources("PNG", KEPT[:end])).resources
        assert kept == KEPT.removesuffix(PATHS)
    assert load_photo(with_resources("PNG", b"\xff" * 40)).resources is None


def test_a_second_picture_is_left_out_and_said_so():
    first, second = (Image.fromarray(smooth(3, seed)) for seed in (1, 2))
    buffer = io.BytesIO()
    first.save(buffer, "MPO", save_all=True, append_images=[second])
    photo = load_photo(buffer.getvalue())
    assert [n for n in photo.notes if "further pictures" in n] == list(photo.notes) != []
    saved = encode_photo(photo, photo.rgb)
    assert b"MPF\0" not in saved
    assert load_photo(saved).notes == ()


def test_xmp_no_longer_speaks_of_gain_maps_and_videos_behind_the_photo():
    more = (
        b' xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"'
        b' xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" GCamera:MotionPhoto="1"'
        b' GCamera:Special="7" acme:Roll='
    )
    mended = upright_xmp(PACKET.replace(b" acme:Roll=", more), 53, 37)
    assert b"hdrgm" not in mended
    assert b"MotionPhoto" not in mended
    assert b'Special="7"' in mended


def test_a_second_packet_of_a_jpeg_is_merged_into_the_first():
    image = b'xmlns:g="http://ns.google.com/photos/1.0/image/" g:Data="old picture" acme:Roll="%s"'
    second = PACKET.replace(b'acme:Roll="17"', image % (b"a funeral" * 9000))
    second = second.replace(b"a wedding", b"rings")
    digest = hashlib.md5(second).hexdigest().upper().encode()
    mention = b' xmlns:n="http://ns.adobe.com/xmp/note/" n:HasExtendedXMP="%s" acme:Roll=' % digest
    data = photo_file("JPEG", xmp=PACKET.replace(b" acme:Roll=", mention))
    segments = []
    for start in range(0, len(second), 60000):
        place = struct.pack(">II", len(second), start)
        body = b"http://ns.adobe.com/xmp/extension/\0" + digest + place
        body += second[start : start + 60000]
        segments.append(b"\xff\xe1" + struct.pack(">H", 2 + len(body)) + body)
    whole = data[:2] + segments[1] + segments[0] + data[2:]  # Their order does not count.
    photo = load_photo(whole)
    assert photo.xmp.count(b"a funeral") == 9000
    assert photo.xmp.count(b"a wedding") == 1
    assert b"old picture" not in photo.xmp
    assert b"HasExtended" not in photo.xmp
    short = load_photo(encode_photo(photo, photo.rgb)).xmp  # One packet of a JPEG holds 64 KB.
    assert b"a wedding" in short
    assert b"rings" in short
    cut = load_photo(data[:2] + segments[0] + data[2:])
    assert b"a funeral" not in cut.xmp
    assert b"a wedding" in cut.xmp


@pytest.mark.parametrize("form", ["JPEG", "PNG", "PNG-16", "TIFF", "WEBP", *NEW])
def test_a_stripped_photo_keeps_only_its_colours(form):
    profile = rgb_profile("display-p3")
    more = {"exif": exif_block(6), "xmp": PACKET, "icc": profile}
    if form == "JPEG":
        data = with_resources(form, RESOURCES, comment=b"said", **more)
    elif form == "PNG":
        info = PngImagePlugin.PngInfo()
        info.add_text("Author", "said")
        info.add(b"gAMA", struct.pack(">I", 45455))
        data = photo_file(form, pnginfo=info, **more)
    else:
        data = photo_file(form, **more)
    photo = load_photo(data)
    plain = photo.without_metadata()
    saved = encode_photo(plain, plain.rgb)
    again = load_photo(saved)
    assert again.rgb.shape == photo.rgb.shape == (53, 37, 3)
    assert np.abs(again.rgb.astype(int) - photo.rgb).mean() < 5
    assert (again.xmp, again.resources, again.icc) == (None, None, profile)
    for word in (b"Acme", b"said", b"wedding", b"J\xc3\xb6rg", b"Author"):
        assert word in data or word in (b"said", b"Author")
        assert word not in saved
    assert (b"gAMA" in saved) == (form == "PNG")
