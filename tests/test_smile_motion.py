"""How people smile: properties of the bundled motion, and of its fit."""

from __future__ import annotations

import pickle
import time
from importlib import resources
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from faceflex.compose.warp import estimate_warp
from faceflex.data.template import MIRROR
from faceflex.errors import AssetError, UsageError
from faceflex.evaluate.edits import Instruments
from faceflex.faces.align import SIZE, template
from faceflex.faces.lips import CLOSED_GAP, Lips, lips_from_landmarks
from faceflex.methods.attribute_vectors import AttributeVectorMethod
from faceflex.methods.base import Shot
from faceflex.methods.landmark_readout import landmark_targets
from faceflex.methods.smile_motion import SmileMotion
from faceflex.methods.smile_targets import smile_targets
from faceflex.tensors import write_arrays
from faceflex.train.smile_motion import (
    SmilePair,
    cross_validate,
    find_pairs,
    fit_smile_motion,
    mirrored_face,
)
from tests.test_cli import failed_well

Face = tuple[NDArray[np.float32], Lips]


@pytest.fixture(scope="module")
def motion() -> SmileMotion:
    """The bundled motion."""
    return SmileMotion.load(
        Path(str(resources.files("faceflex.assets").joinpath("smile_motion.safetensors")))
    )


def _neutral(seed: int) -> Face:
    """Return a face with closed lips and level corners, a little different for each seed."""
    points = template().copy()
    points[48:68, 1] += np.interp(points[48:68, 0], [40, 64, 88], [4.5, 0, 4.5]).astype(np.float32)
    points[48:68, 0] = 63.5 + 0.86 * (points[48:68, 0] - 63.5)
    middle = (points[[61, 62, 63], 1] + points[[67, 66, 65], 1]) / 2
    points[[61, 62, 63], 1] = points[[67, 66, 65], 1] = middle
    points += np.random.default_rng(seed).normal(0, 0.35, (68, 2)).astype(np.float32)
    lips = lips_from_landmarks(points)
    middle_line = np.float32((lips.upper + lips.lower) / 2)
    return points, Lips(lips.x, middle_line, middle_line)


FACES = [_neutral(seed) for seed in range(12)]


def _corner(points: NDArray[np.floating]) -> tuple[float, float]:
    """Return the width of the mouth, and the height of its corners."""
    return float(points[54, 0] - points[48, 0]), -float(points[[48, 54], 1].mean())


@pytest.mark.parametrize("face", FACES[:4])
def test_strength_0_is_the_face_itself(motion: SmileMotion, face: Face) -> None:
    points, lips = motion.targets(*face, 0.0)
    assert np.array_equal(points, face[0])
    assert lips is face[1]


def test_smiles_are_as_real_ones(motion: SmileMotion) -> None:
    """Real corners go 0.06 to 0.12 of the eyes' distance out and up; the jaw is left alone."""
    for face in FACES:
        points, lips = motion.targets(*face, 1.0)
        shift = (points - face[0]) / 46.5
        assert 0.03 < (shift[54, 0] - shift[48, 0]) / 2 < 0.14
        assert 0.03 < -shift[[48, 54], 1].mean() < 0.14
        assert 2 < lips.gap < 9
        assert not shift[:17].any()
        assert shift[[40, 41, 46, 47], 1].mean() < 0  # Lower lids rise.


def test_motion_is_monotone_and_bounded(motion: SmileMotion) -> None:
    strengths = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0, 20.0)
    for face in FACES:
        moved = [motion.targets(*face, s) for s in strengths]
        for low, high in pairwise(moved):
            assert _corner(high[0])[0] > _corner(low[0])[0]
            assert _corner(high[0])[1] > _corner(low[0])[1]
            assert high[1].gap >= low[1].gap - 1e-4
        assert np.abs(moved[-1][0] - face[0]).max() < 22


