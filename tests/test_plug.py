"""Ways to edit are plugs: another package's method, not one line of faceflex changed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from faceflex.photo import load_photo
from tests.conftest import PORTRAIT

PLUG = Path(__file__).parent / "plugs" / "warmth.py"


@pytest.fixture
def plugged(tmp_path):
    """Run Python with the plug's package installed: a module and its entry point."""
    site = tmp_path / "site"
    about = site / "warmth-1.0.dist-info"
    about.mkdir(parents=True)
    shutil.copy(PLUG, site)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: warmth\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[faceflex.methods]\nwarmth = warmth:ENTRY\n")
    root = Path(__file__).parent.parent
    env = {**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{root}", "COLUMNS": "100"}

    def call(*words):
        command = [sys.executable, *map(str, words)]
        return subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, env=env, check=False
        )

    return call


def faceflex(plugged, *words):
    return plugged("-m", "faceflex", *words)


def test_its_controls_are_options(plugged, run):
    told = " ".join(faceflex(plugged, "edit", "--help").stdout.split())
    assert "--warmth VALUE Colour temperature of the skin (-1 to 1; warmth)." in told
    assert "--warmth" not in run("edit", "--help").stdout


def test_it_is_chosen_by_its_option_or_its_name(plugged, png, tmp_path):
    ways = {
        "option.png": ("--warmth", "0.5"),
        "name.png": ("--method", "warmth", "--set", "warmth = 0.5"),
    }
    pictures = []
    for out, words in ways.items():
        done = faceflex(plugged, "edit", png, *words, "-o", out, "--json")
        assert done.returncode == 0, done.stderr
        row = json.loads(done.stdout)
        assert row["settings"] == {"Warmth": 0.5}
        assert row["provenance"]["method"] == "warmth"
        assert row["provenance"]["settings"] == {"Warmth": "0.5"}
        assert row["provenance"]["models"]["tint"] == "1"
        photo = load_photo(tmp_path / out)
        assert b'AIPromptInformation="Warmth=0.5"' in photo.xmp
        assert b"(warmth; tint 1" in photo.xmp
        pictures.append(photo.rgb)
    assert all(np.array_equal(pictures[0], other) for other in pictures[1:])
    # Faces are warmer; what is outside of them is not.
    before = load_photo(png).rgb.astype(int)
    moved = pictures[0] - before
    changed = moved.any(axis=2)
    assert moved[changed][:, 0].mean() > 3
    assert moved[changed][:, 2].mean() < -3
    assert 0.05 < changed.mean() < 0.6
    assert not changed[:20].any()


def test_it_sweeps_and_is_limited_as_every_method_is(plugged, png, tmp_path):
    words = ("--method", "warmth", "--attr", "warmth", "--range", "-1", "3", "2")
    done = faceflex(plugged, "edit", png, *words, "--jobs", "2")
    assert done.returncode == 0, done.stderr
    names = sorted(p.name for p in (tmp_path / "friend-Warmth" / "sample-1").iterdir())
    assert names == ["-1-Warmth.png", "1-Warmth.png"]
    assert (tmp_path / "friend-Warmth" / "sheet.png").is_file()
    beyond = faceflex(plugged, "edit", png, "--warmth", "2", "-o", "o.png")
    assert "Warmth: strengths were measured from -1 to 1" in beyond.stderr
    automatic = faceflex(plugged, "edit", png, "--method", "warmth", "--set", "Warmth=auto")
    assert "Warmth: its strength cannot be automatic" in automatic.stderr


def test_wrong_words_about_methods_are_told(plugged, png):
    unknown = faceflex(plugged, "edit", png, "--method", "magic", "--set", "Smiling=1")
    assert unknown.returncode == 2
    assert "--method magic: use one of attribute-vectors, " in unknown.stderr
    assert ", warmth" in unknown.stderr
    two = faceflex(plugged, "edit", png, "--method", "attribute-vectors", "--warmth", "1")
    assert two.returncode == 2
    assert "one method at a time" in two.stderr


PYTHON = f"""
import faceflex

editor = faceflex.make_editor("warmth")
opened = faceflex.open_photo({str(PORTRAIT)!r}, editor=editor)
shots = [opened.shot(warmth=s) for s in (0, 0.5)]
still, warm = opened.render(shots)
print((still == opened.rgb).all(), (warm == opened.rgb).all())
photo = faceflex.load_photo({str(PORTRAIT)!r})
edited = faceflex.edit_photo(photo, dict(Warmth=0.5), editor=editor)
print((edited.rgb == warm).all(), edited.provenance.method, edited.provenance.settings)
print(editor.method.controls["Warmth"].high)
"""


def test_python_has_it_too(plugged):
    done = plugged("-c", PYTHON)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "True False",
        "True warmth {'Warmth': '0.5'}",
        "1.0",
    ]
