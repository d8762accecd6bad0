"""Smiles over time: real ones read and measured, drawn ones, motion, eyelids, networks."""

from __future__ import annotations

import itertools
import zlib

import cv2
import numpy as np
import pytest
import torch

from faceflex.assets import resolve
from faceflex.compose.eyelids import lower_lids
from faceflex.data.landmark_pictures import SequenceMaker, onset_curves
from faceflex.data.smile_clips import STYLES, SmileClip, cut_smile, find_blinks, measure
from faceflex.data.smile_pairs import SmilePair, pair_paths, read_pairs
from faceflex.data.smile_videos import find_recordings, read_smiles
from faceflex.data.translation_faces import FaceStates
from faceflex.errors import AssetError, FaceflexError, UsageError
from faceflex.faces.align import template
from faceflex.faces.landmark_pictures import draw_landmarks
from faceflex.faces.lips import lips_from_landmarks
from faceflex.methods.action_motion import ActionMotion, side_widths, turned_away
from faceflex.methods.cmm_net import ReferenceMethod
from faceflex.methods.smile_sequences import MODES, SmileModes
from faceflex.models.checkpoint import load_network, save_network
from faceflex.models.face_translation import FaceTranslation, PairDiscriminator, TranslationConfig
from faceflex.models.landmark_sequences import (
    LandmarkSequences,
    SequenceConfig,
    pull_loss,
    push_loss,
)
from faceflex.models.landmark_vae import LandmarkVAE, LandmarkVAEConfig
from faceflex.models.smile_dynamics import DynamicsConfig, SmileDynamics
from faceflex.train.action_motion import fit_motion
from faceflex.train.cmm_net import (
    LandmarkVAEObjective,
    LandmarkVAETraining,
    SequenceObjective,
    SequenceTraining,
)
from faceflex.train.face_translation import TranslationObjective, TranslationTraining
from faceflex.train.loop import Trainer
from faceflex.train.smile_dynamics import DynamicsObjective, DynamicsTraining
from tests.conftest import ROOT, face_points

TINY = (4, 4, 4, 4)


def smile_units(onset=0.6, height=3.0, rate=50.0, rest=0.4, blink=2.0):
    """A smile in (n, 4) AU12, AU6, AU25, AU45: rest, onset, hold, offset, and a blink."""
    t = np.arange(0, 4, 1 / rate)
    rise = np.clip((t - 0.8) / (onset / 0.8), 0, 1) * np.clip((3.6 - t) / 0.5, 0, 1)
    shut = 3 * np.exp(-(((t - blink) / 0.06) ** 2))
    return np.stack([rest + height * rise, 0.7 * height * rise, height * rise - 1, shut], axis=1)


@pytest.fixture(scope="module")
def clips():
    """Forty smiles of as many people: slow ones are spontaneous."""
    rng = np.random.default_rng(0)
    made = []
    for n in range(40):
        style = n % 2
        units = smile_units(rng.uniform(0.3, 0.6) * (1 + style), rng.uniform(2, 3.5))
        made.append(cut_smile(f"{n}", f"p{n}", style, units, 50.0))
    return made


@pytest.fixture(scope="module")
def motion():
    return ActionMotion.load(resolve("action-motion"))


@pytest.fixture(scope="module")
def pairs(motion):
    """Forty people, neutral and smiling, by the bundled motion and some variety."""
    made = []
    rng = np.random.default_rng(1)
    for n in range(40):
        neutral = face_points(n, 1.0)
        lips = lips_from_landmarks(neutral)
        amounts = [rng.uniform(0.6, 1.3), rng.uniform(0, 7), rng.uniform(0.2, 1.4)]
        smiling, after = motion.targets(neutral, lips, amounts, motion.draw_kind(rng))
        made.append(SmilePair(f"{n}a.jpg", np.stack([neutral, smiling]), (lips, after)))
    return made