def test_lips_part_late_and_never_cross(motion: SmileMotion) -> None:
    for face in FACES:
        assert motion.targets(*face, 0.15)[1].gap == 0
        assert motion.targets(*face, 1.0)[1].gap > CLOSED_GAP
        for strength in (-1.5, -0.5, 0.3, 0.7, 1.0, 2.0):
            for variant in (0, 1, 2):
                lips = motion.targets(*face, strength, variant)[1]
                assert (lips.lower >= lips.upper).all()
                assert (np.diff(lips.x) >= 0).all()


@pytest.mark.parametrize("strength", [-1.0, 0.5, 1.0, 1.5])
def test_mirrored_faces_smile_mirrored(motion: SmileMotion, strength: float) -> None:
    for face in FACES[:4]:
        points, lips = motion.targets(*face, strength)
        flipped, flipped_lips = motion.targets(*mirrored_face(face), strength)
        expected = points[MIRROR].copy()
        expected[:, 0] = SIZE - 1 - expected[:, 0]
        assert np.abs(flipped - expected).max() < 0.12
        assert np.abs(flipped_lips.upper[::-1] - lips.upper).max() < 0.12


@pytest.mark.parametrize("strength", [-1.5, -1.0, 0.5, 1.0, 1.5])
def test_no_motion_folds(motion: SmileMotion, strength: float) -> None:
    for face in FACES:
        smiling = motion.targets(*face, 1.0)
        for start in (face, smiling):
            points, lips = motion.targets(*start, strength)
            warp = estimate_warp(start[0], points, start[1], lips)
            assert np.array_equal(warp.targets, points)


def test_a_face_without_a_smile_has_none_to_lose(motion: SmileMotion) -> None:
    for face in FACES:
        assert motion.smile_degree(*face) < 0.35
        for strength in (-0.5, -1.0, -3.0):
            assert np.abs(motion.targets(*face, strength)[0] - face[0]).max() < 0.3


def test_smilers_return_to_neutral_and_stop_there(motion: SmileMotion) -> None:
    for face in FACES:
        smiling = motion.targets(*face, 1.0)
        assert motion.smile_degree(*smiling) > 0.5
        points, lips = motion.targets(*smiling, -1.0)
        left = np.abs(points - face[0])[48:].mean() / np.abs(smiling[0] - face[0])[48:].mean()
        assert left < 0.5
        assert lips.gap == 0
        further = [motion.targets(*smiling, s)[0] for s in (-1.2, -2.0)]
        assert np.array_equal(*further)
        assert np.abs(further[0] - points).max() < 2


def test_a_smile_with_lips_that_meet(motion: SmileMotion) -> None:
    """Corners rise and go out, as in other smiles; open lips close."""
    for face in FACES:
        points, lips = motion.targets(*face, 1.0, closed=True)
        assert lips.gap == 0
        shift = (points - face[0]) / 46.5
        assert -shift[[48, 54], 1].mean() > 0.03
        assert (shift[54, 0] - shift[48, 0]) / 2 > 0.03
        apart = motion.targets(*face, 1.0)
        assert apart[0][57, 1] > points[57, 1]  # The lower lip is not drawn down.
        again, met = motion.targets(*apart, 1.0, closed=True)
        assert met.gap == 0
        assert _corner(again)[1] > _corner(face[0])[1] + 1
        half = motion.targets(*apart, 0.5, closed=True)[1]
        assert 0 < half.gap < apart[1].gap


def test_the_latent_has_a_say_in_how_certainly_a_face_smiles(motion: SmileMotion) -> None:
    for face in FACES:
        smiling = motion.targets(*face, 1.0)
        assert motion.certainty(*face, latent=-1.0) == 0
        assert motion.certainty(*face, latent=1.5) > 0.2
        assert motion.certainty(*smiling, latent=0.8) == 1
        assert motion.certainty(*smiling, latent=-2.5) < 0.5
        kept = motion.targets(*smiling, -1.0, certainty=0.0)[0]
        assert np.array_equal(kept, smiling[0])


def test_smilers_do_not_overshoot(motion: SmileMotion) -> None:
    for face in FACES:
        smiling = motion.targets(*face, 1.0)
        more = np.abs(motion.targets(*smiling, 1.0)[0] - smiling[0])[48:].mean()
        assert more < 0.6 * np.abs(smiling[0] - face[0])[48:].mean()


