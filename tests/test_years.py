"""Years and mustaches: statistics, layers, and what they do to whole photos."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from faceflex.assets import resolve
from faceflex.compose.face_frame import frame_place, from_frame, to_face
from faceflex.compose.hair_color import HairColor
from faceflex.compose.mustache import draw_hairs, hair_curves
from faceflex.data import years_faces
from faceflex.data.years_faces import YearsFaces, read_years
from faceflex.errors import AssetError, UsageError
from faceflex.faces.align import SIZE, template
from faceflex.methods.face_years import Looks
from faceflex.methods.years import KIND, Years, aging_layer
from faceflex.train.age import AgeObjective, AgeTraining
from faceflex.train.loop import Trainer
from faceflex.train.years import fit_years
from tests.conftest import face_points
from tests.resuming import run_unbroken_and_resumed


@pytest.fixture(scope="module")
def opened(editor, small_portrait):
    return editor.open(small_portrait)


@pytest.fixture(scope="module")
def years():
    return Years.load(resolve("years"))


def shown(opened, **settings):
    return next(opened.render([opened.shot(**settings)]))


def lip_of(opened):
    """Return rows and columns of the upper lip's skin."""
    p = opened.faces[0].face.points
    return slice(int(p[33, 1]) + 4, int(p[51, 1]) - 2), slice(int(p[49, 0]), int(p[53, 0]))