def test_a_smile_is_cut_at_its_onset_and_measured():
    clip = cut_smile("a", "anna", 1, smile_units(onset=0.6), 50.0)
    found = measure(clip.curves)
    assert abs(found.onset - 0.6) < 0.08
    assert abs(found.amplitude - 3) < 0.15
    assert abs(found.amplitude6 - 2.1) < 0.15
    assert abs(found.lag) < 0.05
    assert abs(clip.curves[0]).max() < 0.15
    assert len(clip.blinks) == 1
    assert abs(clip.blinks[0] - (2.0 - 0.8 - 0.06 + 0.16)) < 0.1


def test_the_rate_of_a_recording_does_not_matter():
    fast, slow = (cut_smile("a", "a", 0, smile_units(rate=r), r) for r in (50.0, 25.0))
    assert abs(measure(fast.curves).onset - measure(slow.curves).onset) < 0.06
    assert abs(len(fast.curves) - len(slow.curves)) <= 2


def test_where_nobody_smiles_there_is_no_clip():
    calm = smile_units(height=0.3)
    assert cut_smile("a", "a", 0, calm, 50.0) is None
    assert cut_smile("a", "a", 0, np.full((200, 4), np.nan), 50.0) is None
    assert find_blinks(np.zeros(100), 50.0)[0] == []


@pytest.fixture(scope="module")
def modes():
    network = load_network(resolve("smile-dynamics"), SmileDynamics)
    return [SmileModes(network, style) for style in range(len(STYLES))]


def test_drawn_smiles_begin_at_rest_and_are_fixed_by_their_seed(modes):
    first, again, other = (modes[1].sequence(5, 2, seed) for seed in (0, 0, 1))
    assert (first.curves[0] == 0).all()
    assert first.curves[:, 0].max() > 0.8
    assert (first.curves == again.curves).all()
    assert (first.curves != other.curves).any()
    assert first.blinks == again.blinks


def test_spontaneous_smiles_come_slower_than_posed_ones(modes):
    onsets = [
        np.median([measure(m.sequence(face, face % MODES, 0).curves).onset for face in range(24)])
        for m in modes
    ]
    assert onsets[1] > 1.4 * onsets[0]


def test_a_blink_is_whole_and_not_in_the_end(modes):
    for face in range(40):
        sequence = modes[1].sequence(face, 0, 0)
        if sequence.blinks and sequence.blinks[0] < 1.5:
            break
    blink = sequence.blinks[0]
    assert sequence.at(blink / 3, 3.0, loop=False)[1] > 0.9
    assert sequence.at(1.0, 3.0, loop=False)[1] == 0
    assert sequence.at(0.0, 3.0, loop=False)[1] == 0
    if blink > 0.3:
        assert sequence.at(blink / (blink + 0.1), blink + 0.1, loop=False)[1] == 0


def test_motion_is_nothing_at_rest_and_grows(motion):
    lips = lips_from_landmarks(face_points(3))
    start, kind = face_points(3), np.zeros(len(motion.kinds))
    still, same = motion.targets(start, lips, (0, 0, 0), kind)
    assert np.abs(still - start)[:61].max() < 1e-5
    assert np.abs(same.upper - lips.upper).max() < 1e-5
    small, large = (motion.targets(start, lips, (a, 0, 0), kind)[0] for a in (0.5, 1.0))
    assert (small[54] - start[54])[0] > 0.5
    assert np.allclose(2 * (small - start)[48:60], (large - start)[48:60], atol=1e-3)
    opened = motion.targets(start, lips, (1, 5, 0), kind)[1]
    assert 3 < opened.gap - lips.gap < 7


def test_amounts_follow_intensities(motion):
    amounts = motion.amounts_of(np.linspace(0, 6, 50)[:, None] * [1, 1, 1])
    assert (np.diff(amounts, axis=0) >= 0).all()
    assert (amounts[0] == 0).all()
    assert abs(motion.amounts_of([2.67, 0, 0])[0] - 1) < 0.1  # A median smile is a usual one.


def test_a_turned_face_moves_less_on_its_far_side():
    front = template().astype(float)
    assert np.allclose(side_widths(front), 1, atol=0.05)
    assert turned_away(front) == 0
    turned = front.copy()
    right = turned[:, 0] > 63.5
    turned[right, 0] = 63.5 + 0.45 * (turned[right, 0] - 63.5)
    widths = side_widths(turned)
    assert widths[54] < 0.7 < widths[48]
    assert turned_away(turned) > 0.5