def test_variants_are_kinds_of_smile_that_the_seed_fixes(motion: SmileMotion) -> None:
    face = FACES[0]
    usual = motion.targets(*face, 1.0)[0]
    kinds = [motion.targets(*face, 1.0, v, 5)[0] for v in (1, 2, 3)]
    assert all(np.abs(k - usual)[48:].mean() > 0.1 for k in kinds)
    assert np.array_equal(kinds[0], motion.targets(*face, 1.0, 1, 5)[0])
    assert not np.array_equal(kinds[0], motion.targets(*face, 1.0, 1, 6)[0])


def test_a_call_takes_under_a_millisecond(motion: SmileMotion) -> None:
    times = []
    for _ in range(40):
        start = time.perf_counter()
        motion.targets(*FACES[0], 1.0)
        times.append(time.perf_counter() - start)
    assert min(times) < 1e-3


def _pairs(motion: SmileMotion, count: int) -> list[SmilePair]:
    pairs = []
    for seed in range(count):
        face = _neutral(100 + seed)
        pairs.append(SmilePair(str(seed), "made", face, motion.targets(*face, 1.0)))
    return pairs


def test_a_fit_finds_the_smiles_that_it_was_shown(motion: SmileMotion, tmp_path: Path) -> None:
    pairs = _pairs(motion, 20)
    fitted = fit_smile_motion(pairs)
    fitted.save(tmp_path / "motion.safetensors")
    loaded = SmileMotion.load(tmp_path / "motion.safetensors")
    face = _neutral(999)
    goal, reached = motion.targets(*face, 1.0)[0], loaded.targets(*face, 1.0)[0]
    assert np.abs(reached - goal)[48:].mean() < 0.3 * np.abs(goal - face[0])[48:].mean()
    count, nearer, way = cross_validate(pairs)["made"]
    assert count == 20
    assert nearer == 1
    assert way > 0.7


def test_pairs_are_found_in_both_layouts(tmp_path: Path) -> None:
    names = (
        "fei/images/1a.jpg",
        "fei/images/1b.jpg",
        "fei/images/2a.jpg",
        "london/neutral_front/001_03.jpg",
        "london/smiling_front/001_08.jpg",
    )
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [p[0] for p in find_pairs(tmp_path / "fei")] == ["1"]
    assert find_pairs(tmp_path / "london")[0][2].name == "001_08.jpg"
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no pairs"):
        find_pairs(tmp_path / "empty")


def test_the_command_fits_a_motion_to_pictures(run, tmp_path, portrait, smile) -> None:
    (tmp_path / "fei").mkdir()
    for number in range(3):
        for letter, rgb in (("a", portrait.rgb), ("b", smile)):
            small = cv2.resize(rgb, (240 + 8 * number,) * 2, interpolation=cv2.INTER_AREA)
            Image.fromarray(small).save(tmp_path / "fei" / f"{number}{letter}.jpg", quality=95)
    done = run("train", "smile-motion", "fei", "--out", "motion.safetensors")
    assert done.returncode == 0, done.stderr
    assert "of 3 people" in done.stderr
    assert "from 3 people" in done.stderr
    fitted = SmileMotion.load(tmp_path / "motion.safetensors")
    moved, lips = fitted.targets(*FACES[0], 1.0)
    assert _corner(moved)[0] > _corner(FACES[0][0])[0] + 1
    assert lips.gap > CLOSED_GAP
    failed_well(run("train", "smile-motion", "nowhere", "--out", "m.safetensors"), 2, "nowhere")


def test_damaged_files_are_told(motion: SmileMotion, tmp_path: Path) -> None:
    path = tmp_path / "motion.safetensors"
    arrays = {k: np.zeros(3, np.float16) for k in ("mean", "to_smile", "to_neutral", "degree")}
    arrays |= {"modes": np.zeros((2, 3), np.float16), "closed": np.zeros(3, np.float16)}
    write_arrays(path, arrays, {"kind": "faceflex-smile-motion-1"})
    with pytest.raises(AssetError, match="damaged"):
        SmileMotion.load(path)
    with pytest.raises(AssetError, match="no such file"):
        SmileMotion.load(tmp_path / "none")


