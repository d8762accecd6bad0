"""What people stumble over who use the command for the first time."""

from __future__ import annotations

import json
import os
import shutil

import cv2
import numpy as np
import pytest
from PIL import Image

from faceflex.photo import load_photo
from tests.conftest import PORTRAIT, ROOT
from tests.test_cli import failed_well, files_below, lines

ONE = ("--set", "Smiling=1")


@pytest.fixture
def folder(tmp_path, png):
    """Two photos in a folder."""
    place = tmp_path / "holiday"
    place.mkdir()
    shutil.copy(png, place / "a.png")
    Image.open(png).save(place / "b.jpg", quality=92)
    return place


def notes(done):
    return [e for e in done.stderr.splitlines() if not e.startswith("faceflex: error: ")]


def test_attributes_have_a_legend_and_say_which_are_hidden(run):
    done = run("attributes")
    assert len(done.stdout.splitlines()) == 1 + 39
    header = done.stdout.splitlines()[0].split()
    assert header[:4] == ["attribute", "reliability", "seen", "AUC"]
    for column in header[1:4]:
        assert any(line.startswith(f"{column} ") for line in notes(done)), column
    assert "39 of 40 attributes; --all also lists Attractive, which judges people" in notes(done)
    every = run("attributes", "--all")
    assert len(every.stdout.splitlines()) == 1 + 40
    assert "40 attributes" in notes(every)