def test_a_picture_goes_to_the_mean_face_and_back():
    points = face_points(3, 1.0)
    line = np.linspace(0, 1, SIZE, dtype=np.float32)
    ramp = np.dstack([np.tile(line, (SIZE, 1)), np.tile(line[:, None], (1, SIZE))])
    x, y = to_face(points, SIZE)
    framed = cv2.remap(ramp, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    back = from_frame(framed, frame_place(points))
    inner = slice(30, 98)
    assert np.abs(back - ramp)[inner, inner].max() < 0.02


def made_up(count=400, seed=0):
    """Return faces whose mouths widen by a pixel in ten years; smiles widen them too."""
    rng = np.random.default_rng(seed)
    age = rng.uniform(5, 80, count).astype(np.float32)
    smile = rng.normal(size=count) + age / 40
    shape = np.tile(template(), (count, 1, 1)) + rng.normal(0, 0.3, (count, 68, 2))
    shape[:, 48, 0] -= age / 10 + 3 * smile
    shape[:, 54, 0] += age / 10 + 3 * smile
    energy = np.zeros((count, 32, 32, 4)) + age[:, None, None, None] / 50
    return YearsFaces(
        age,
        np.float32(rng.random(count) < 0.5),
        np.float32(smile[:, None]),
        np.float32(shape),
        np.zeros((count, 64, 64, 3), np.float16),
        np.float16(energy),
        np.zeros((count, 128, 128), np.float16),
        np.zeros((32, 32, 2), np.float32),
    )


def test_what_comes_with_age_is_told_from_what_comes_with_smiles(tmp_path):
    fitted = fit_years(made_up())
    fitted.save(tmp_path / "years.safetensors")
    for model in (fitted, Years.load(tmp_path / "years.safetensors")):
        change = model.difference(30, 60, 0.5)
        assert change.shape[54, 0] == pytest.approx(3.0, abs=0.4)
        assert change.shape[48, 0] == pytest.approx(-3.0, abs=0.4)
        assert change.energy.mean() == pytest.approx(0.6, abs=0.05)
        assert np.abs(change.shape[:48]).max() < 0.4


def test_damaged_statistics_are_refused(tmp_path):
    arrays = load_file(resolve("years"))
    path = tmp_path / "years.safetensors"
    wrong = ({"fold.modes": arrays["fold.modes"][:, :64]}, {"flow": np.zeros(3, np.float16)})
    for change in wrong:
        save_file(arrays | change, path, {"kind": KIND})
        with pytest.raises(AssetError, match="damaged statistics of years"):
            Years.load(path)
    del arrays["shape.modes"]
    save_file(arrays, path, {"kind": KIND})
    with pytest.raises(AssetError, match=r"no shape\.modes"):
        Years.load(path)


def test_old_faces_have_what_old_faces_have(years):
    older = years.difference(35, 65, 0.0)
    for brow in (19, 24):
        x, y = (template()[brow] / 2).astype(int)
        assert older.color[y - 1 : y + 2, x].mean(axis=1).max() > 0.05  # Brows get lighter,
    x, y = (template()[57] / 2).astype(int)
    red = older.color[y - 1, x, 0] - older.color[y - 1, x, 1]
    assert red < 0  # lips paler,
    assert older.shape[57, 1] - older.shape[51, 1] < 0  # and thinner.
    assert older.gray > 0.5 < older.wrinkled + 0.1


def test_years_are_read_from_faces_of_known_age(tmp_path, monkeypatch, small_portrait, editor):
    points = editor.open(small_portrait).faces[0].face.points
    folder = tmp_path / "UTKFace"
    folder.mkdir()
    scale = 200 / 450
    chip = cv2.resize(small_portrait, (200, 200), interpolation=cv2.INTER_AREA)
    names = [f"{20 + 5 * n}_{n % 2}_0_{n}.jpg.chip.jpg" for n in range(12)]
    for name in names:
        Image.fromarray(chip).save(folder / name)
    placed = np.tile((points + 0.5) * scale - 0.5, (len(names), 1, 1)).astype(np.float32)
    np.savez(folder / "landmarks68.npz", name=np.array(names), points=placed)
    attributes = [*years_faces._JUDGED, "Bald"]

    def judge(crops):
        return np.zeros((len(crops), len(attributes)), np.float32)

    with pytest.raises(UsageError, match="at least 200"):
        read_years(folder, judge, attributes)
    monkeypatch.setattr(years_faces, "LEAST", 6)
    faces = read_years(folder, judge, attributes)
    assert 6 <= len(faces.age) <= 12
    assert faces.color.shape[1:] == (64, 64, 3)
    same = fit_years(faces).difference(30, 60, 0.5)
    assert np.abs(same.shape).max() < 0.2  # It was one face at all ages.
    glasses = read_years_with_glasses(folder, attributes)
    assert glasses == 0


def read_years_with_glasses(folder, attributes):
    """Return how many faces are read of which a judge says that they wear glasses."""
    try:
        found = read_years(
            folder, lambda crops: np.ones((len(crops), len(attributes)), np.float32), attributes
        )
    except UsageError:
        return 0
    return len(found.age)


def test_older_and_younger_faces_look_it(editor, opened, small_portrait):
    look = editor.method._years.looks
    before = look(opened.faces[0]).age
    older, younger = opened.render([opened.shot(Young=-2.5), opened.shot(Young=2.0)])
    assert look(editor.open(older).faces[0]).age > before + 4
    assert look(editor.open(younger).faces[0]).age < before + 1
    region = opened.faces[0].region
    outside = np.ones(small_portrait.shape[:2], bool)
    outside[region.top : region.bottom, region.left : region.right] = region.mask == 0
    for picture in (older, younger):
        assert np.array_equal(picture[outside], small_portrait[outside])


def test_wrinkles_are_a_persons_own(years, opened):
    change = years.difference(40, 65, 0.0)
    points = opened.faces[0].landmarks
    one, same, other = (aging_layer(change, points, seed).wrinkles for seed in (0, 0, 1))
    region = opened.faces[0].region
    assert np.array_equal(one.log_factor(region), same.log_factor(region))
    assert np.abs(one.log_factor(region) - other.log_factor(region)).max() > 0.02
    assert aging_layer(years.difference(60, 40, 0.0), points).wrinkles is None
    assert aging_layer(years.difference(4, 10, 0.0), points).wrinkles.depth.max() < 0.001


def test_hairs_grow_down_and_outward():
    hairs = draw_hairs(0)
    curves = hair_curves(hairs, template(), 0.7)
    way = curves[:, -1] - curves[:, 0]
    assert (way[:, 1] > 0).mean() > 0.95
    side = np.abs(hairs.across) > 0.3
    assert (np.sign(way[side, 0]) == np.sign(hairs.across[side])).mean() > 0.95
    assert curves[..., 1].min() > template()[33, 1] - 1
    assert curves[..., 1].max() < template()[57, 1]


def test_a_mustache_is_fuller_at_higher_strengths_and_one_per_seed(editor, opened):
    rows, columns = lip_of(opened)
    rgb = opened.rgb.astype(float)
    half, full, again = (shown(opened, Mustache=s).astype(float) for s in (0.7, 2.0, 2.0))
    assert np.array_equal(full, again)
    darker = [(rgb - p)[rows, columns].mean() for p in (half, full)]
    assert 4 < darker[0] < 0.8 * darker[1]
    other = opened.shot(Mustache=2.0)
    varied = next(opened.render([replace(other, variant=1)]))
    assert np.abs(varied[rows, columns].astype(float) - full[rows, columns]).mean() > 3


def test_a_mustache_is_as_dark_to_the_skin_in_a_dark_photo(editor, opened, small_portrait):
    dim = np.round(small_portrait * 0.3).astype(np.uint8)
    shares = []
    for one in (opened, editor.open(dim)):
        rows, columns = lip_of(one)
        after = shown(one, Mustache=1.5)
        shares.append(after[rows, columns].mean() / one.rgb[rows, columns].mean())
    assert shares[0] == pytest.approx(shares[1], abs=0.12)
    assert max(shares) < 0.9


def test_hair_is_darker_than_skin_or_gray(opened):
    face = opened.faces[0]
    color = HairColor.measure(face.region.crop(opened.rgb), face.region, face.landmarks)
    assert (color.ratio > 0.04).all()
    assert (color.ratio < 0.9).all()
    plain = np.full((*face.region.mask.shape, 3), 120, np.uint8)
    flat = HairColor.measure(plain, face.region, face.landmarks)
    assert np.ptp(flat.ratio) < 0.2
    assert flat.saturation == 0


def test_a_child_gets_no_mustache_and_is_told_so(editor, opened, monkeypatch):
    monkeypatch.setattr(editor.method._years, "looks", lambda _face: Looks(7.0, 0.5))
    shot = opened.shot(Mustache=1.5)
    assert np.array_equal(next(opened.render([shot])), opened.rgb)
    (remark,) = opened.remarks(0, shot)
    assert "child of about 7" in remark
    assert opened.remarks(0, opened.shot(Mustache=-1)) == ()
    (steps,) = next(opened.changes([opened.shot(Young=-1)]))
    (layer,) = steps[-1].layers
    assert layer.gray < 0.02
    assert layer.wrinkles is None or layer.wrinkles.depth.max() < 0.002


@pytest.fixture
def aged(cache):
    """The faces of the cache with made-up ages."""
    rows = [{"age": float(5 + n), "gender": float(n % 2)} for n in range(len(cache))]
    held_out = cache.held_out.copy()
    held_out[:2] = True
    return replace(cache, labels=rows, held_out=held_out)


def test_a_stopped_age_regressor_goes_on_to_the_same_result(aged, tmp_path):
    config = AgeTraining(4, 8)

    def trainer(folder):
        return Trainer(AgeObjective(aged, config), tmp_path / folder)

    _, metrics = run_unbroken_and_resumed(trainer)
    assert 0 <= metrics["mean_error"] < 100


def test_ages_are_needed_to_learn_them(cache):
    with pytest.raises(UsageError, match="0 faces of known age"):
        AgeObjective(cache, AgeTraining(4, 8))
