"""Smile videos: their frames, their files, and what the command says."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from faceflex import make_editor
from faceflex.edit.clip import ClipRequest, clip_frames, draw_landmarks, grid_frames
from faceflex.edit.clip_calibration import BOOSTS, RESIGNED, boosted, find_boosts
from faceflex.edit.clip_job import make_clips, of_person
from faceflex.edit.clip_options import ClipOptions, planned_clips
from faceflex.errors import PhotoError, UsageError
from faceflex.evaluate.smile_clips import time_warping
from faceflex.methods.head_sway import head_sway, swayed
from faceflex.methods.smile_video import SmileVideoMethod
from faceflex.photo.clip import ClipFile, clip_format, read_clip_xmp
from faceflex.photo.provenance import made_by_faceflex

FRAMES = 6


@pytest.fixture(scope="module")
def smiler():
    return make_editor("smile-video", device="cpu")


@pytest.fixture(scope="module")
def opened(smiler, portrait):
    """The example photo at 225 pixels, ready to be rendered."""
    return smiler.open(cv2.resize(portrait.rgb, (225, 225), interpolation=cv2.INTER_AREA))


def request_of(smiler, *, style=1.0, seconds=2.0, loop=0.0, intensity=1.0, **more):
    settings = {"intensity": intensity, "spontaneous": style, "seconds": seconds, "loop": loop}
    return ClipRequest(smiler.method.resolve(settings), **more)


@pytest.fixture(scope="module")
def frames(smiler, opened):
    return list(clip_frames(opened, request_of(smiler, frames=FRAMES).shots(0)))


def test_the_first_frame_is_the_photo_and_the_background_stays(opened, frames):
    assert (frames[0] == opened.rgb).all()
    region = opened.faces[0].region
    inside = np.zeros(opened.rgb.shape[:2], bool)
    box = slice(region.top, region.bottom), slice(region.left, region.right)
    inside[box] = region.mask > 0
    changed = [(frame != opened.rgb).any(axis=2) for frame in frames]
    assert changed[-1].sum() > 1000
    assert not any((c & ~inside).any() for c in changed)


def test_the_last_frame_smiles(smiler, opened, frames):
    from faceflex.evaluate.edits import Instruments

    points = opened.faces[0].face.points
    scores = [Instruments().measure(f, points, "Smiling").score for f in (frames[0], frames[-1])]
    assert scores[0] < 0.3 < scores[1]


def test_a_loop_ends_where_it_began(smiler, opened):
    shots = request_of(smiler, loop=1.0, seconds=4.0, frames=21).shots(0)
    amounts = [smiler.method.amounts(opened._codes[0], shot)[0] for shot in shots]
    corners = np.array([a[0] for a in amounts])
    assert corners[0] == 0
    assert corners.max() > 0.5
    assert corners[-1] < 0.02


def test_threads_and_one_after_the_other_make_the_same_frames(smiler, opened, frames):
    shots = request_of(smiler, frames=FRAMES).shots(0)[-2:]
    assert all(
        (a == b).all()
        for a, b in zip(clip_frames(opened, shots, threads=1), frames[-2:], strict=False)
    )


def test_a_longer_clip_is_not_a_slower_smile(smiler, opened):
    method, code = smiler.method, opened._codes[0]
    sequence = method.sequence(code, request_of(smiler).still(0, 1.0))
    least = float(np.ceil(sequence.apex / 25 / 0.9))
    long, longer = (
        request_of(smiler, seconds=s * least, frames=int(25 * s * least) + 1) for s in (2, 4)
    )
    at_2s = [method.amounts(code, r.shots(0)[50])[0] for r in (long, longer)]
    assert np.allclose(*at_2s)
    (short,) = (request_of(smiler, seconds=0.5, frames=13),)
    assert sequence.speed(0.5, loop=False) > 1 == sequence.speed(least, loop=False)
    last = method.amounts(code, short.shots(0)[-1])[0]
    assert last[0] > 0.9 * method.amounts(code, replace(short.shots(0)[-1], time=None))[0][0]


def test_modes_differ_more_than_seeds(smiler, opened):
    def curves(seed, mode):
        method = SmileVideoMethod(device="cpu", seed=seed)
        method._modes = smiler.method._modes
        sequence = method.sequence(opened._codes[0], request_of(smiler).still(mode, 1.0))
        amounts = method.motion.amounts_of(sequence.curves[: sequence.apex + 10])
        return amounts * [5, 1, 1]

    smiler.method.modes(1)
    first, second = ([curves(seed, mode) for mode in range(4)] for seed in (0, 1))
    within = [time_warping(a, b) for a, b in zip(first, second, strict=False)]
    between = [time_warping(a, b) for n, a in enumerate(first) for b in first[:n]]
    assert np.mean(between) > 2 * np.mean(within) > 0


def test_a_face_that_smiles_already_is_said_and_spared(smiler, smile):
    opened = smiler.open(cv2.resize(smile, (300, 300), interpolation=cv2.INTER_AREA))
    request = request_of(smiler)
    (told,) = opened.describe(request.still(0, 1.0))
    assert told["smiling"] > 0.5
    assert "smiles already" in told["note"]
    face = opened.faces[0]
    ((change,),) = next(iter(opened.changes([request.still(0, 1.0)])))
    assert np.abs(change.landmarks - face.landmarks).max() < 3.5


def test_a_photo_has_the_same_smile_at_every_size(smiler, portrait, small_portrait):
    request = request_of(smiler)
    request = replace(request, settings=of_person(request, portrait, smiler))
    method, shot = smiler.method, request.still(2, 1.0)
    codes = [smiler.open(p)._codes[0] for p in (portrait.rgb, small_portrait)]
    assert codes[0].person != codes[1].person
    first, second = (method.sequence(code, shot) for code in codes)
    assert (first.curves == second.curves).all()
    other = replace(shot, settings=(*request_of(smiler).settings, ("person", 7.0)))
    assert (method.sequence(codes[0], other).curves != first.curves).any()


def test_landmarks_are_drawn_where_they_go(smiler, opened, frames):
    (steps,) = opened.changes([request_of(smiler).still(0, 1.0)])
    drawn = draw_landmarks(opened, frames[-1], steps)
    assert (frames[-1] != drawn).any()
    green = (drawn[..., 1].astype(int) - drawn[..., 0]) > 100
    region = opened.faces[0].region
    rows = np.flatnonzero(green.any(axis=1))
    assert region.top - 12 < rows[0] < rows[-1] < region.bottom + 12


def test_a_grid_has_two_rows_of_two():
    clips = [iter([np.full((4, 6, 3), k, np.uint8)] * 2) for k in range(4)]
    first, _ = grid_frames(clips)
    assert first.shape == (8, 12, 3)
    assert [first[y, x, 0] for y, x in ((0, 0), (0, 6), (4, 0), (4, 6))] == [0, 1, 2, 3]


def streams(data):
    av = pytest.importorskip("av")
    with av.open(io.BytesIO(data)) as file:
        stream = file.streams.video[0]
        context = stream.codec_context
        shape = context.name, context.pix_fmt, context.width, context.height
        return (
            shape,
            float(stream.average_rate),
            [f.to_ndarray(format="rgb24") for f in file.decode(stream)],
        )


def test_mp4_has_even_sides_and_every_frame(tmp_path, frames):
    pytest.importorskip("av")
    path = tmp_path / "clip.mp4"
    xmp = b'<x Iptc4xmpExt:AISystemUsed="faceflex"/>'
    assert ClipFile("MP4", 12.5, xmp).write(path, frames) == (224, 224)
    shape, rate, decoded = streams(path.read_bytes())
    assert shape == ("h264", "yuv420p", 224, 224)
    assert rate == 12.5
    assert len(decoded) == FRAMES
    errors = [
        np.abs(d - f[:224, :224].astype(float)).mean()
        for d, f in zip(decoded, frames, strict=False)
    ]
    assert max(errors) < 4
    assert read_clip_xmp(path.read_bytes()) == xmp


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium")
def test_mp4_plays_in_chromium(tmp_path, frames):
    pytest.importorskip("av")
    ClipFile("MP4", 25, b"<x/>").write(tmp_path / "clip.mp4", frames * 4)
    (tmp_path / "page.html").write_text(
        "<video src=clip.mp4 muted preload=auto></video><script>"
        "const v=document.querySelector('video'), say=s=>document.body.append(s);"
        "v.onerror=()=>say('ERROR '+v.error.code);"
        "v.onloadeddata=()=>{const c=document.createElement('canvas').getContext('2d');"
        "c.drawImage(v,0,0);const p=c.getImageData(9,9,1,1).data;"
        "say('SHOWN '+[v.videoWidth,v.duration.toFixed(2),p[0],p[1],p[2]].join(' '))}</script>"
    )
    words = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    words += ["--allow-file-access-from-files", "--virtual-time-budget=8000"]
    words += [f"--user-data-dir={tmp_path / 'profile'}", f"file://{tmp_path / 'page.html'}"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    shown = re.search(r"SHOWN (\d+) ([\d.]+) (\d+) (\d+) (\d+)", done.stdout)
    assert shown, done.stdout
    assert shown.groups()[:2] == ("224", "0.96")
    assert np.abs(np.array(shown.groups()[2:], int) - frames[0][9, 9]).max() < 8


@pytest.mark.parametrize(("form", "suffix"), [("GIF", ".gif"), ("WEBP", ".webp")])
def test_animated_pictures_hold_frames_times_and_provenance(tmp_path, frames, form, suffix):
    path = tmp_path / f"clip{suffix}"
    xmp = b'<x Iptc4xmpExt:AISystemUsed="faceflex"/>'
    ClipFile(form, 20, xmp).write(path, frames, frames)
    with Image.open(path) as picture:
        assert picture.n_frames == FRAMES
        picture.seek(FRAMES - 1)
        picture.load()
        assert picture.info["duration"] == 50
        shown = np.asarray(picture.convert("RGB"), float)
        kept = picture.info.get("xmp")
    assert np.abs(shown - frames[-1]).mean() < (9 if form == "GIF" else 4)
    assert (read_clip_xmp(path.read_bytes()) if form == "GIF" else kept) == xmp


def test_a_clip_that_cannot_be_is_refused_in_one_line(tmp_path, monkeypatch):
    with pytest.raises(UsageError, match=r"clip\.avi: cannot tell the format .*\.mp4, \.gif"):
        clip_format(Path("clip.avi"))
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(UsageError, match=r"clip\.mp4: MP4 needs .*faceflex\[video\].*\.gif"):
        clip_format(Path("clip.mp4"))
    with pytest.raises(PhotoError, match="WEBP holds frames of up to 16383"):
        ClipFile("WEBP", 25).write(tmp_path / "a.webp", [np.zeros((2, 16384, 3), np.uint8)])


def test_files_are_named_after_their_modes(smiler):
    options = ClipOptions(request_of(smiler, modes=2), landmarks=True)
    names = [c.path.name for c in planned_clips(Path("a/smile.gif"), options)]
    assert names == [
        "smile.gif", "smile-1.gif", "smile-2.gif",
        "smile-landmarks.gif", "smile-1-landmarks.gif", "smile-2-landmarks.gif",
    ]  # fmt: skip
    grid = planned_clips(Path("smile.gif"), replace(options, grid=True, landmarks=False))
    assert [(c.path.name, c.modes) for c in grid] == [("smile.gif", (0, 1, 2))]


def test_a_clip_that_fails_leaves_nothing_behind(smiler, png, tmp_path, monkeypatch):
    options = ClipOptions(request_of(smiler, frames=4), max_side=100)

    def broken(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ClipFile, "_write_webp", broken)
    with pytest.raises(PhotoError, match=r"smile\.webp: cannot be written \(No space left"):
        list(make_clips(str(png), "friend.png", tmp_path / "smile.webp", options, smiler))
    assert [p.name for p in tmp_path.iterdir()] == ["friend.png"]


def test_the_command_makes_clips(run, png, tmp_path):
    words = ("--out", "s.gif", "--modes", "1", "--frames", "4", "--max-side", "90", "--json")
    foreseen = run("animate", png, *words[:-1], "--dry-run")
    assert foreseen.stdout.splitlines() == ["write\ts.gif", "write\ts-1.gif"]
    done = run("animate", png, *words, "--style", "posed", "--fps", "10")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(r["output"], r["modes"], r["size"]) for r in rows] == [
        ("s.gif", [0], [90, 90]),
        ("s-1.gif", [1], [90, 90]),
    ]
    person = rows[1]["provenance"]["settings"].pop("person")
    assert person == rows[0]["provenance"]["settings"]["person"]
    assert rows[1]["provenance"]["settings"] == {
        "intensity": "1", "spontaneous": "0", "loop": "0", "seconds": "0.3", "mode": "1",
    }  # fmt: skip
    assert {"model", "motion", "dynamics", "content"} == set(rows[0]["provenance"]["models"])
    assert made_by_faceflex(read_clip_xmp((tmp_path / "s-1.gif").read_bytes()))
    again = run("animate", png, *words)
    assert again.returncode == 1
    assert again.stderr.count("\n") == 1
    assert "s.gif: exists; use --overwrite or another --out" in again.stderr


def test_a_still_is_a_photo(run, png, tmp_path):
    done = run("animate", png, "--still", "1", "--out", "still.png")
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "still.png") as picture:
        assert picture.size == (450, 450)
        assert made_by_faceflex(
            picture.info["xmp"]
            if isinstance(picture.info.get("xmp"), bytes)
            else picture.info["XML:com.adobe.xmp"].encode()
        )


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--style", "sad"), "--style sad: use one of spontaneous, posed"),
        (("--fps", "0"), "--fps 0: needs 1 to 120"),
        (("--intensity", "-1"), "--intensity -1: needs more than 0"),
        (("--still", "2"), "--still 2: needs a moment"),
        (("--still", "0.5", "--grid"), "--still and --grid: give one of them"),
        (("--out", "no/such.gif"), "no: no such folder"),
    ],
)
def test_nonsense_is_refused_in_one_line(run, png, words, reason):
    done = run("animate", png, *words)
    assert done.returncode == 2
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1


def test_no_face_is_said(run, tmp_path):
    Image.new("RGB", (80, 80), "gray").save(tmp_path / "wall.png")
    done = run("animate", "wall.png", "--out", "s.gif")
    assert done.returncode == 3
    assert "wall.png: no face" in done.stderr
    assert not (tmp_path / "s.gif").exists()


class _Fixed:
    """A scorer that always says the same."""

    def __init__(self, value):
        self.value, self.asked = value, 0

    def attribute_of(self, control):
        return control

    def score(self, crop, attribute):
        assert crop.shape == (128, 128, 3)
        assert attribute == "Smiling"
        self.asked += 1
        return self.value


def test_a_smile_that_is_not_seen_is_raised(smiler, opened, monkeypatch):
    request = request_of(smiler, frames=FRAMES)
    last = request.shown(2)
    blind, content = _Fixed(0.0), _Fixed(0.9)
    monkeypatch.setattr(smiler, "scorer", content)
    assert find_boosts(opened, last) == (0.0,)
    monkeypatch.setattr(smiler, "scorer", blind)
    (boost,) = find_boosts(opened, last)
    assert boost == RESIGNED
    assert (content.asked, blind.asked) == (1, len(BOOSTS))
    monkeypatch.setattr(smiler, "scorer", _Fixed(0.5))
    assert find_boosts(opened, last) == (1.0,)
    code = opened._codes[0]
    plain, raised = (smiler.method.amounts(code, boosted(last, b))[0] for b in (0.0, 1.0))
    assert raised[0] > plain[0]
    assert raised[1] >= max(plain[1], 4.0)
    rest = smiler.method.amounts(code, boosted(request.shots(2)[0], 1.0))[0]
    assert np.abs(rest).max() < 0.05


def test_frames_of_clips_are_nearly_what_photos_are(smiler, opened):
    (steps,) = opened.changes([request_of(smiler).still(0, 1.0)])
    exact, quick = opened.compose(steps), opened.for_clips().compose(steps)
    changed = (exact != opened.rgb).any(axis=2)
    off = np.abs(exact.astype(int) - quick)[changed]
    assert 0 < off.mean() < 0.6
    assert np.percentile(off, 99) <= 5
    assert (quick[~changed] == opened.rgb[~changed]).mean() > 0.999


def test_a_head_sways_a_little_and_its_outline_rests(opened):
    face = opened.faces[0]
    sways = np.array([head_sway(5, t) for t in np.linspace(0, 10, 100)])
    assert 0.2 < np.abs(sways[:, :2]).max() < 1.28
    assert np.abs(sways[:, 2]).max() < 0.01
    assert np.abs(np.diff(sways[:, :2], axis=0)).max() < 0.4  # In a tenth of a second.
    points, lips = swayed(face.landmarks, face.lips, tuple(sways[50]))
    assert (points[:17] == face.landmarks[:17]).all()
    assert np.abs(points[17:] - face.landmarks[17:]).max() > 0.05
    assert np.allclose(lips.lower - lips.upper, face.lips.lower - face.lips.upper, atol=1e-4)