def test_faces_shows_whole_paths_in_a_narrow_terminal(run, tmp_path, png, monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    long = tmp_path / ("holiday-" * 20) / "friend.png"
    long.parent.mkdir()
    shutil.copy(png, long)
    done = run("faces", long)
    header, row = done.stdout.splitlines()
    assert row.startswith(f"{long} ")
    assert row.split()[-1] == "yes"
    assert header.split() == [
        "photo",
        "face",
        "left",
        "top",
        "right",
        "bottom",
        "score",
        "smile",
        "edited",
    ]


def test_faces_draws_numbered_boxes(run, tmp_path, folder):
    done = run("faces", folder, "--picture", "boxes")
    assert done.returncode == 0, done.stderr
    assert files_below(tmp_path / "boxes") == ["a-faces.png", "b-faces.jpg"]
    assert "2 pictures written to boxes" in done.stderr
    drawn, photo = load_photo(tmp_path / "boxes/a-faces.png").rgb, load_photo(folder / "a.png").rgb
    left, top, right, _ = lines(run("faces", folder / "a.png", "--json"))[0]["box"]
    edge = slice(left + 20, right - 20)
    assert (drawn[top, edge] != photo[top, edge]).any(axis=1).mean() > 0.9
    failed_well(run("faces", folder / "a.png", "--picture", "boxes"), 1, "a-faces.png", "exists")
    assert run("faces", folder, "--picture", "boxes", "--overwrite").returncode == 0


def test_faces_hints_at_what_helps_when_there_is_none(run, tmp_path):
    Image.new("RGB", (300, 200), "beige").save(tmp_path / "wall.png")
    told = [run(*words).stderr for words in (("faces", "wall.png"), ("edit", "wall.png", *ONE))]
    assert told[0] == told[1]
    assert "--detector cnn finds more" in told[0]
    (row,) = lines(run("faces", "wall.png", "--json"))
    assert "--detector cnn finds more" in row["error"]


@pytest.fixture
def unsure(tmp_path, small_portrait):
    """A photo with two faces; whatever lies between their scores divides them."""
    small = cv2.resize(small_portrait, (300, 300), interpolation=cv2.INTER_AREA)
    photo = np.full((340, 700, 3), 215, np.uint8)
    photo[20:320, 20:320] = small
    photo[20:320, 380:680] = cv2.GaussianBlur(small, (0, 0), 3.5)
    Image.fromarray(photo).save(tmp_path / "two.png")
    return tmp_path / "two.png"


def test_a_face_that_the_detector_is_unsure_of_is_left_alone(run, tmp_path, unsure):
    faces = lines(run("faces", unsure, "--json"))
    assert [f["edited"] for f in faces] == [True, True]
    low, high = sorted(f["score"] for f in faces)
    number = next(f["index"] for f in faces if f["score"] == low)
    between = ("--min-score", (low + high) / 2)
    table = run("faces", unsure, *between)
    assert sorted(row.split()[-1] for row in table.stdout.splitlines()[1:]) == ["no", "yes"]
    assert "--min-score or --face" in table.stderr
    done = run("edit", unsure, *ONE, "-o", "o.png", "--json", *between)
    assert done.returncode == 0, done.stderr
    (row,) = lines(done)
    assert [f["index"] for f in row["faces"]] == [3 - number]
    assert [(f["index"], f["score"]) for f in row["left_alone"]] == [(number, low)]
    assert (
        f"{unsure}: face {number} left alone: the detector is unsure of it (score {low:.2f};"
        f" --min-score or --face {number} edits it)"
    ) in notes(done)
    # Asked for, it is edited; and what was not asked for is not remarked on.
    done = run("edit", unsure, *ONE, "-o", "p.png", "--json", *between, "--face", number)
    (row,) = lines(done)
    assert [f["index"] for f in row["faces"]] == [number]
    assert row["left_alone"] == []
    assert "left alone" not in done.stderr
    failed_well(run("edit", unsure, *ONE, "--min-score", "9"), 3, "--min-score", "--face")


def test_a_face_without_a_smile_has_none_to_lose_which_is_said(run, png, tmp_path):
    done = run("edit", png, "--set", "Smiling=-1", "-o", "same.png", "--json")
    assert done.returncode == 0, done.stderr
    assert "face 1: left as it is: nothing to take away" in done.stderr
    assert json.loads(done.stdout)["faces"][0]["unchanged"]
    np.testing.assert_array_equal(load_photo(tmp_path / "same.png").rgb, load_photo(png).rgb)


def test_one_line_of_notes_a_photo():
    from faceflex.edit.result import FaceResult, OutputResult, UnsureFace, photo_note

    box = (0, 0, 9, 9)
    faces = [
        FaceResult(n, box, 1.0, None, w) for n, w in ((1, ("small",)), (2, ()), (3, ("turned",)))
    ]
    result = OutputResult("p", "o", None, None, 1, {}, faces=faces, notes=["has 12 bits"])
    assert photo_note([result]) == "has 12 bits; face 1: small; face 3: turned"
    left = [UnsureFace(n, box, -n / 10) for n in (4, 5)]
    many = OutputResult("p", "o", None, None, 1, {}, faces=faces[:1], left_alone=left)
    assert photo_note([many]) == (
        "face 1: small; faces 4, 5 left alone: the detector is unsure of them (scores up to -0.40;"
        " `min_score` or `face` edits them)"
    )
    crowd = [FaceResult(n, box, 1.0, None, ("small",)) for n in range(1, 10)]
    told = photo_note([OutputResult("p", "o", None, None, 1, {}, faces=crowd)])
    assert told == (
        "face 1: small; face 2: small; face 3: small; and 6 more notes (`json` has all)"
    )
    assert photo_note([OutputResult("p", "o", None, None, 1, {}, faces=faces[1:2])]) == ""
    assert photo_note([]) == ""


def test_out_with_a_pictures_name_is_a_file(run, png, tmp_path):
    done = run("edit", png, *ONE, "--out", "out.jpg")
    assert done.returncode == 0, done.stderr
    assert load_photo(tmp_path / "out.jpg").format == "JPEG"
    swept = run("edit", png, "--attr", "Smiling", "--out", "swept.jpg")
    failed_well(swept, 2, "--out swept.jpg: is one file; 5 pictures are asked for; give a folder")
    failed_well(run("edit", png, PORTRAIT, *ONE, "--out", "two.jpg"), 2, "2 pictures")
    (tmp_path / "really.jpg").mkdir()
    assert run("edit", png, *ONE, "--out", "really.jpg").returncode == 0
    assert files_below(tmp_path / "really.jpg") == ["friend-edited.png"]


def test_a_folder_is_edited_beside_itself_under_its_own_names(run, tmp_path, folder):
    assert run("edit", folder, *ONE).returncode == 0
    assert files_below(tmp_path / "holiday-edited") == ["a.png", "b.jpg"]
    assert files_below(folder) == ["a.png", "b.jpg"]
    before, after = (load_photo(tmp_path / d / "a.png").rgb for d in ("holiday", "holiday-edited"))
    assert not np.array_equal(before, after)
    # Also where nothing but dots names it.
    again = run("edit", "holiday/../holiday/.", *ONE)
    assert again.returncode == 1
    assert "holiday-edited/a.png: exists" in again.stderr


def test_a_second_run_leaves_its_own_outputs_alone(run, tmp_path, folder):
    words = ("edit", folder, *ONE, "--out", folder)
    assert run(*words).returncode == 0
    assert files_below(folder) == ["a-edited.png", "a.png", "b-edited.jpg", "b.jpg"]
    planned = run(*words, "--dry-run", "--skip-existing")
    assert f"skip\t{folder}/a-edited.png: faceflex made it" in planned.stdout.splitlines()
    done = run(*words, "--skip-existing", "--json")
    assert done.returncode == 0, done.stderr
    assert len(files_below(folder)) == 4
    assert "2 photos skipped: faceflex made them (--edited-too edits them)" in notes(done)
    assert sorted(r["photo"] for r in lines(done) if r["skipped"] == "faceflex made it") == [
        f"{folder}/a-edited.png",
        f"{folder}/b-edited.jpg",
    ]
    done = run(*words, "--overwrite")
    assert done.returncode == 0, done.stderr
    assert "4 photos: 2 done, 2 skipped" in notes(done)
    named = run("edit", folder / "a.png", folder / "a-edited.png", *words[2:], "--overwrite")
    failed_well(named, 1, "a-edited.png: is a photo to be edited")
    # Who names a file means it.
    assert run("edit", folder / "a-edited.png", *ONE, "-o", "twice.png").returncode == 0
    assert run(*words, "--skip-existing", "--edited-too").returncode == 0
    assert "a-edited-edited.png" in files_below(folder)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".avif"])
