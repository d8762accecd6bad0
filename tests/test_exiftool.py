"""What exiftool, which reads far more than Pillow, finds in a photo before and after an edit."""

from __future__ import annotations

import json
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image, features

from faceflex.photo import encode_photo, load_photo
from faceflex.photo.metadata import DIGITAL_SOURCE_TYPE, provenance_xmp
from tests.test_metadata import SRGB
from tests.test_photo import smooth

pytestmark = pytest.mark.skipif(shutil.which("exiftool") is None, reason="without exiftool")

SUFFIXES = {"JPEG": "jpg", "PNG": "png", "TIFF": "tif", "WEBP": "webp"}
if features.check("avif"):
    SUFFIXES["AVIF"] = "avif"
FIELDS = [
    "EXIF:Make=Acme",
    "EXIF:Model=One",
    "EXIF:Artist=Zoë",
    "EXIF:DateTimeOriginal=2020:01:02 03:04:05",
    "EXIF:LensModel=Lens",
    "EXIF:ISO=200",
    "EXIF:UserComment=said",
    "GPSLatitude=48.2",
    "GPSLatitudeRef=N",
    "GPSLongitude=16.3",
    "GPSLongitudeRef=E",
    "GPSAltitude=171",
    "XMP-dc:Title=A wedding",
    "XMP-dc:Creator=Zoë",
    "XMP-photoshop:City=Wien",
    "XMP-iptcExt:PersonInImage=Jörg",
    "XMP-iptcExt:DigitalSourceType=http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture",
    "IPTC:Caption-Abstract=Two people",
    "IPTC:Keywords=wedding",
    "IPTC:City=Wien",
    "IPTC:DigitalCreationDate=2020:01:02",
    "IPTC:CodedCharacterSet=UTF8",
]
TURNED = {
    "Composite:ImageSize", "File:ImageHeight", "File:ImageWidth", "IFD0:Orientation",
    "IFD0:ImageWidth", "IFD0:ImageHeight", "PNG:ImageWidth", "PNG:ImageHeight",
    "RIFF:ImageWidth", "RIFF:ImageHeight", "QuickTime:ImageSpatialExtent",
}  # fmt: skip
STORED = {
    "SourceFile", "IFD0:RowsPerStrip", "IFD0:StripOffsets", "IFD0:StripByteCounts",
    "QuickTime:MediaData", "QuickTime:MediaDataSize", "QuickTime:MediaDataOffset",
    "XMP-x:XMPToolkit",
}  # fmt: skip
MARKS = {"XMP-iptcExt:DigitalSourceType", "XMP-iptcExt:AIPromptInformation",
         "XMP-iptcExt:AISystemUsed", "XMP-iptcExt:AISystemVersionUsed"}  # fmt: skip


def described(files):
    """Return all fields that exiftool reads from files, and its validation, by file."""
    command = ["exiftool", "-json", "-G1", "-a", "-all", "-validate", "-warning", "--System:all"]
    done = subprocess.run([*command, *files], capture_output=True, check=False, timeout=60)
    return json.loads(done.stdout)


def write_fields(files, orientation=None):
    turn = [f"-EXIF:Orientation#={orientation}"] if orientation else []
    # Without a wide character on the command line, whose coding depends on the place.
    text = "\n".join([*(f"-{f}" for f in FIELDS), *turn, *map(str, files)])
    command = ["exiftool", "-q", "-q", "-m", "-overwrite_original", "-@", "-"]
    subprocess.run(command, input=text.encode(), check=True, timeout=60)


def warnings_of(found):
    """Return how many warnings a validation counts."""
    words = found["ExifTool:Validate"].split()
    return 0 if words[0] == "OK" else int(words[0])


def test_all_that_exiftool_reads_is_kept(tmp_path, editor, portrait):
    before, after = [], []
    small = Image.fromarray(portrait.rgb).resize((300, 300))
    for form, suffix in SUFFIXES.items():
        before.append(tmp_path / f"before.{suffix}")
        picture = small if form == "JPEG" else Image.fromarray(smooth(3))
        picture.save(before[-1], form, icc_profile=SRGB)
    turned = [p for p in before if p.suffix != ".avif"]  # Which says so outside of EXIF.
    write_fields(turned[1:], orientation=6)
    write_fields([before[0], *(p for p in before if p not in turned)])
    for path in before[1:]:
        photo = load_photo(path)
        picture = photo.rgb.copy()
        picture[5:15, 5:15] = (200, 90, 30)
        after.append(path.with_stem("after"))
        xmp = provenance_xmp(photo.xmp, "faceflex", "1", {"Smiling": "1"})
        after[-1].write_bytes(encode_photo(photo, picture, xmp=xmp))
    from faceflex.cli.common import read_source
    from faceflex.edit.options import EditOptions, Target
    from faceflex.edit.photo_job import edit_photo_file
    from faceflex.edit.request import Request

    after.insert(0, tmp_path / "after.jpg")
    job = EditOptions(Request((), (), 1, {"Smiling": 1.0}))
    target = Target(tmp_path, after[0])
    (result,) = edit_photo_file(job, editor, str(before[0]), target, read_source)
    assert (result.c2pa, result.notes) == ("none", [])
    found = described([*before, *after])
    for old, new in zip(found[: len(before)], found[len(before) :], strict=True):
        name = old["SourceFile"]
        assert new["XMP-iptcExt:DigitalSourceType"] == DIGITAL_SOURCE_TYPE
        assert warnings_of(new) <= warnings_of(old), (name, new.get("ExifTool:Warning"))
        kept = {k: v for k, v in old.items() if not k.startswith("ExifTool:")}
        now = {k: v for k, v in new.items() if not k.startswith("ExifTool:")}
        expected = {"IFD0:Make", "ExifIFD:ISO", "GPS:GPSLatitude", "XMP-dc:Title"}
        expected |= {"ICC-header:ProfileClass"}
        expected |= {"IPTC:Caption-Abstract"} if name.endswith(("jpg", "png", "tif")) else set()
        assert expected <= kept.keys(), name
        differ = {k for k in kept.keys() | now.keys() if kept.get(k) != now.get(k)}
        assert differ <= TURNED | STORED | MARKS, (name, differ)
        if name.endswith(("png", "tif", "webp")):
            assert new["IFD0:Orientation"] == "Horizontal (normal)"
            assert new["Composite:ImageSize"] == "37x53"
        np.testing.assert_equal(load_photo(new["SourceFile"]).icc, SRGB)