def test_motion_is_refitted_from_pairs(motion, pairs, clips, tmp_path):
    fitted = fit_motion(pairs, clips)
    moved = slice(48, 60)
    assert np.abs(fitted.actions[0, moved] - motion.actions[0, moved]).mean() < 0.35
    assert fitted.amounts.shape == fitted.intensities.shape == (3, 6)
    fitted.save(tmp_path / "m.safetensors")
    again = ActionMotion.load(tmp_path / "m.safetensors")
    assert np.allclose(again.actions, fitted.actions, atol=0.01)
    with pytest.raises(UsageError, match="at least 12"):
        fit_motion(pairs[:5], clips)


def test_a_damaged_motion_is_refused(motion, tmp_path):
    path = tmp_path / "m.safetensors"
    for broken in (motion.actions[:2], np.full_like(motion.actions, np.nan)):
        from dataclasses import replace

        replace(motion, actions=broken).save(path)
        with pytest.raises(AssetError, match="damaged or foreign action motion"):
            ActionMotion.load(path)


def test_lids_come_down_over_the_eyes_alone(editor, small_portrait):
    opened = editor.open(small_portrait)
    face = opened.faces[0]
    region = face.region
    before = region.crop(small_portrait).astype(np.float32)
    patch, same = before.copy(), before.copy()
    x, y = region.coordinates()
    lower_lids(same, region, x, y, face.landmarks, 0.0)
    assert (same == before).all()
    lower_lids(patch, region, x, y, face.landmarks, 1.0)
    changed = np.abs(patch - before).max(axis=2) > 1
    eyes, brows = face.landmarks[36:48], face.landmarks[17:27]
    assert changed.sum() > 200
    assert y[changed].max() < eyes[:, 1].max() + 3
    assert y[changed].min() > brows[:, 1].min()
    middle = (np.abs(x - eyes[:6, 0].mean()) < 1) & (np.abs(y - eyes[:6, 1].mean()) < 1)
    assert changed[middle].all()  # The pupil is covered.


def test_layouts_of_data_sets_are_read(tmp_path):
    units = smile_units(rate=20.0)
    disfa = tmp_path / "disfa" / "ActionUnit_Labels" / "SN001"
    disfa.mkdir(parents=True)
    for k, unit in ((0, 12), (1, 6), (2, 25)):
        rows = "".join(f"{n + 1},{max(0, round(v))}\n" for n, v in enumerate(units[:, k]))
        (disfa / f"SN001_au{unit}.txt").write_text(rows)
    plus = tmp_path / "plus" / "Labels" / "SN003" / "Y1"
    plus.mkdir(parents=True)
    for k, unit in ((0, 12), (1, 6)):
        rows = "".join(f"{n:03d}.jpg {max(0, round(v))}\n" for n, v in enumerate(units[:, k]))
        (plus / f"AU{unit}.txt").write_text("Image Intensity\n" + rows)
    table = tmp_path / "openface"
    table.mkdir()
    head = "frame, timestamp, AU06_r, AU12_r, AU25_r, AU45_r\n"
    rows = (f"{n},{n / 20:.3f},{b},{a},{c},{d}\n" for n, (a, b, c, d) in enumerate(units))
    (table / "041_deliberate_smile_2.csv").write_text(head + "".join(rows))
    found = [read_smiles(tmp_path / name)[0] for name in ("disfa", "plus", "openface")]
    assert [(c.person, c.style) for c in found] == [("SN001", 1), ("SN003", 0), ("041", 0)]
    for clip in found:
        assert 2.2 < measure(clip.curves).amplitude < 3.3
    with pytest.raises(UsageError, match="no videos, DISFA labels or OpenFace tables"):
        find_recordings(tmp_path / "disfa" / "ActionUnit_Labels" / "SN001" / "none")