def test_outputs_of_every_format_are_recognised(run, tmp_path, png, suffix):
    from faceflex.photo.load import read_header
    from faceflex.photo.provenance import made_by_faceflex

    assert not made_by_faceflex(read_header(png)[1])
    out = tmp_path / f"o{suffix}"
    assert run("edit", png, *ONE, "-o", out).returncode == 0
    assert made_by_faceflex(read_header(out)[1])


def test_a_mark_that_another_program_wrote_anew_is_recognised():
    from faceflex.photo.provenance import made_by_faceflex

    assert made_by_faceflex(b"<Iptc4xmpExt:AISystemUsed>faceflex</Iptc4xmpExt:AISystemUsed>")
    assert not made_by_faceflex(b'AISystemUsed="another"')
    assert not made_by_faceflex(b'title="faceflex"')


def test_blanks_in_a_setting_do_not_matter(run, png, tmp_path):
    done = run("edit", png, "--set", "Smiling = 1.5", "-o", "o.png", "--json")
    assert lines(done)[0]["settings"] == {"Smiling": 1.5}


def test_what_people_call_an_attribute_is_suggested(run, png):
    failed_well(run("edit", png, "--attr", "Happy"), 2, "did you mean Smiling?")
    failed_well(
        run("edit", png, "--set", "old=1"), 2, "did you mean Young with a negative strength?"
    )


def test_what_an_attribute_cannot_do_is_said_once_a_run(run, folder):
    done = run("edit", folder, "--set", "Smiling=50", "--set", "Big_Lips=-1", "--out", "o")
    told = notes(done)
    beyond = [t for t in told if t.startswith("Smiling: ")]
    assert beyond == [
        "Smiling: strengths were measured from -2.5 to 2.5; beyond, faces may come apart"
    ]
    assert len([t for t in told if t.startswith("Big_Lips: does not work")]) == 1
    plain = run("edit", folder, *ONE, "--out", "p")
    assert not [t for t in notes(plain) if t.startswith("Smiling")]
    swept = run("edit", folder, "--attr", "Smiling", "--range", "2", "4", "1", "--out", "q")
    assert "Smiling: strengths were measured" in swept.stderr