@pytest.mark.parametrize("strength", [0.3, 1.0, 1.5])
def test_a_given_smile_is_the_mean_of_learned_and_read_motion_broadened(
    motion: SmileMotion, strength: float
) -> None:
    """Its lips do not cross either, and hardly parted ones do not part."""
    smile = np.zeros((68, 2), np.float32)
    smile[[48, 60], 0], smile[[54, 64], 0] = -4, 4
    smile[[48, 54, 60, 64], 1], smile[[57, 66], 1] = -4, 1.5
    for face in FACES:
        points, lips = smile_targets(motion, *face, strength, strength * smile)
        learned = motion.targets(*face, strength)
        read = landmark_targets(face[0], strength * smile, face[1])
        mean = (learned[0] + read[0]) / 2
        assert np.allclose(points[27:48], mean[27:48], atol=1e-4)
        assert np.array_equal(points[17:27], face[0][17:27])  # Brows.
        out, usual = (np.diff((p - face[0])[[48, 54], 0])[0] for p in (points, mean))
        assert 1.2 * usual < out < 1.5 * usual
        assert (points[[48, 54], 1] < mean[[48, 54], 1]).all()
        thick, was = ((p[[57, 66], 1] * [1, -1]).sum() for p in (points, face[0]))
        assert 0.7 * was < thick < 1.1 * was
        assert (lips.lower >= lips.upper).all()
        assert (np.diff(lips.x) >= 0).all()
        assert lips.gap == 0 or lips.gap >= 0.6 * CLOSED_GAP
        alone = smile_targets(motion, *face, strength)
        assert np.array_equal(alone[0], learned[0])
        shut, lips = smile_targets(motion, *face, strength, smile, closed=True)
        usual, met = motion.targets(*face, strength, closed=True)
        assert lips.gap == met.gap
        assert np.diff(shut[[48, 54], 0]) > np.diff(usual[[48, 54], 0])
        taken = smile_targets(motion, *learned, -strength, -strength * smile)
        assert np.array_equal(taken[0], motion.targets(*learned, -strength)[0])


def test_a_face_that_does_not_smile_keeps_its_pixels(editor, portrait, smile) -> None:
    for full, same in ((portrait.rgb, True), (smile, False)):
        photo = cv2.resize(full, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        opened = editor.open(photo)
        shots = [opened.shot(Smiling=-1.5), opened.shot(Smiling=-1.5, Male=-1)]
        taken, other = opened.render(shots)
        assert np.array_equal(taken, photo) is same
        assert not np.array_equal(other, photo)


def test_a_mouth_set_to_0_stays_closed_when_it_smiles(editor, portrait) -> None:
    opened = editor.open(portrait.rgb)
    points = opened.faces[0].face.points
    shots = [opened.shot(Smiling=1, **more) for more in ({}, {"Mouth_Slightly_Open": 0})]
    found = [Instruments().measure(p, points, "Smiling").points for p in opened.render(shots)]
    apart, closed = (p[66, 1] - p[62, 1] for p in found)
    assert closed < 0.5 * apart
    for smiling in found:
        assert smiling[54, 0] - smiling[48, 0] > 1.05 * (points[54, 0] - points[48, 0])


def test_without_a_motion_smiles_are_read_from_the_latent(editor, portrait) -> None:
    method = AttributeVectorMethod(smile_motion=None)
    assert pickle.loads(pickle.dumps(method)).smile_motion is None
    opened = editor.open(portrait.rgb)
    (code,) = method.encode(opened.faces, portrait.rgb)
    assert code.smiles == 1
    (((change,),),) = method.changes([code], [Shot(method.resolve({"Smiling": -1}))])
    assert np.abs(change.landmarks - opened.faces[0].landmarks).max() > 1
