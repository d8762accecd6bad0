"""Batches: what would be written, what was, and what became of each photo."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from faceflex.cli.edit_run import Summary
from faceflex.edit.result import PhotoResult


@pytest.fixture
def folder(tmp_path, small_portrait):
    """A good photo, one without a face, and a file that is no photo."""
    root = tmp_path / "photos"
    root.mkdir()
    Image.fromarray(small_portrait).save(root / "c-anna.png")
    Image.new("RGB", (80, 80), "gray").save(root / "b-wall.png")
    (root / "a-broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    return root


def test_one_bad_photo_does_not_stop_the_others(run, folder, tmp_path):
    done = run("edit", "photos", "--set", "Smiling=1", "--out", "out")
    assert done.returncode == 1
    assert (tmp_path / "out" / "c-anna-edited.png").is_file()
    assert "3 photos: 1 done, 1 no face, 1 failed" in done.stderr
    assert "no face: photos/b-wall.png" in done.stderr
    assert done.stderr.count("not a picture that can be read") == 1
    assert "\n  failed: photos/a-broken.jpg\n" in done.stderr
    again = run("edit", "photos", "--set", "Smiling=1", "--out", "out", "--skip-existing")
    assert "3 photos: 1 skipped, 1 no face, 1 failed" in again.stderr
    assert "Traceback" not in done.stderr + again.stderr


def test_fail_fast_stops_at_the_first(run, folder, tmp_path):
    done = run("edit", "photos", "--set", "Smiling=1", "--out", "out", "--fail-fast")
    assert done.returncode == 1
    assert "3 photos: 1 failed, 2 not come to" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_dry_run_writes_nothing_and_says_what_would_be(run, folder, tmp_path):
    words = ("edit", "photos", "--attr", "Smiling", "--range", "1", "3", "1", "--out", "out")
    done = run(*words, "--dry-run")
    assert done.returncode == 1, done.stderr
    first, *rest = done.stdout.splitlines()
    assert first.startswith("fail\tphotos/a-broken.jpg: not a picture that can be read")
    assert rest[-3:] == [
        "write\tout/c-anna/sample-1/1-Smiling.png",
        "write\tout/c-anna/sample-1/2-Smiling.png",
        "write\tout/c-anna/sheet.png",
    ]
    assert not (tmp_path / "out").exists()
    (tmp_path / "out" / "c-anna").mkdir(parents=True)
    (tmp_path / "out" / "c-anna" / "sheet.png").write_bytes(b"")
    for option, act in ((None, "fail"), ("--overwrite", "write"), ("--skip-existing", "skip")):
        told = run(*words, "--dry-run", "--json", *([option] if option else []))
        rows = [json.loads(line) for line in told.stdout.splitlines()]
        assert [r["would"] for r in rows if r.get("exists")] == [act]


def test_exit_codes_follow_from_what_became_of_the_photos():
    def code(*kinds):
        summary = Summary()
        for number, kind in enumerate(kinds):
            summary.add(PhotoResult(f"{number}.jpg", kind))
        return summary.code

    assert code("done") == code("skipped") == code("done", "skipped") == 0
    assert code("no face", "no face") == 3
    assert code("done", "no face") == code("no face", "failed") == code("failed") == 1


def test_many_names_are_cut_short():
    summary = Summary()
    for i in range(1200):
        summary.add(PhotoResult(f"{i}.jpg", "no face"))
    first, *named, last = summary.lines(0)
    assert first == "1,200 photos: 1,200 no face"
    assert named == [f"  no face: {i}.jpg" for i in range(10)]
    assert last == "  no face: and 1,190 more"


def test_photos_of_one_name_do_not_get_into_each_others_way(run, folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "c-anna.png").write_bytes((folder / "c-anna.png").read_bytes())
    Image.open(folder / "c-anna.png").save(other / "c-anna.jpg")
    done = run("edit", "photos/c-anna.png", "other", "--set", "Smiling=1", "--out", "out")
    assert done.returncode == 0, done.stderr
    names = ["c-anna-2-edited.png", "c-anna-edited.jpg", "c-anna-edited.png"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == names