def test_a_video_is_tracked_from_neutral_to_smile(tmp_path, portrait):
    """The clip is made here, of the example photo; its smile is found again."""
    from faceflex import make_editor
    from faceflex.edit.clip import ClipRequest, clip_frames
    from faceflex.photo.clip import ClipFile

    pytest.importorskip("av")
    editor = make_editor("smile-video", device="cpu", content="exemplars")
    opened = editor.open(cv2.resize(portrait.rgb, (240, 240), interpolation=cv2.INTER_AREA))
    settings = editor.method.resolve({"intensity": 1.2, "spontaneous": 0, "seconds": 2.0})
    path = tmp_path / "anna_posed.mp4"
    frames = clip_frames(opened, ClipRequest(settings, 0, 13).shots(0))
    ClipFile("MP4", 6).write(path, frames)
    (clip,) = read_smiles(tmp_path)
    assert (clip.person, clip.style) == ("anna", 0)
    assert measure(clip.curves).amplitude > 1
    (tmp_path / "anna_posed.mp4").write_bytes(b"no video")
    with pytest.raises(FaceflexError, match="cannot be read as a video"):
        read_smiles(tmp_path)


def test_pairs_of_photos_are_found(tmp_path):
    examples = ROOT / "examples"
    for name in ("1a.jpg", "1b.jpg", "2a.jpg"):
        (tmp_path / name).write_bytes((examples / "smile.jpg").read_bytes())
    assert [(a.name, b.name) for a, b in pair_paths(tmp_path)] == [("1a.jpg", "1b.jpg")]
    from faceflex.faces.find import FaceFinder

    (pair,) = read_pairs([tmp_path], FaceFinder())
    assert np.abs(pair.landmarks[0] - pair.landmarks[1]).max() == 0
    with pytest.raises(UsageError, match="no pairs of photos"):
        pair_paths(examples)


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_networks_have_the_published_sizes():
    """Section 4 of the paper: kernels, channels and heads, summed by hand."""
    vae = LandmarkVAE(LandmarkVAEConfig())
    widths = [1, 64, 128, 256, 512]
    convs = sum(16 * a * b for a, b in itertools.pairwise(widths))
    heads = 2 * (16 * 512 * 100 + 100)
    norms = 2 * (128 + 256 + 512)
    assert count(vae.encoder) + count(vae.mean) + count(vae.log_variance) == (
        convs + 64 + norms + heads
    )
    assert count(vae.decoder) == 16 * 100 * 512 + convs + 1 + 2 * (512 + 256 + 128 + 64)
    down = [4, 64, 128, 256, 512, 512, 512]
    network = FaceTranslation(TranslationConfig())
    assert [layer[0].weight.shape[:2] for layer in network.down] == [
        (b, a) for a, b in itertools.pairwise(down)
    ]
    assert [layer[0].weight.shape[1] for layer in network.up] == [512, 512, 256, 128, 64, 3]
    judge = [m for m in PairDiscriminator().layers if isinstance(m, torch.nn.Conv2d)]
    assert [(m.in_channels, m.out_channels, m.stride[0]) for m in judge] == [
        (6, 64, 2), (64, 128, 2), (128, 256, 2), (256, 512, 1), (512, 1, 1),
    ]  # fmt: skip
    assert PairDiscriminator()(*torch.zeros(2, 1, 3, 64, 64)).shape == (1, 1, 6, 6)


def test_pull_and_push_are_what_they_say():
    codes = torch.randn(2, 5, 7)
    apart = torch.stack([codes + 1, codes - 1], dim=1)
    assert pull_loss(apart, codes) < 1e-9
    assert torch.isclose(pull_loss(apart + 1, codes), torch.tensor(7.0))
    sure = 20 * torch.eye(3)[None].expand(4, -1, -1)
    assert push_loss(sure) < 1e-6 < push_loss(torch.zeros(4, 3, 3))


def small_start():
    torch.manual_seed(0)
    return LandmarkSequences(SequenceConfig(8, TINY, 6, 2))


