"""The command as people run it: a real process on real files."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceflex.photo import load_photo
from tests.conftest import PORTRAIT


def lines(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def failed_well(done, code, *words):
    """The exit code, one line that says it all, no traceback."""
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    errors = [e for e in done.stderr.splitlines() if e.startswith("faceflex: error: ")]
    assert len(errors) == 1, done.stderr
    for word in words:
        assert word in errors[0]


def files_below(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_a_sweep_writes_strengths_and_a_sheet(run, png, tmp_path):
    done = run("edit", png, "--attr", "smiling", "--range", "0", "3", "1", "--json", cold=True)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "friend-Smiling"
    assert files_below(folder) == [
        "sample-1/0-Smiling.png",
        "sample-1/1-Smiling.png",
        "sample-1/2-Smiling.png",
        "sheet.png",
    ]
    before = load_photo(png).rgb
    assert np.array_equal(load_photo(folder / "sample-1/0-Smiling.png").rgb, before)
    assert not np.array_equal(load_photo(folder / "sample-1/2-Smiling.png").rgb, before)
    records = lines(done)
    assert [r["strength"] for r in records] == [0, 1, 2]
    first = records[0]
    assert first["photo"] == str(png)
    assert first["output"] == "friend-Smiling/sample-1/0-Smiling.png"
    assert (first["attribute"], first["sample"]) == ("Smiling", 1)
    provenance = first["provenance"]
    assert provenance["source_type"].endswith("compositeWithTrainedAlgorithmicMedia")
    assert provenance["method"] == "attribute-vectors"
    assert set(provenance["models"]) == {"model", "content"}
    assert provenance["settings"] == {"Smiling": "0"}
    assert first["seconds"] > 0
    (face,) = first["faces"]
    assert face["index"] == 1
    assert face["warnings"] == []
    moved = [r["faces"][0]["identity_distance"] for r in records]
    assert moved[0] == 0
    assert 0.05 < moved[1] < moved[2] < 0.5
    assert len(face["box"]) == 4
    with Image.open(folder / "sheet.png") as sheet:
        assert sheet.width > 4 * 200


def test_samples_differ_and_repeat_with_the_seed(run, png, tmp_path):
    sweep = ("--attr", "Smiling", "--range", "2", "3", "1", "--no-sheet", "--samples", "2")
    assert run("edit", png, *sweep, "--out", "a").returncode == 0
    assert run("edit", png, *sweep, "--out", "b").returncode == 0
    assert run("edit", png, *sweep, "--out", "c", "--seed", "7").returncode == 0
    assert files_below(tmp_path / "a") == ["sample-1/2-Smiling.png", "sample-2/2-Smiling.png"]

    def picture(folder, sample):
        return load_photo(tmp_path / folder / f"sample-{sample}/2-Smiling.png").rgb

    assert not np.array_equal(picture("a", 1), picture("a", 2))
    assert np.array_equal(picture("a", 1), picture("b", 1))
    assert not np.array_equal(picture("a", 1), picture("c", 1))


def test_set_writes_one_picture_with_provenance(run, tmp_path):
    done = run(
        "edit", PORTRAIT, "--set", "Smiling=1.5", "--set", "young=-1", "-o", "out.jpg", "--json"
    )
    assert done.returncode == 0, done.stderr
    photo = load_photo(tmp_path / "out.jpg")
    assert photo.rgb.shape == load_photo(PORTRAIT).rgb.shape
    assert b"compositeWithTrainedAlgorithmicMedia" in photo.xmp
    assert b"Smiling=1.5, Young=-1" in photo.xmp
    (record,) = lines(done)
    assert record["settings"] == {"Smiling": 1.5, "Young": -1.0}
    assert record["attribute"] is None


def test_a_result_that_is_somebody_else_is_refused(run, png, tmp_path):
    words = ("--attr", "Smiling", "--range", "0.2", "3", "2", "--max-identity-distance", "0.2")
    done = run("edit", png, *words, "--json")
    failed_well(done, 1, "2.2-Smiling.png", "identity distance", "exceeds 0.2", "not written")
    kept, refused = lines(done)
    assert kept["faces"][0]["identity_distance"] < 0.2
    assert refused["output"] is None
    assert files_below(tmp_path / "friend-Smiling") == ["sample-1/0.2-Smiling.png", "sheet.png"]


def test_the_stages_of_an_edit_are_explained(run, png, tmp_path):
    words = ("--set", "Smiling=1.5", "-o", "out.png", "--explain", "why")
    assert run("edit", png, *words).returncode == 0
    found = files_below(tmp_path / "why")
    assert len(found) == 11
    assert found[0] == "friend/face-1/01-aligned.png"
    assert found[-1] == "friend/face-1/all.png"
    stages = [np.asarray(Image.open(tmp_path / "why" / f)) for f in found[:-1]]
    assert {s.shape for s in stages} == {(384, 384, 3)}
    failed_well(run("edit", png, *words[:3], "b.png", *words[4:]), 1, "01-aligned.png", "exists")
    assert not (tmp_path / "b.png").exists()


def test_photos_of_one_name_are_explained_apart(run, png, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(png, other / "friend.png")
    words = ("--attr", "Smiling", "--range", "1", "2", "1", "--explain", "why")
    done = run("edit", png, other / "friend.png", *words)
    assert done.returncode == 0, done.stderr
    found = files_below(tmp_path / "why")
    assert {f.split("/")[0] for f in found} == {"friend", "friend-2"}
    assert (tmp_path / "friend-Smiling-2" / "sample-1" / "1-Smiling.png").is_file()


def test_edits_are_evaluated(run, tmp_path):
    words = ("evaluate", "edits", PORTRAIT, "--attr", "smiling", "--range", "1", "3", "1")
    done = run(*words, "--out", "report", "--json")
    assert done.returncode == 0, done.stderr
    rows = lines(done)
    assert [r["strength"] for r in rows] == [1, 2]
    assert rows[0]["score_before"] < rows[0]["score"] < rows[1]["score"]
    assert files_below(tmp_path / "report") == ["report.csv", "report.json", "report.png"]
    summary = json.loads((tmp_path / "report" / "report.json").read_text())
    assert summary["attribute"] == "Smiling"
    assert summary["photos"] == 1
    assert [s["outside_most"] for s in summary["strengths"]] == [0, 0]
    assert (tmp_path / "report" / "report.csv").read_text().count("\n") == 3
    failed_well(run(*words, "--out", "report"), 1, "report.json", "exists")


def test_words_of_evaluate_are_checked(run, tmp_path):
    words = ("evaluate", "edits", PORTRAIT, "--attr", "Smiling")
    failed_well(run(*words, "--real", PORTRAIT, "--real", PORTRAIT, "--real", "x"), 2, "--real")
    failed_well(run(*words, "--range", "0", "1", "1"), 2, "--range", "0")
    failed_well(run(*words, "--method", "magic"), 2, "--method", "attribute-vectors")
    failed_well(run(*words, "--mode", "magic"), 2, "magic", "transfer")
    failed_well(run("evaluate", "edits", __file__, *words[3:]), 1, "test_cli.py")
    assert not files_below(tmp_path)


def test_provenance_can_be_turned_off_and_that_is_said(run, png, tmp_path):
    done = run("edit", png, "--set", "Smiling=1", "-o", "o.png", "--no-provenance", "--json")
    assert lines(done)[0]["provenance"] is None
    assert load_photo(tmp_path / "o.png").xmp is None


def test_a_pipe_reads_and_writes_pictures(run, png):
    done = run("edit", "-", "--set", "Smiling=2", stdin=png.read_bytes(), text=False)
    assert done.returncode == 0, done.stderr
    with Image.open(io.BytesIO(done.stdout)) as picture:
        assert (picture.format, picture.size) == ("PNG", (450, 450))
        assert not np.array_equal(np.asarray(picture), load_photo(png).rgb)


def test_several_photos_have_a_folder_each(run, png, tmp_path):
    other = tmp_path / "sub" / "friend.png"
    other.parent.mkdir()
    other.write_bytes(png.read_bytes())
    sweep = ("--attr", "Smiling", "--range", "1", "2", "1", "--no-sheet")
    done = run("edit", png, other, *sweep, "--out", "all")
    assert done.returncode == 0, done.stderr
    assert files_below(tmp_path / "all") == [
        "friend-2/sample-1/1-Smiling.png",
        "friend/sample-1/1-Smiling.png",
    ]


def test_a_bad_photo_does_not_stop_the_others(run, png, tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_text("not a picture")
    done = run("edit", bad, png, "--set", "Smiling=1", "--json")
    failed_well(done, 1, "bad.jpg", "not a picture")
    first, second = lines(done)
    assert first["output"] is None
    assert "bad.jpg" in first["error"]
    assert second["output"] == "friend-edited.png"
    assert (tmp_path / "friend-edited.png").exists()


def test_no_face_is_exit_code_3(run, tmp_path):
    empty = tmp_path / "wall.png"
    Image.new("RGB", (300, 200), "beige").save(empty)
    done = run("edit", empty, "--attr", "Smiling")
    failed_well(done, 3, "wall.png", "no face found")
    assert files_below(tmp_path) == ["wall.png"]


def test_a_face_that_is_not_there_is_exit_code_3(run, png):
    failed_well(run("edit", png, "--set", "Smiling=1", "--face", "9"), 3, "has no face 9")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--attr", "Smilling"), ("Smilling", "did you mean Smiling?")),
        (("--attr", "Smiling", "--range", "0", "5", "0"), ("step of 0",)),
        (("--attr", "Smiling", "--range", "5", "0", "1"), ("--range 5 0 1", "negative STEP")),
        (("--attr", "Smiling", "--range", "0", "1e12", "1"), ("1,000 at most",)),
        (("--attr", "Smiling", "--samples", "99"), ("1 to 25",)),
        (("--attr", "Smiling", "--samples", "0"), ("--samples 0",)),
        ((), ("--attr NAME",)),
        (("--set", "Smiling"), ("NAME=STRENGTH",)),
        (("--set", "Smiling=1", "--range", "0", "1", "1"), ("--range",)),
        (("--attr", "Smiling", "-o", "x.png"), ("-o x.png", "5 pictures")),
        (("--set", "Smiling=1", "-o", "x.xyz"), ("x.xyz", "use one of")),
        (("--set", "Smiling=1", "-o", "-", "--json"), ("--json",)),
        (("--set", "Smiling=1", "--face", "left"), ("--face left",)),
        (("--set", "Smiling=1", "--device", "abacus"), ("--device abacus",)),
        (("--set", "Smiling=1", "--detector", "eyes"), ("--detector eyes",)),
        pytest.param(
            ("--set", "Smiling=1", "--device", "mps"),
            ("no mps device", "cpu"),
            marks=pytest.mark.skipif(sys.platform == "darwin", reason="a Mac may have one"),
        ),
        (("--set", "Smiling=1", "--overwrite", "--skip-existing"), ("give one of them",)),
        (("--set", "Smiling=1", "--model", "nowhere.safetensors"), ("nowhere.safetensors",)),
    ],
)
def test_wrong_words_are_exit_code_2_and_write_nothing(run, png, tmp_path, arguments, words):
    failed_well(run("edit", png, *arguments), 2, *words)
    assert files_below(tmp_path) == ["friend.png"]


def test_outputs_that_exist_are_kept_skipped_or_replaced(run, png, tmp_path):
    edit = ("edit", png, "--set", "Smiling=2", "-o", "out.png")
    out = tmp_path / "out.png"
    out.write_text("mine")
    failed_well(run(*edit), 1, "out.png", "exists", "--overwrite")
    assert out.read_text() == "mine"
    done = run(*edit, "--skip-existing")
    assert (done.returncode, out.read_text()) == (0, "mine")
    assert run(*edit, "--overwrite").returncode == 0
    assert load_photo(out).rgb.shape == (450, 450, 3)


def test_a_sheet_of_somebody_elses_is_kept(run, png, tmp_path):
    edit = ("edit", png, "--attr", "Smiling", "--range", "1", "2", "1", "--out", "here")
    mine = tmp_path / "here" / "sheet.png"
    mine.parent.mkdir()
    mine.write_text("mine")
    failed_well(run(*edit), 1, "sheet.png", "exists")
    assert files_below(mine.parent) == ["sheet.png"]
    assert run(*edit, "--skip-existing").returncode == 0
    assert mine.read_text() == "mine"
    picture = mine.parent / "sample-1/1-Smiling.png"
    stamp = picture.stat().st_mtime_ns
    # A run that stopped before the sheet: the sheet is made, the pictures are left alone.
    mine.unlink()
    assert run(*edit, "--skip-existing").returncode == 0
    assert picture.stat().st_mtime_ns == stamp
    with Image.open(mine) as sheet:
        assert sheet.width > 400


def test_the_photo_itself_is_never_written(run, png):
    content = png.read_bytes()
    done = run("edit", png, "--set", "Smiling=2", "-o", png, "--overwrite")
    failed_well(done, 1, "is a photo to be edited")
    assert png.read_bytes() == content


def test_an_output_that_cannot_be_written_is_told(run, png, tmp_path):
    (tmp_path / "file").write_text("in the way")
    done = run("edit", png, "--set", "Smiling=1", "-o", "file/out.png")
    failed_well(done, 1, "file/out.png", "cannot be written")
    assert files_below(tmp_path) == ["file", "friend.png"]


@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_a_truncated_photo_is_told(run, tmp_path, share):
    content = PORTRAIT.read_bytes()
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(content[: int(len(content) * share)])
    failed_well(run("edit", cut, "--set", "Smiling=1"), 1, "cut.jpg")
    assert files_below(tmp_path) == ["cut.jpg"]


def test_a_missing_photo_is_told(run):
    failed_well(run("edit", "nobody.jpg", "--set", "Smiling=1"), 1, "nobody.jpg", "No such file")


def test_model_and_vectors_that_do_not_belong_together_are_refused(run, png, tmp_path):
    import torch

    from faceflex.models.checkpoint import save_network
    from faceflex.models.vae import VAE, VAEConfig

    torch.manual_seed(0)
    save_network(
        VAE(VAEConfig(encoder=(16, 16, 16), decoder=(16, 16, 16, 16))), tmp_path / "m.safetensors"
    )
    done = run("edit", png, "--set", "Smiling=1", "--model", "m.safetensors")
    failed_well(done, 1, "belong to model", "build-vectors")


def test_landmarks_are_drawn(run, png, tmp_path):
    done = run("edit", png, "--set", "Smiling=0", "-o", "o.png", "--landmarks")
    assert done.returncode == 0, done.stderr
    drawn, photo = load_photo(tmp_path / "o-landmarks.png").rgb, load_photo(png).rgb
    assert (drawn != photo).any(axis=2).mean() > 0.005
    assert np.array_equal(load_photo(tmp_path / "o.png").rgb, photo)


def test_metadata_and_orientation_survive_an_edit(run, tmp_path, small_portrait):
    path = tmp_path / "phone.jpg"
    exif = Image.Exif()
    exif[0x0112], exif[0x8298] = 6, "A. Friend"
    Image.fromarray(np.rot90(small_portrait).copy()).save(path, exif=exif, quality=92)
    assert run("edit", path, "--set", "Smiling=1", "-o", "o.jpg").returncode == 0
    with Image.open(tmp_path / "o.jpg") as out:
        tags = out.getexif()
        assert tags.get(0x0112, 1) == 1
        assert tags[0x8298] == "A. Friend"
        assert np.abs(np.asarray(out).astype(int) - small_portrait).mean() < 4


def test_faces_are_reported(run, png):
    (face,) = lines(run("faces", png, "--json"))
    assert face["index"] == 1
    assert np.array(face["points"]).shape == (68, 2)
    table = run("faces", png)
    assert table.returncode == 0
    assert "friend.png" in table.stdout
    assert str(face["box"][0]) in table.stdout


def test_attributes_are_listed_with_their_reliability(run):
    rows = {r["attribute"]: r for r in lines(run("attributes", "--json"))}
    assert len(rows) == 39
    assert len(lines(run("attributes", "--json", "--all"))) == 40
    assert rows["Smiling"]["reliability"] == "good"
    assert rows["Big_Lips"]["reliability"] == "does not work"
    assert "Attractive" not in rows
    assert "Mustache" in run("attributes").stdout


def test_light_commands_do_not_import_heavy_packages(tmp_path):
    import subprocess

    code = (
        "import sys\n"
        "sys.argv = ['faceflex', *{words!r}.split()]\n"
        "from faceflex.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = sorted({{'torch', 'cv2', 'dlib', 'skimage', 'numpy'}} & set(sys.modules))\n"
        "assert not heavy, heavy\n"
    )
    for words in ("--help", "--version", "models", "edit", "edit x.jpg", "edit --help"):
        done = subprocess.run(
            [sys.executable, "-c", code.format(words=words)],
            capture_output=True,
            env={**os.environ, "FACEFLEX_HOME": str(tmp_path)},
            check=False,
            cwd=Path(__file__).parent.parent,
        )
        assert done.returncode == 0, (words, done.stderr.decode())


def test_version_is_the_packages(run):
    import faceflex

    assert run("--version").stdout.strip() == f"faceflex {faceflex.__version__}"
