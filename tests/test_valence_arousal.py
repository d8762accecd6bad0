"""Two dials for a feeling: what they do to real faces, sheets, paths, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from faceflex import make_editor
from faceflex.assets import resolve
from faceflex.compose.shading import face_shading, shade, shading_weight
from faceflex.data.affectnet import share_of
from faceflex.data.latents import Latents
from faceflex.data.records import Record
from faceflex.edit.plane import circumplex_sheet, close_up, path_places
from faceflex.errors import UsageError
from faceflex.faces import find_faces
from faceflex.faces.align import align, template, transform_points
from faceflex.methods.affect_controls import FEELINGS, feeling_place
from faceflex.methods.affect_plane import AffectPlane
from faceflex.methods.vectors import AttributeVectors
from faceflex.photo import load_photo
from faceflex.photo.clip import read_clip_xmp
from faceflex.train.affect_plane import fit_affect_plane, part_of_faces, refined


@pytest.fixture(scope="module")
def feelings():
    """An editor by valence and arousal."""
    return make_editor("valence-arousal", device="cpu")


@pytest.fixture(scope="module")
def opened(feelings, small_portrait):
    """The example photo, opened once."""
    return feelings.open(small_portrait)


def landmarks(picture):
    return find_faces(picture)[0].points


def brows_above_eyes(points):
    return points[36:48, 1].mean() - points[17:27, 1].mean()


def eye_opening(points):
    return points[[40, 41, 46, 47], 1].mean() - points[[37, 38, 43, 44], 1].mean()


def corners_above_lips(points):
    return points[[51, 57], 1].mean() - points[[48, 54], 1].mean()


@pytest.fixture(scope="module")
def faces(opened):
    """Landmarks of the example photo at the named feelings, found anew in the edited photos."""
    names = ("happy", "sad", "angry", "surprised")
    shots = [opened.shot(valence=v, arousal=a) for v, a in map(FEELINGS.get, names)]
    return dict(zip(names, map(landmarks, opened.render(shots)), strict=True))


def test_anger_has_brows_and_surprise_has_eyes(opened, faces, small_portrait):
    own = landmarks(small_portrait)
    assert brows_above_eyes(faces["angry"]) < brows_above_eyes(own) - 0.5
    assert brows_above_eyes(faces["surprised"]) > brows_above_eyes(own) + 1
    assert eye_opening(faces["surprised"]) > eye_opening(faces["sad"]) + 0.5
    assert corners_above_lips(faces["happy"]) > corners_above_lips(faces["sad"]) + 1


def test_surprise_opens_a_mouth_that_is_dark_below_the_teeth(opened):
    valence, arousal = FEELINGS["surprised"]
    shot, face = opened.shot(valence=valence, arousal=arousal), opened.faces[0]
    (change,) = next(opened.face_changes(0, [shot]))
    assert change.lips.gap > face.lips.gap + 4
    crop = align(opened.compose([[change]]), face.face.points).crop
    x, top, bottom = (
        int(v[32].round()) for v in (change.lips.x, change.lips.upper, change.lips.lower)
    )
    mouth = crop[top : bottom + 1, x - 2 : x + 3].mean(axis=(1, 2))
    assert mouth[len(mouth) // 2 :].min() < 0.5 * mouth[: len(mouth) // 2].max()


def test_lids_come_down_over_tired_eyes_and_brows_do_not_frown(opened):
    shots = [opened.shot(valence=0.0, arousal=a) for a in (-0.7, 0.7)]
    (tired,), (awake,) = opened.face_changes(0, shots)
    assert tired.eyes_shut > 0.2
    assert awake.eyes_shut == 0
    brows = slice(17, 27)
    own = opened.faces[0].landmarks
    assert (tired.landmarks[20:24, 1] - own[20:24, 1]).max() < 0
    assert (awake.landmarks[brows, 1] - own[brows, 1]).mean() < -1


def test_a_laugh_that_turns_angry_leaves_no_pout(feelings, smile):
    found = find_faces(smile)
    laughing = feelings.open(smile, ["1"], faces=found)
    own = laughing.faces[0].landmarks
    (change,) = next(laughing.face_changes(0, [laughing.shot(valence=-0.5, arousal=0.4)]))
    for outer, inner in ((51, 62), (57, 66)):
        thick = [abs(float(p[outer, 1] - p[inner, 1])) for p in (own, change.landmarks)]
        assert thick[1] < 1.5 * max(thick[0], 2.0)
    width = [float(p[54, 0] - p[48, 0]) for p in (template(), change.landmarks)]
    assert width[1] > 0.9 * width[0]


def test_folds_are_found_and_put_where_the_face_has_them(small_portrait):
    face = find_faces(small_portrait)[0]
    crop = align(small_portrait, face.points)
    points = transform_points(crop.matrix, face.points)
    folds = np.zeros((64, 64), np.float32)
    folds[30:33, 12:20] = -0.3  # On a cheek.
    shaded = np.clip(crop.crop * shade(folds, points)[:, :, None], 0, 255).astype(np.uint8)
    found = face_shading(shaded, points) - face_shading(crop.crop, points)
    assert found[31, 13:19].mean() < -0.15
    assert abs(found[50:]).max() < 0.02


def test_anger_furrows_and_joy_dimples():
    plane = AffectPlane.load(resolve("affect-plane"))
    angry, happy = (plane.shading((0, 0), FEELINGS[n]) for n in ("angry", "happy"))
    weight = shading_weight()
    assert weight.max() <= 1
    assert max(abs(m[weight < 0.01]).max() for m in (angry, happy)) < 0.01
    beside_the_nose = happy[32:40, 14:22]
    assert beside_the_nose.min() < -0.05
    assert angry.std() > 0.003


def test_a_face_at_its_own_place_stays_as_it_is(opened, small_portrait):
    (same,) = opened.render([opened.shot(**opened.own_values(0))])
    assert np.array_equal(same, small_portrait)
    (shifted,) = opened.render([opened.shot(valence_shift=0.0)])
    assert np.array_equal(shifted, small_portrait)


def test_a_shift_is_the_same_as_setting_the_sum(opened):
    own = opened.own_values(0)["valence"]
    one, two = opened.render([opened.shot(valence_shift=0.5), opened.shot(valence=own + 0.5)])
    assert np.array_equal(one, two)


def test_the_surfaces_leave_identity_alone(editor):
    plane = AffectPlane.load(resolve("affect-plane"))
    vectors = editor.method.vectors
    _, happy = plane.change((0, 0), FEELINGS["happy"])
    scale = np.linalg.norm(happy)
    for name in ("Male", "Young", "Eyeglasses"):
        probe = vectors.linear_probes[name]
        assert abs(happy @ probe) < 0.01 * scale * np.linalg.norm(probe), name
    assert happy @ vectors.linear_probes["Smiling"] > 0.3


def test_the_command_sets_shifts_and_tells(run, png, tmp_path):
    done = run("edit", png, "--valence", "0.5", "--arousal", "+-0.2", "-o", "o.png", "--json")
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)
    assert row["settings"] == {"valence": 0.5, "arousal_shift": -0.2}
    assert row["provenance"]["method"] == "valence-arousal"
    assert set(row["provenance"]["models"]) == {"model", "plane", "regressor", "content"}
    edited, before = load_photo(tmp_path / "o.png"), load_photo(png).rgb
    assert b"valence=0.5" in edited.xmp
    changed = (edited.rgb != before).any(axis=2)
    assert 0.01 < changed.mean() < 0.5
    assert not changed[:20].any()


def test_a_named_feeling_is_a_place(run, png):
    words = ("--feeling", "Sad", "--strength", "0.5", "-o", "o.png", "--dry-run", "--json")
    assert run("edit", png, *words).returncode == 0
    assert feeling_place(" Sad", 0.5) == (-0.32, -0.135)


def test_the_sheet_shows_the_photo_outlined_at_its_place(feelings, opened, small_portrait):
    small = close_up(feelings, small_portrait, [opened.faces[0].face], 240, crop=True)
    sheet = circumplex_sheet(small, ("valence", "arousal"), 2)
    outline = (np.abs(sheet.astype(int) - (235, 120, 20)).sum(axis=2) < 10).nonzero()
    assert len(outline[0]) > 500
    # Where the outline is, there is the photo itself.
    top, left = outline[0].min(), outline[1].min()
    assert sheet[top:, left:].shape[0] > 100


def test_the_command_draws_a_sheet(run, png, tmp_path):
    done = run("edit", png, "--circumplex", "--circumplex-steps", "2", "--json")
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)
    assert row["output"] == "friend-circumplex.png"
    assert set(row["own"]) == {"valence", "arousal"}
    sheet = load_photo(tmp_path / "friend-circumplex.png")
    assert b"valence-arousal" in sheet.xmp
    assert min(sheet.rgb.shape[:2]) > 2 * 140
    again = run("edit", png, "--circumplex")
    assert again.returncode == 1
    assert "friend-circumplex.png: exists; use --overwrite" in again.stderr


def test_sheets_and_paths_are_foreseen(run, png, tmp_path):
    words = ("--circumplex", "--path")
    for option, name in zip(words, ("friend-circumplex.png", "friend-path.gif"), strict=True):
        given = (option, "0,0 1,0") if option == "--path" else (option,)
        done = run("edit", png, *given, "--dry-run")
        assert (done.returncode, done.stdout) == (0, f"write\t{name}\n"), done.stderr
        assert not (tmp_path / name).exists()
        (tmp_path / name).write_bytes(b"there")
        assert run("edit", png, *given, "--dry-run").returncode == 1
        foreseen = run("edit", png, *given, "--dry-run", "--skip-existing", "--json")
        assert json.loads(foreseen.stdout)["would"] == "skip"
        assert (tmp_path / name).read_bytes() == b"there"


def test_a_path_is_a_moving_picture(run, png, tmp_path):
    done = run("edit", png, "--path", "0.5,0 -0.5,0.5", "--frames", "3", "-o", "p.webp")
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "p.webp") as moving:
        assert moving.n_frames == 3
        frames = []
        for k in range(3):
            moving.seek(k)
            frames.append(np.asarray(moving.convert("RGB"), int))
    assert np.abs(frames[0] - frames[2]).max() > 20
    assert b"0.5,0 -0.5,0.5" in (tmp_path / "p.webp").read_bytes()
    run("edit", png, "--path", "0.5,0 -0.5,0.5", "--frames", "2", "-o", "p.gif")
    with Image.open(tmp_path / "p.gif") as moving:
        assert (moving.n_frames, moving.info["loop"], moving.info["duration"]) == (2, 0, 40)
    assert b"0.5,0 -0.5,0.5" in (read_clip_xmp((tmp_path / "p.gif").read_bytes()) or b"")
    av = pytest.importorskip("av")
    done = run("edit", png, "--path", "0.5,0 -0.5,0.5", "--frames", "3", "-o", "p.mp4")
    assert done.returncode == 0, done.stderr
    with av.open(str(tmp_path / "p.mp4")) as video:
        assert [f.width % 2 for f in video.decode(video=0)] == [0, 0, 0]


def test_paths_are_walked_evenly():
    places = path_places([(0, 0), (0.3, 0), (0.3, 0.9)], 5)
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    assert places[1] == (0.3, 0.0)
    assert np.allclose(steps, 0.3)


def test_faces_are_reported_with_their_place_and_its_error(run, png):
    row = json.loads(run("faces", png, "--json").stdout)
    for name in ("valence", "arousal"):
        assert -1 <= row[name]["estimate"] <= 1
        assert 0.2 < row[name]["rmse"] < 0.6


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--valence", "1.2"], "--valence 1.2: needs a value from -1 to 1"),
        (["--arousal", "-2"], "--arousal -2: needs a value from -1 to 1"),
        (["--valence", "nan"], "--valence nan: needs a value from -1 to 1"),
        (["--valence", "much"], "--valence much: needs a number, like 0.5, or a shift"),
        (["--valence", "0.1", "--valence-shift", "0.1"], "is set and shifted; give one of both"),
        (["--feeling", "joy"], "--feeling joy: use one of happy, sad"),
        (["--feeling", "sad", "--strength", "3"], "--strength 3: sad needs 0 to 1.6"),
        (["--feeling", "sad", "--valence", "0"], "--feeling and --valence: give one of them"),
        (["--strength", "1"], "--strength: needs --feeling NAME"),
        (["--circumplex-steps", "5"], "--circumplex-steps: needs --circumplex"),
        (["--circumplex", "--circumplex-steps", "1"], "--circumplex-steps 1: needs 2 to 25"),
        (["--circumplex", "--valence", "0"], "give no other edit"),
        (["--circumplex", "--cluster", "tcp://a:1"], "--cluster: other machines edit whole photos"),
        (["--path", "0,0"], "needs two places or more"),
        (["--path", "0,0 2,0"], "--path 2,0: valence and arousal need values from -1 to 1"),
        (["--path", "0;0 1;1"], 'use "V,A V,A ..."'),
        (["--path", "0,0 1,1", "--frames", "1"], "--frames 1: needs 2 to 1000"),
        (["--path", "0,0 0,0"], "--path: all its places are the same"),
        (["--path", "0,0 1,1", "-o", "p.jpg"], "p.jpg: cannot tell the format from '.jpg'"),
    ],
)
def test_wrong_words_are_told_in_one_line(run, png, words, told):
    done = run("edit", png, *words)
    assert done.returncode == 2
    assert told in done.stderr
    assert done.stderr.count("\n") == 1


def test_feelings_beyond_the_plane_are_refused():
    with pytest.raises(UsageError, match=r"afraid needs 0 to 1\.3"):
        feeling_place("afraid", 1.5)


def test_teeth_show_where_a_mouth_opens_in_joy(opened):
    happy, calm = opened.render(
        [opened.shot(valence=0.75, arousal=0.1), opened.shot(valence=0.0, arousal=-0.3)]
    )
    lips = landmarks(happy)[60:68].mean(axis=0).round().astype(int)
    rows, columns = slice(lips[1] - 2, lips[1] + 3), slice(lips[0] - 8, lips[0] + 9)
    gray = [p[rows, columns].astype(float) for p in (happy, calm)]
    redness = [float((g[..., 0] - g[..., 1]).mean()) for g in gray]
    assert redness[0] < redness[1] - 5


def test_surfaces_are_fitted_to_their_own_part_with_the_folds_of_each(small_portrait, tmp_path):
    names = [name for name in map("{}.png".format, range(40)) if share_of(name) >= 5][:3]
    others = [name for name in map("{}.png".format, range(40)) if share_of(name) < 5][:2]
    points = find_faces(small_portrait)[0].points
    rng, records = np.random.default_rng(0), []
    for name in names + others:
        Image.fromarray(small_portrait).save(tmp_path / name, compress_level=1)
        labels = {"valence": 0.1, "arousal": 0.2, "expression": 0.0}
        records.append(Record(tmp_path / name, "affectnet", points, labels))
    latents = rng.standard_normal((2, len(records), 500)).astype(np.float32)
    crops = np.repeat(np.float32(points)[None], len(records), axis=0)
    faces = part_of_faces(Latents(records, *latents, crops, {}), "edits")
    assert [r.path.name for r in faces.records] == names
    found, shadings = refined(faces, "landmarks68")
    assert shadings.shape == (3, 64, 64)
    assert abs(shadings[0] * shading_weight()).max() > 0.05
    assert abs(found.points[0] - template()).mean() < 5
    with pytest.raises(UsageError, match="frontal faces to fit; at least 200 are needed"):
        fit_affect_plane(found, shadings, AttributeVectors.load(resolve("vectors")))