def objectives(pairs, clips, motion):
    maker = SequenceMaker(pairs, clips, motion)
    faces = np.random.default_rng(0).integers(0, 255, (6, 2, 64, 64, 3)).astype(np.uint8)
    drawn = np.stack([draw_landmarks(p) for p in pairs[0].landmarks])
    people = [FaceStates(f, drawn, held_out=n == 5) for n, f in enumerate(faces)]
    shape = TranslationConfig((4,) * 6)
    return {
        "dynamics": lambda: DynamicsObjective(
            clips, DynamicsTraining(4, 8), shape=DynamicsConfig(8, 3, 40)
        ),
        "landmarks": lambda: LandmarkVAEObjective(
            maker, LandmarkVAETraining(4, 8), shape=LandmarkVAEConfig(8, TINY)
        ),
        "modes": lambda: SequenceObjective(
            maker, SequenceTraining(4, 2, modes=True), start=small_start()
        ),
        "translation": lambda: TranslationObjective(people, TranslationTraining(4, 2), shape=shape),
    }


@pytest.mark.parametrize("name", ["dynamics", "landmarks", "modes", "translation"])
def test_a_stopped_training_goes_on_to_the_same_result(name, pairs, clips, motion, tmp_path):
    make = objectives(pairs, clips, motion)[name]
    unbroken, stopped = (Trainer(make(), tmp_path / f) for f in ("unbroken", "stopped"))
    unbroken.run()

    def stop(step, _steps, _values):
        if step == 2:
            stopped.save()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped.run(stop)
    resumed = Trainer(make(), tmp_path / "stopped")
    resumed.run()
    for key, value in unbroken.ema.items():
        assert torch.equal(value, resumed.ema[key]), key
    kind = type(unbroken.network)
    written = load_network(tmp_path / "unbroken" / "model.safetensors", kind)
    assert written.config == unbroken.network.config


def test_modes_are_learned_after_sequences(pairs, clips, motion):
    maker = SequenceMaker(pairs, clips, motion)
    vae = LandmarkVAE(LandmarkVAEConfig(8, TINY))
    with pytest.raises(UsageError, match="modes are learned after sequences"):
        SequenceObjective(maker, SequenceTraining(modes=True), start=vae)


def test_held_out_people_are_not_learned_from(clips):
    objective = DynamicsObjective(clips, DynamicsTraining(4, 8), shape=DynamicsConfig(8, 3, 40))
    kept = {c.person for c in clips if zlib.crc32(c.person.encode()) % 10 == 0}
    assert {c.person for c in objective.held_out} == kept
    assert not {c.person for c in objective.clips} & kept
    with pytest.raises(UsageError, match="at least 64 are needed"):
        DynamicsObjective(clips, DynamicsTraining())


def test_a_short_smile_is_padded_with_its_last_frame():
    onset = onset_curves(np.arange(30, dtype=np.float32).reshape(10, 3))
    assert onset.shape == (32, 3)
    assert (onset[9:] == onset[9]).all()


def test_published_networks_make_clips_of_whole_photos(small_portrait, tmp_path):
    """Untrained, they make noise; where it goes, and where it begins, is theirs to say."""
    from faceflex import make_editor
    from faceflex.edit.clip import ClipRequest, clip_frames

    paths = tmp_path / "s.safetensors", tmp_path / "t.safetensors"
    torch.manual_seed(0)
    save_network(small_start(), paths[0])
    save_network(FaceTranslation(TranslationConfig((4,) * 6)), paths[1])
    editor = make_editor("cmm-net", model=str(paths[0]), vectors=str(paths[1]))
    assert isinstance(editor.method, ReferenceMethod)
    opened = editor.open(small_portrait)
    settings = editor.method.resolve({"intensity": 1.0})
    frames = list(clip_frames(opened, ClipRequest(settings, 1, 4).shots(1)))
    assert (frames[0] == opened.rgb).all()
    assert (frames[-1] != opened.rgb).any()
    with pytest.raises(UsageError, match="modes 0 to 2"):
        list(opened.changes([ClipRequest(settings).still(3, 1.0)]))
    with pytest.raises(UsageError, match="needs `model`"):
        make_editor("cmm-net")


def test_clips_know_who_is_held_out():
    clip = SmileClip("a", "041", 0, np.zeros((3, 3), np.float32), (), np.zeros((0, 21)))
    assert clip.held_out == (zlib.crc32(b"041") % 10 == 0)
