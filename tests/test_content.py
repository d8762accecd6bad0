"""The learned content renderer: what it renders, its file, its pairs and its training."""

from __future__ import annotations

import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from faceflex import make_editor
from faceflex.assets import resolve
from faceflex.compose.composer import Composer
from faceflex.compose.content_inputs import sample_grid
from faceflex.compose.content_window import (
    border_fade,
    region_to_window,
    to_window,
    window_coordinates,
    window_in,
    window_to_region,
)
from faceflex.compose.mouth_codes import CODE, FEATURES, MouthCodes, fit_codes
from faceflex.compose.mouth_interior import MouthExemplars
from faceflex.compose.warp import estimate_warp
from faceflex.data.content_pairs import ContentPairs, _mirrored
from faceflex.data.records import Record
from faceflex.data.round_trip_files import PairFiles, make_pairs, person_records
from faceflex.data.round_trips import RoundTrips, exact_warp
from faceflex.errors import AssetError, UsageError
from faceflex.faces.region import LUMA
from faceflex.methods.attribute_vectors import AttributeVectorMethod
from faceflex.methods.content import make_content
from faceflex.models.checkpoint import load_network, save_network
from faceflex.models.content_unet import ContentConfig, ContentUNet
from faceflex.parallel.run_tasks import run_tasks
from faceflex.tensors import read_metadata
from faceflex.train.content import ContentObjective, ContentTraining
from faceflex.train.loop import Trainer

SMALL = ContentConfig(widths=(8, 8, 8, 8))
TINY = ContentTraining(
    steps=4, batch=2, edits=1, adversary_from=1, adversary_rise=2, precision="float32"
)


class Watching:
    """A renderer that keeps what it sees and what another makes of it."""

    fingerprint = "watching"

    def __init__(self, renderer):
        self.renderer, self.seen = renderer, []

    def render(self, scene):
        content = self.renderer.render(replace(scene, patch=scene.patch.copy()))
        self.seen.append((replace(scene, patch=scene.patch.copy()), content))
        return content


@pytest.fixture(scope="module")
def opened(editor, portrait):
    """The example photo at half its size, open."""
    return editor.open(cv2.resize(portrait.rgb, (675, 675), interpolation=cv2.INTER_AREA))


def rendered(opened, **settings):
    """Return the scene of an edit's last step, and the learned content of it."""
    watching = Watching(make_content())
    canvas = opened.rgb.copy()
    ((steps,),) = opened.changes([opened.shot(**settings)])
    Composer(watching).apply(canvas, opened.faces[0], steps)
    return watching.seen[-1]


def test_the_learned_renderer_is_the_default_and_says_so(editor, opened):
    content = editor.provenance(opened.shot(Smiling=1.0)).fingerprints["content"]
    assert len(content) == 12
    assert int(content, 16) >= 0
    plain = make_editor(device="cpu", content="exemplars")
    assert isinstance(plain.composer.content, MouthExemplars)
    assert plain.provenance(opened.shot(Smiling=1.0)).fingerprints["content"] == "exemplars-1"


def test_a_strength_of_0_renders_nothing(opened):
    (picture,) = opened.render([opened.shot(Smiling=0.0)])
    np.testing.assert_array_equal(picture, opened.rgb)
    scene, _ = rendered(opened, Smiling=0.5)
    face = opened.faces[0]
    still = estimate_warp(face.landmarks, face.landmarks, face.lips, face.lips)
    assert make_content().render(replace(scene, warp=still)) is None


def test_outside_the_window_nothing_changes(opened):
    scene, content = rendered(opened, Smiling=1.5)
    before = scene.patch[content.rows, content.columns]
    changed = np.abs(content.pixels - before).max(axis=2)
    assert changed.max() > 20
    x, y = (v[content.rows, content.columns] for v in (scene.x, scene.y))
    wx, wy = to_window(x, y)
    outside = (wx < 0) | (wy < 0) | (wx > 159) | (wy > 127)
    assert outside.any()
    assert changed[outside].max() < 1
    for edge in (changed[0], changed[-1], changed[:, 0], changed[:, -1]):
        assert edge.max() < 2
    # Weights tell where new content is: between the lips.
    lips = scene.warp.after
    assert content.weight[(y < lips.upper.min() - 6) | (y > lips.lower.max() + 6)].max() == 0
    assert content.weight.max() > 0.99


