"""Hostile photos: each is loaded or refused in one line, in bounded time and memory."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image

from faceflex.cli.common import expand, note, print_json
from faceflex.data.readers import read_celeba
from faceflex.data.records import read_points
from faceflex.errors import PhotoError, UsageError
from faceflex.photo import load_photo
from faceflex.photo.exif import upright_block, upright_tags
from tests import hostile
from tests.hostile_run import broken, edit

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs pipes, sockets and links")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile") / "photos"
    assert hostile.write(folder) > 500
    return folder


@pytest.fixture(scope="module")
def loaded(corpus):
    """What became of each file, from one process with little memory."""
    done = subprocess.run(
        ["bash", "-c", 'ulimit -v 4000000; exec "$@"', "-", sys.executable, "-m",
         "tests.hostile_run", corpus],
        capture_output=True, check=False, timeout=120, cwd=hostile.PORTRAIT.parent.parent,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    *rows, last = (json.loads(line) for line in done.stdout.splitlines())
    return {row["name"]: row for row in rows}, last["peak"]


def test_every_hostile_file_is_loaded_or_refused_in_one_line(corpus, loaded):
    rows, peak = loaded
    assert set(rows) == {n for n in os.listdir(corpus) if not n.startswith("solid-")}  # noqa: PTH208
    assert not [r for r in rows.values() if "\n" in r["error"] or len(r["error"]) > 300]
    assert not [r for r in rows.values() if r["seconds"] > 10]
    assert peak < 900
    whole = [r for r in rows.values() if r["name"].startswith("whole-")]
    assert len(whole) >= 12
    assert not [r for r in whole if r["error"]]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("pipe.jpg", "pipe; give -"),
        ("zero.jpg", "not a regular file"),
        ("socket.jpg", "not a regular file"),
        ("a-folder.jpg", "Is a directory"),
        ("loop-1.jpg", "symbolic links"),
        ("dangling.jpg", "No such file"),
        ("sparse.jpg", "bytes are too many"),
        ("nothing.png", "is empty"),
        ("says-60000x60000.webp", "too many pixels (more than 179 million)"),
        ("says-13000x13000.jpg", "ends long before its pixels do"),
        ("bomb-iccp.png", "too large"),
        ("pages-1000.tif", "several frames or pages"),
        ("kind-float32.tif", "'F' are not supported"),
        ("page.jpg", "not a picture"),
    ],
)
def test_the_reason_is_the_true_one(loaded, name, reason):
    assert reason in loaded[0][name]["error"]


@pytest.mark.parametrize(
    "name",
    ["exif-many-same.jpg", "exif-loop.png", "icc-itself.jpg", "xmp-deep.webp", "and-jpeg.png",
     "pages-loop.tif", "shape-65500x1.jpg", "shape-24x65000.png", "good-link.jpg", "--help.jpg",
     "new\nline.jpg", "non-utf-8-\udcff\udcfe.jpg", "wrong-rgb-png.tif"],
)  # fmt: skip
def test_what_can_be_read_is(loaded, name):
    assert loaded[0][name]["error"] == ""


def test_a_photo_of_more_than_a_hundred_million_pixels_is_loaded(corpus):
    assert load_photo(corpus / "solid-12000x9000.png").native.shape == (9000, 12000)


def test_edits_of_hostile_files_end_well(corpus, tmp_path):
    names = ["new\nline.jpg", "-o.jpg", "non-utf-8-\udcff\udcfe.jpg", "\x1b[31mred.jpg", "pipe.jpg",
             "zero.jpg", "loop-1.jpg", "says-13000x13000.jpg", "page.jpg"]  # fmt: skip
    paths = [str(corpus / n) for n in names]
    outcome = edit(paths, tmp_path / "out", "--jobs", "1", timeout=60)
    assert outcome.code == 1, outcome.stderr
    assert [os.path.basename(n) for n in outcome.records] == names  # noqa: PTH119
    assert broken(outcome, tmp_path / "out") == []
    edited = {os.path.basename(n) for n, r in outcome.records.items() if r["output"]}  # noqa: PTH119
    assert edited == {*names[:4]}
    assert "Traceback" not in outcome.stderr
    assert "unexpected" not in outcome.stderr
    assert "\x1b" not in outcome.stderr
    assert len([x for x in outcome.stderr.splitlines() if "faceflex: error" in x]) == 5
    assert max(outcome.seconds.values()) < 10


def test_a_pipe_with_a_writer_is_refused_as_well(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(b"x",), daemon=True).start()
    with pytest.raises(PhotoError, match="give -"):
        load_photo(tmp_path / "pipe")
    (tmp_path / "pipe").read_bytes()


def test_directories_that_point_to_one_another_cost_nothing():
    block = hostile._ifd(*[(0x8769, 4, 1, 8), (0x8825, 4, 1, 8)] * 2400, link=8)
    started = time.monotonic()
    assert upright_block(block, 30, 20) is not None
    assert time.monotonic() - started < 1


@pytest.mark.parametrize("at", [2**63 - 1, 2**63, 2**64 - 1])
def test_places_beyond_all_memory_are_no_photos_end(at):
    for block in (
        b"II+\0\x08\0\0\0" + struct.pack("<Q", at),
        b"II+\0\x08\0\0\0" + struct.pack("<QQHHQQ", 16, 1, 0x8769, 4, at, at),
    ):
        assert upright_block(block, 30, 20) is None
        assert upright_tags(block, 30, 20) is None


def test_values_that_overlap_take_no_more_memory_than_the_file():
    count = 4000  # Each claims most of the file: 4000 times 40 MB.
    head = b"II*\0" + struct.pack("<IH", 8, count)
    tags = (struct.pack("<HHII", 30_000 + n, 1, 40_000_000, 60_000) for n in range(count))
    data = (head + b"".join(tags)).ljust(41_000_000, b"\0")
    started = time.monotonic()
    assert upright_tags(data, 30, 20) is None
    assert time.monotonic() - started < 1


def test_folders_and_names_that_cannot_be_looked_at_are_told(tmp_path):
    long = "a" * 300
    assert expand([long]) == [long]
    with pytest.raises(PhotoError, match="name too long"):
        load_photo(long)
    with pytest.raises(UsageError, match="no photos in this folder"):
        expand([str(tmp_path)])


def test_names_are_shown_without_steering_a_terminal(capsys):
    note("a\x1b[2Jb\nc\udcff \U0001f600\u202e")
    print_json({"name": "é\udcff"})
    out, err = capsys.readouterr()
    assert err == "a\\x1b[2Jb c\\udcff \U0001f600\\u202e\n"
    assert out == '{"name": "\\u00e9\\udcff"}\n'


def test_a_jpeg_of_one_colour_is_not_taken_for_a_damaged_one(tmp_path):
    for number, mode in enumerate(("L", "RGB")):
        path = tmp_path / f"{number}.jpg"
        Image.new(mode, (2000, 1500)).save(path, quality=1, optimize=True, progressive=True)
        assert load_photo(path).native.shape[:2] == (1500, 2000)


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("list_attr_celeba.txt", b"1\nA B\n\x8d.jpg 1 -1\n", "cannot be read as a table"),
        ("list_eval_partition.txt", b"a.jpg nan\n", "line 1 is not a name and 1 numbers"),
        ("list_eval_partition.txt", b"a.jpg 1e999\n", "line 1 is not a name and 1 numbers"),
        ("landmarks68.npz", b"PK\3\4 no archive", "not a landmark file"),
        ("landmarks68.npz", b"", "not a landmark file"),
    ],
)
def test_damaged_tables_of_face_sets_are_told(tmp_path, name, data, reason):
    (tmp_path / "list_attr_celeba.txt").write_bytes(b"1\nA B\na.jpg 1 -1\n")
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UsageError, match=reason) as caught:
        list(read_celeba(tmp_path))
    assert str(caught.value).startswith(f"{tmp_path / name}: ")


@pytest.mark.parametrize("points", [np.zeros((1, 5, 2)), np.full((1, 68, 2), np.nan), np.zeros(3)])
def test_landmark_files_of_other_points_are_told(tmp_path, points):
    np.savez(tmp_path / "l.npz", name=np.array(["a.jpg"]), points=points)
    with pytest.raises(UsageError, match=r"l\.npz: not a landmark file"):
        read_points(tmp_path / "l.npz")
