"""Shared parts: a real photo, the bundled models loaded once, and the command as a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
PORTRAIT = ROOT / "examples" / "portrait.jpg"
SMILE = ROOT / "examples" / "smile.jpg"


@pytest.fixture(scope="session")
def portrait():
    """The example photo."""
    from faceflex.photo import load_photo

    return load_photo(PORTRAIT)


@pytest.fixture(scope="session")
def smile():
    """(900, 900, 3) uint8: somebody who smiles and shows her teeth."""
    from faceflex.photo import load_rgb

    return load_rgb(SMILE)


@pytest.fixture(scope="session")
def small_portrait(portrait):
    """(450, 450, 3) uint8: the example photo at a third of its size."""
    import cv2

    return cv2.resize(portrait.rgb, (450, 450), interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="session")
def editor():
    """An editor with the bundled models."""
    from faceflex import make_editor

    return make_editor(device="cpu")


@pytest.fixture
def png(tmp_path, small_portrait):
    """A PNG photo of 450 pixels."""
    from PIL import Image

    path = tmp_path / "friend.png"
    Image.fromarray(small_portrait).save(path)
    return path


@pytest.fixture(scope="session")
def warm():
    """A process that has imported everything and forks for each command; None without forks."""
    if not hasattr(os, "fork"):
        yield None
        return
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.warm"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    yield server
    server.stdin.close()
    server.wait(timeout=60)


def forked(server, arguments, folder, environment, stdin):
    """Run a command in a fork of the warm process; return it as ``subprocess.run`` does."""
    with tempfile.TemporaryDirectory() as place:
        files = {name: Path(place) / name for name in ("stdin", "stdout", "stderr")}
        for path, content in zip(files.values(), (stdin or b"", b"", b""), strict=True):
            path.write_bytes(content)
        request = {"arguments": arguments, "folder": str(folder), "environment": environment}
        server.stdin.write(json.dumps(request | {k: str(p) for k, p in files.items()}) + "\n")
        server.stdin.flush()
        code = int(server.stdout.readline())
        out, err = files["stdout"].read_bytes(), files["stderr"].read_bytes()
    return subprocess.CompletedProcess(arguments, code, out, err)


@pytest.fixture
def run(tmp_path, warm):
    """Run ``faceflex`` as a process in an empty folder; returns the finished process.

    With ``cold`` the process starts anew; else it is a fork of one that has imported everything.
    """

    def call(*arguments, stdin=None, home=None, text=True, cold=False):
        env = {**os.environ, "FACEFLEX_HOME": str(home or tmp_path / "home"), "COLUMNS": "200"}
        env.pop("FACEFLEX_DEBUG", None)
        words = [str(a) for a in arguments]
        if warm is not None and not cold:
            done = forked(warm, words, tmp_path, env, stdin)
        else:
            done = subprocess.run(
                [sys.executable, "-m", "faceflex", *words],
                input=stdin,
                capture_output=True,
                cwd=tmp_path,
                env=env,
                timeout=120,
                check=False,
            )
        if text:
            done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
        return done

    return call


def face_points(seed: int = 0, noise: float = 1.5) -> np.ndarray:
    """Return 68 points near the template."""
    from faceflex.faces.align import template

    rng = np.random.default_rng(seed)
    return (template() + rng.normal(0, noise, (68, 2))).astype(np.float32)


@pytest.fixture(scope="session")
def celeba(tmp_path_factory, portrait):
    """A face set in CelebA's layout: one person, turned, scaled and lit in 60 ways."""
    root = tmp_path_factory.mktemp("sets") / "celeba"
    folder = root / "img_align_celeba"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    from PIL import Image

    from faceflex.faces import find_faces
    from faceflex.faces.align import estimate_similarity, template, transform_points, warp

    (face,) = find_faces(portrait.rgb)
    names, points, rows = [], [], []
    for number in range(60):
        turn = rng.normal(0, 0.1)
        target = (template() - 63.5) * rng.uniform(0.75, 0.9) @ np.array(
            [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
        ) + [89 + rng.normal(0, 3), 109 + rng.normal(0, 3)]
        matrix = estimate_similarity(face.points, target)
        picture, _ = warp(portrait.rgb, matrix, 218)
        smiling = number % 2 == 0
        light = np.float32([1.25, 1.0, 0.8]) if smiling else np.float32([0.8, 1.0, 1.25])
        lit = np.clip(picture[:, 20:198] * light * rng.uniform(0.8, 1.1), 0, 255).astype(np.uint8)
        name = f"{number + 1:06d}.jpg"
        Image.fromarray(lit).save(folder / name, quality=95)
        names.append(name)
        points.append(transform_points(matrix, face.points) - np.float32([20, 0]))
        rows.append(f"{name}  {1 if number % 3 else -1}  {1 if smiling else -1}")
    text = f"{len(rows)}\nMale Smiling\n" + "\n".join(rows) + "\n"
    (root / "list_attr_celeba.txt").write_text(text)
    np.savez(root / "landmarks68.npz", name=np.array(names), points=np.array(points))
    return root


@pytest.fixture(scope="session")
def cache(celeba, tmp_path_factory):
    from faceflex.data.cache import open_cache

    return open_cache([celeba], tmp_path_factory.mktemp("cache"))


# Files that take longest, in this order: begun first, none is left to one process at the end.
SLOWEST = [
    "test_first_use",
    "test_automatic_strength",
    "test_realism",
    "test_content",
    "test_smile_dynamics",
    "test_batch",
    "test_animate",
    "test_hostile",
    "test_smile_motion",
    "test_train",
    "test_build_vectors",
    "test_plug",
    "test_valence_arousal",
    "test_caae",
    "test_smile",
    "test_polish",
    "test_evaluate",
    "test_cli",
    "test_compose",
]


def pytest_collection_modifyitems(items):
    """Put the files that take longest first."""
    places = {name: number for number, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(SLOWEST)))