def test_edits_that_are_no_expressions_leave_the_skin_to_the_transfer(opened):
    scene, content = rendered(opened, Male=0.5)
    assert scene.change.style.rendered == 0
    assert content is None or content.weight.max() > 0


def test_a_gray_photo_stays_gray_and_a_small_face_is_rendered(editor, small_portrait):
    gray = np.repeat(cv2.cvtColor(small_portrait, cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2)
    photo = editor.open(gray)
    (smiling,) = photo.render([photo.shot(Smiling=1.5)])
    assert (smiling != gray).any()
    assert int((smiling.max(axis=2).astype(int) - smiling.min(axis=2)).max()) <= 12


def render_once(editor, rgb):
    """Render one smile: what threads and processes are compared by."""
    opened = editor.open(rgb)
    yield next(opened.render([opened.shot(Smiling=1.3)]))


def test_threads_and_processes_render_the_same(editor, small_portrait):
    """Bit for bit where each computes on one core (test_batch.py); else but for a rounding."""

    def check(picture):
        apart = np.abs(picture.astype(int) - expected)
        assert apart.max() <= 1
        assert (apart > 0).mean() < 1e-4

    (expected,) = render_once(editor, small_portrait)
    fresh = make_editor(device="cpu")
    with ThreadPoolExecutor(2) as pool:
        for (picture,) in pool.map(lambda _: list(render_once(fresh, small_portrait)), range(2)):
            check(picture)
    for _, picture in run_tasks(render_once, fresh, [small_portrait], jobs=2):
        check(picture)


def test_sent_to_another_process_it_takes_no_weights_along():
    content = make_content(seed=3)
    data = pickle.dumps(content)
    assert len(data) < 2000
    assert pickle.loads(data).fingerprint == content.fingerprint


def interior(opened, strength):
    """Return the fine structure (8, 24) of the luma between the lips."""
    scene, content = rendered(opened, Smiling=strength)
    patch = scene.patch.copy()
    patch[content.rows, content.columns] = content.pixels
    grid = sample_grid(region_to_window(patch, scene.region), scene.warp.after) @ LUMA
    grid = grid[1:-1]
    return grid - cv2.GaussianBlur(grid, (0, 0), 4.0)


def test_one_person_has_one_set_of_teeth_at_all_strengths(opened):
    first = interior(opened, 1.0)
    for strength in (1.1, 1.25, 1.5):
        assert np.corrcoef(first.ravel(), interior(opened, strength).ravel())[0, 1] > 0.7


def test_content_comes_softly_as_the_strength_rises(opened):
    strengths = np.arange(0.1, 1.5, 0.2)
    pictures = list(opened.render([opened.shot(Smiling=float(s)) for s in strengths]))
    steps = [np.abs(a.astype(int) - b).mean() for a, b in pairwise(pictures)]
    assert max(steps) < 4 * np.median(steps)


def test_the_window_goes_there_and_back(opened):
    region = opened.faces[0].region
    x, y = window_coordinates()
    picture = np.float32(np.stack([100 + x, 100 + y, 120 + 20 * np.sin(x / 6)], -1))
    picture = (picture - picture.mean(axis=(0, 1))) * border_fade()[:, :, None]
    inside = window_to_region(picture, region)
    back = region_to_window(inside, region)
    np.testing.assert_allclose(back[30:90, 40:120], picture[30:90, 40:120], atol=0.3)
    rows, columns = window_in(region)
    part = window_to_region(picture, region.subregion(rows, columns))
    assert np.abs(part - inside[rows, columns]).max() < 1.5
    rest = inside.copy()
    rest[rows, columns] = 0
    assert not rest.any()


def test_codes_say_what_mouths_show():
    rng = np.random.default_rng(0)
    features = np.column_stack([np.ones(200), rng.normal(size=(200, FEATURES - 1))])
    shown = rng.normal(size=(FEATURES, 8 * 24 * 3)) * 0.1
    grids = features @ shown + 0.01 * rng.normal(size=(200, 8 * 24 * 3)) + 0.5
    codes = fit_codes(np.float32(grids.reshape(200, 8, 24, 3)), np.float32(features))
    likely = codes.predict(np.float32(features[3]), np.ones(CODE, np.float32), 0.0)
    assert np.abs(codes.decode(likely) - grids[3].reshape(8, 24, 3)).mean() < 0.03
    read = codes.encode(np.float32(grids[3]))
    np.testing.assert_allclose(codes.decode(read), grids[3].reshape(8, 24, 3), atol=0.06)
    varied = codes.predict(np.float32(features[3]), np.ones(CODE, np.float32), 1.0)
    assert not np.array_equal(varied, likely)


@pytest.fixture(scope="module")
def small_file(tmp_path_factory):
    """A content file with few numbers."""
    path = tmp_path_factory.mktemp("content") / "content.safetensors"
    torch.manual_seed(0)
    network = ContentUNet(SMALL)
    rng = np.random.default_rng(1)
    arrays = (rng.normal(size=tuple(v.shape)) for v in network.codes.state_dict().values())
    network.set_fitted(MouthCodes(*(np.float32(a) for a in arrays)), (0.25, 2.0))
    save_network(network, path)
    return path


def test_a_content_file_is_read_as_it_was_written(small_file):
    network = load_network(small_file, ContentUNet)
    assert network.config == SMALL
    assert network.smile_scale == (0.25, 2.0)
    assert np.abs(network.mouth_codes.basis).max() > 1
    again = small_file.with_name("again.safetensors")
    save_network(network, again)
    for name, array in load_file(small_file).items():
        np.testing.assert_array_equal(load_file(again)[name], array)


def test_the_bundled_file_is_small():
    assert resolve("content").stat().st_size <= 8 << 20


@pytest.mark.parametrize(
    ("config", "arrays"),
    [
        ({"widths": [8, 8, 8]}, {}),
        ({"widths": [9, 8, 8, 8]}, {}),
        ({"widths": [10**9, 8, 8, 8]}, {}),
        ({"widths": [16, 8, 8, 8]}, {}),
        ({"widths": "wide"}, {}),
        ({"bound": -1.0}, {}),
        ({"bound": "much"}, {}),
        ({"more": 1}, {}),
        ({}, {"codes.mean": np.zeros(5, np.float16)}),
        ({}, {"codes.mean": np.full(576, np.nan, np.float16)}),
        ({}, {"codes.spread": np.zeros((20, 21), np.float16)}),
        ({}, {"smile": np.zeros(3, np.float16)}),
        ({}, {"another": np.zeros(3, np.float16)}),
    ],
)
def test_hostile_content_files_are_refused(small_file, tmp_path, config, arrays):
    metadata = read_metadata(small_file, ContentUNet.kind, "file")
    shape = json.dumps(json.loads(metadata["config"]) | config)
    path = tmp_path / "c.safetensors"
    save_file(load_file(small_file) | arrays, path, metadata | {"config": shape})
    with pytest.raises(AssetError, match="damaged or foreign content renderer") as caught:
        load_network(path, ContentUNet)
    assert "\n" not in str(caught.value)


def test_other_files_are_no_renderers(run, png):
    done = run("edit", png, "--set", "Smiling=1", "--content", resolve("judge"))
    assert done.returncode != 0
    assert "not a content renderer" in done.stderr
    done = run("edit", png, "--set", "Smiling=1", "--content", "nowhere")
    assert done.returncode != 0
    assert "nowhere" in done.stderr


def test_exemplars_without_a_network_are_selectable(run, png):
    done = run("edit", png, "--set", "Smiling=1", "--content", "exemplars", "-o", "a.png")
    assert done.returncode == 0, done.stderr
    assert b"exemplars-1" in png.with_name("a.png").read_bytes()


@pytest.fixture(scope="module")
def trips():
    """What makes pairs."""
    return RoundTrips(AttributeVectorMethod(device="cpu"))


@pytest.fixture(scope="module")
def smiling(tmp_path_factory, smile):
    """The record of a photo of somebody who smiles."""
    path = tmp_path_factory.mktemp("photos") / "30_1_0_1.jpg"
    small = cv2.resize(smile, (450, 450), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(path), np.ascontiguousarray(small[..., ::-1]))
    return Record(path, "utkface", labels={"age": 30.0})


@pytest.fixture(scope="module")
def pair(trips, smiling):
    """Its round trip."""
    found = trips.round_trip(smiling, np.random.default_rng(0))
    assert found is not None
    return found


def test_a_round_trip_has_the_targets_geometry_and_not_its_teeth(trips, smiling, pair):
    opened = trips.open(smiling)
    face = opened.face
    np.testing.assert_array_equal(pair.lips, [face.lips.x, face.lips.upper, face.lips.lower])
    assert pair.age == 30.0
    change, there = trips._way(opened, -1.8)
    assert there.after.gap < face.lips.gap
    back = exact_warp(there.targets, there.after, face.landmarks, face.lips)
    # The way back leads each landmark, and each lip's contour, to where it was moved.
    upper, lower = back.fields
    for field, edge, group in ((upper, "upper", range(17, 55)), (lower, "lower", range(54, 60))):
        now = np.concatenate(
            [face.landmarks[list(group)],
             np.stack([face.lips.x, getattr(face.lips, edge)], 1)[8:-8]]
        )  # fmt: skip
        was = np.concatenate(
            [there.targets[list(group)],
             np.stack([there.after.x, getattr(there.after, edge)], 1)[8:-8]]
        )  # fmt: skip
        px, py = np.float32(now).T.copy()
        at = cv2.remap(field, px[None], py[None], cv2.INTER_LINEAR)[0]
        assert np.linalg.norm(now + at - was, axis=1).mean() < 0.25
        assert np.linalg.norm(now + at - was, axis=1).max() < 1.0
    # Around the mouth the source is the photo; inside it is something else.
    lips = face.lips
    x, y = window_coordinates()
    middle = (x > lips.x[20]) & (x < lips.x[44])
    inside = middle & (y > lips.upper[32] + 1) & (y < lips.lower[32] - 1)
    forehead = y < 50
    apart = np.abs(pair.source.astype(int) - pair.target).mean(axis=2)
    assert apart[inside].mean() > 3 * apart[forehead].mean()
    assert change.landmarks is not None


def test_pairs_are_made_once_and_held_out_photos_are_kept_apart(tmp_path, smile):
    people = tmp_path / "people"
    people.mkdir()
    small = cv2.resize(smile, (300, 300), interpolation=cv2.INTER_AREA)[..., ::-1].copy()
    for name in ("30_1_0_1.jpg", "000010.jpg", "people/7a.jpg", "people/7b.jpg"):
        cv2.imwrite(str(tmp_path / name), small)
    held_out = next(
        f"{n}.jpg" for n in range(100) if Record(tmp_path / f"{n}.jpg", "folder").held_out
    )
    (tmp_path / "000010.jpg").rename(tmp_path / held_out)
    records = [Record(tmp_path / n, "folder") for n in ("30_1_0_1.jpg", held_out)]
    persons = person_records(people)
    assert [r.path.name for r in persons] == ["7a.jpg", "7b.jpg"]
    method, cache, seen = AttributeVectorMethod(device="cpu"), tmp_path / "cache", []
    files = make_pairs(
        records, persons, method, cache, jobs=1, progress=lambda *counts: seen.append(counts)
    )
    assert seen[-1] == (4, 4)
    assert len(ContentPairs(files.pairs)) == len(ContentPairs(files.held_out)) == 1
    assert len(ContentPairs(files.persons)) == 2
    times = [p.stat().st_mtime_ns for p in files.pairs + files.persons]
    again = make_pairs(records, persons, method, cache, jobs=1)
    assert again == files
    assert [p.stat().st_mtime_ns for p in again.pairs + again.persons] == times
    with pytest.raises(UsageError, match="has no pictures"):
        person_records(cache)


@pytest.fixture(scope="module")
def files(tmp_path_factory, pair):
    """Pairs that are nearly the same, as files."""
    folder, rng = tmp_path_factory.mktemp("pairs"), np.random.default_rng(0)
    names = ("source", "target", "lips", "landmarks", "smile", "age")
    chunk = {n: np.repeat(np.asarray(getattr(pair, n))[None], 24, axis=0) for n in names}
    for name in ("source", "target"):
        noise = rng.integers(-6, 7, chunk[name].shape)
        chunk[name] = np.clip(chunk[name] + noise, 0, 255).astype(np.uint8)
    chunk["smile"] = rng.normal(size=24)
    np.savez(folder / "pairs.npz", **chunk)
    return PairFiles(*([folder / "pairs.npz"] for _ in range(4)))


def test_a_mirrored_pair_mirrored_again_is_the_same(files):
    pairs = ContentPairs(files.pairs)
    first = pairs._pair(0)
    twice = _mirrored(_mirrored(first))
    np.testing.assert_array_equal(twice.target, first.target)
    np.testing.assert_allclose(twice.landmarks, first.landmarks, atol=1e-3)
    np.testing.assert_allclose(twice.lips.x, first.lips.x, atol=1e-3)
    # The mirrored contours lie on the mirrored picture's lips.
    once = _mirrored(first)
    grids = [sample_grid(np.ascontiguousarray(p.target), p.lips) for p in (first, once)]
    assert np.abs(grids[0] - grids[1][:, ::-1]).mean() < 0.01


def test_samples_follow_from_their_seed(files):
    pairs = ContentPairs(files.pairs)
    codes, scale = pairs.fit()
    made = [pairs.sample(2, codes, scale, np.random.default_rng(4)) for _ in range(2)]
    np.testing.assert_array_equal(made[0].planes, made[1].planes)
    assert made[0].planes.shape == (9, 128, 160)
    assert made[0].planes.dtype == np.float32
    edit = ContentPairs(files.edits, one_way=True).sample(0, codes, scale, np.random.default_rng(1))
    hole = edit.planes[3]
    outside = np.abs(edit.planes[:3] - edit.target)[:, hole == 0]
    np.testing.assert_allclose(outside, 0, atol=1e-6)


def test_a_training_that_was_stopped_ends_the_same(files, tmp_path):
    def objective():
        return ContentObjective(files, TINY, shape=SMALL)

    def stop(step, steps, values):
        if step == 3:
            raise KeyboardInterrupt

    metrics = Trainer(objective(), tmp_path / "whole").run()
    assert metrics["held_out_l1"] > 0
    with pytest.raises(KeyboardInterrupt):
        Trainer(objective(), tmp_path / "parts").run(stop, save_seconds=0)
    resumed = Trainer(objective(), tmp_path / "parts")
    assert 0 < resumed.step < TINY.steps
    resumed.run()
    states = [
        torch.load(tmp_path / name / "state.pt", weights_only=True) for name in ("whole", "parts")
    ]
    for part in ("network", "ema"):
        for name, value in states[0][part].items():
            assert torch.equal(value, states[1][part][name]), name
    networks = [s["objective"]["adversary"]["network"] for s in states]
    assert all(torch.equal(v, networks[1][k]) for k, v in networks[0].items())
    trained = load_network(tmp_path / "whole" / "model.safetensors", ContentUNet)
    assert np.abs(trained.mouth_codes.basis).max() > 0


def test_training_may_begin_with_a_renderer(files, small_file):
    start = load_network(small_file, ContentUNet)
    objective = ContentObjective(files, TINY, start=start)
    objective.initialize()
    assert objective.network.smile_scale == (0.25, 2.0)
    with pytest.raises(UsageError, match="at least 500 are needed"):
        ContentObjective(files, replace(TINY, batch=500))