def test_each_error_of_a_batch_is_said_once(run, folder):
    (folder / "bad.jpg").write_text("not a picture")
    Image.new("RGB", (300, 200), "beige").save(folder / "wall.png")
    done = run("edit", folder, *ONE)
    assert done.returncode == 1
    for reason in ("not a picture", "no face found"):
        assert done.stderr.count(reason) == 1, done.stderr
    assert "4 photos: 2 done, 1 no face, 1 failed" in notes(done)
    assert f"  failed: {folder}/bad.jpg" in notes(done)


def test_a_dry_run_finds_photos_that_cannot_be_read(run, folder, tmp_path):
    (folder / "bad.jpg").write_text("not a picture")
    (folder / "empty.png").write_bytes(b"")
    done = run("edit", folder, *ONE, "--dry-run")
    assert done.returncode == 1
    rows = [row.split("\t") for row in done.stdout.splitlines()]
    assert [r[0] for r in rows] == ["write", "write", "fail", "fail"]
    assert rows[0][1] == f"{tmp_path}/holiday-edited/a.png"
    assert "bad.jpg: not a picture" in rows[2][1]
    found = lines(run("edit", folder, *ONE, "--dry-run", "--json"))
    assert [r["would"] for r in found] == ["write", "write", "fail", "fail"]
    assert "empty" in found[3]["error"]
    assert not (tmp_path / "holiday-edited").exists()


def test_a_dry_run_knows_the_suffix_of_a_photo_without_one(run, png, tmp_path):
    shutil.copy(png, tmp_path / "plain")
    assert run("edit", "plain", *ONE, "--dry-run").stdout == "write\tplain-edited.png\n"


@pytest.fixture
def no_descriptor(monkeypatch, tmp_path):
    """A machine without dlib's descriptor: an empty package stands before the real one."""
    hidden = tmp_path / "hidden" / "face_recognition_models"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("")
    path = os.pathsep.join([str(hidden.parent), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", path)
    return {"cold": True}


GET = "pip install face_recognition_models"


def test_identity_without_its_descriptor_names_the_one_command(run, png, folder, no_descriptor):
    limit = ("--max-identity-distance", "0.3")
    done = run("edit", png, *ONE, *limit, **no_descriptor)
    failed_well(done, 2, "--max-identity-distance", GET)
    assert len(done.stderr) < 150
    done = run("edit", folder, *ONE, "--json", "--jobs", "1", **no_descriptor)
    assert done.returncode == 0, done.stderr
    assert [t for t in notes(done) if GET in t] == [
        f"identity_distance will be null: dlib's face descriptor is not on this machine; get it"
        f" with: {GET}"
    ]
    assert {r["faces"][0]["identity_distance"] for r in lines(done)} == {None}


def test_messages_of_the_library_name_options_also_in_json_and_processes(run, folder):
    assert run("edit", folder, *ONE).returncode == 0
    for jobs in (1, 2):
        done = run("edit", folder, *ONE, "--jobs", jobs, "--json")
        assert done.returncode == 1
        told = [*done.stderr.splitlines(), *(r["error"] for r in lines(done))]
        assert len([t for t in told if "use --overwrite, --skip-existing" in t]) == 4, told
        assert "`" not in done.stderr + done.stdout


def test_no_option_is_spelled_outside_the_command_line():
    import re

    for path in sorted((ROOT / "faceflex" / "edit").glob("*.py")):
        assert not re.search(r"[\"' (]--[a-z]", path.read_text().replace("``--", "``")), path


def test_json_of_a_result_is_plain(run, png):
    (row,) = lines(run("edit", png, *ONE, "-o", "o.png", "--json"))
    assert json.loads(json.dumps(row)) == row
    assert row["automatic"] == {}
    assert row["faces"][0]["automatic"] == []
