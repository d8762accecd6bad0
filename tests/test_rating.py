"""The rating game: answers as they come, degrees, agreement, and the page in a real browser."""

from __future__ import annotations

import csv
import json
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
from PIL import Image

from faceflex.data.degrees import match_degrees, read_degrees
from faceflex.data.ratings import Answer, Ratings, agreement, degrees_of
from faceflex.errors import UsageError
from tests.browser import Browser, find_chromium


@pytest.fixture
def faces(tmp_path):
    """Three pictures."""
    folder = tmp_path / "faces"
    folder.mkdir()
    for i, name in enumerate(("a.jpg", "b.jpg", "c.png")):
        Image.new("RGB", (80, 60 + i), (60 * i, 90, 120)).save(folder / name)
    return folder


def game(faces, *words):
    """Start ``faceflex rate``; return the process and the page's address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "faceflex", "rate", str(faces), *map(str, words)],
        stderr=subprocess.PIPE,
        text=True,
    )
    line = process.stderr.readline()
    assert "http://127.0.0.1:" in line, line
    return process, line.split()[-1]


def ask(address, path, body=None, **headers):
    base, _, token = address.partition("?token=")
    request = urllib.request.Request(base.rstrip("/") + path, body)
    for name, value in {"X-Token": token, **headers}.items():
        request.add_header(name.replace("_", "-"), value)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read()


def rows(path):
    with path.open() as file:
        return {row["file"]: float(row["degree"]) for row in csv.DictReader(file)}


def test_answers_are_stored_as_they_come_and_a_stopped_game_goes_on(faces, tmp_path):
    out = tmp_path / "degrees.csv"
    process, address = game(faces, "--out", out, "--rater", "ann")
    first = json.loads(ask(address, "/next"))
    assert first["left"] == 3
    assert ask(address, f"/face/{first['number']}")[:2] == b"\xff\xd8"
    body = {"number": first["number"], "smiles": True, "seconds": 0.6}
    ask(address, "/answer", json.dumps(body).encode())
    with sqlite3.connect(tmp_path / "degrees.sqlite") as database:
        assert database.execute("select rater, smiles, seconds from answers").fetchall() == [
            ("ann", 1, 0.6)
        ]
    assert json.loads(ask(address, "/next"))["left"] == 2
    for wrong in ({**body, "seconds": -1}, {**body, "number": 7}, {"number": 0}, [1]):
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(address, "/answer", json.dumps(wrong).encode())
        assert refused.value.code == 400
    # Without the token, or by another name of this machine, there is nothing.
    for headers in ({"X_Token": "guess"}, {"Host": "evil.example"}):
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(address, "/next", **headers)
        assert refused.value.code == 403
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 130
    assert list(rows(out).values()) == [1.0]
    process, address = game(faces, "--out", out, "--rater", "ann")
    assert json.loads(ask(address, "/next"))["left"] == 2
    process.send_signal(signal.SIGINT)
    process.wait(timeout=20)


def test_a_person_presses_keys_in_a_real_browser(faces, tmp_path):
    chromium = find_chromium()
    if chromium is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    out = tmp_path / "degrees.csv"
    process, address = game(faces, "--out", out, "--rater", "ben")
    names = sorted(p.name for p in faces.iterdir())
    with Browser(chromium, tmp_path / "profile") as browser:
        browser.open(address)
        seen = None
        for key in ("j", "f", "j"):
            browser.wait(
                f"document.body.dataset.shown !== undefined"
                f" && document.body.dataset.shown !== '{seen}'"
            )
            seen = browser.value("document.body.dataset.shown")
            assert browser.value("document.getElementById('face').naturalWidth") == 80
            time.sleep(0.06)
            browser.press("x")  # Another key says nothing.
            browser.press(key)
        browser.wait("document.body.dataset.left === '0'")
        assert "Thank you" in browser.value("document.getElementById('told').textContent")
        assert "token" not in browser.value("location.href")
    assert process.wait(timeout=20) == 0
    found = rows(out)
    assert sorted(found) == names
    assert sorted(d > 0 for d in found.values()) == [False, True, True]
    store = Ratings(tmp_path / "degrees.sqlite")
    assert all(0.05 <= a.seconds < 20 for a in store.answers())
    store.close()


def test_degrees_are_sign_times_speed_averaged_over_raters():
    answers = [Answer("ann", f"{i}.jpg", i % 2 == 0, 0.5) for i in range(10)]
    answers += [Answer("ann", "slow.jpg", True, 2.0), Answer("ben", "0.jpg", False, 1.0)]
    found = degrees_of(answers)
    assert found["slow.jpg"] == 0.25
    assert found["1.jpg"] == -1.0
    assert found["0.jpg"] == 0.0  # One says yes at once, one says no at once.


def test_agreement_is_krippendorffs():
    # Two who always agree; two of whom one answers the other way round.
    same = [Answer(r, f"{i}", i % 2 == 0, 0.5) for r in ("a", "b") for i in range(8)]
    other = [Answer("a", f"{i}", i % 2 == 0, 0.5) for i in range(8)]
    other += [Answer("b", f"{i}", i % 2 == 1, 0.5) for i in range(8)]
    assert agreement(same) == 1.0
    assert agreement(other) < 0
    # Krippendorff (2011), two observers, binary: 0.095 for this table of ten.
    first, second = "0100000000", "1110010010"
    table = [Answer("a", str(i), v == "1", 0.5) for i, v in enumerate(first)]
    table += [Answer("b", str(i), v == "1", 0.5) for i, v in enumerate(second)]
    assert agreement(table) == pytest.approx(0.095, abs=0.001)
    assert agreement(same[:8]) is None


def test_what_is_no_file_of_ratings_or_no_photo_is_told(faces, tmp_path, run):
    (tmp_path / "no.sqlite").write_text("this is a text, long enough to be none " * 40)
    done = run("rate", faces, "--out", "d.csv", "--ratings", "no.sqlite")
    assert done.returncode == 2
    assert "no.sqlite: is no file of ratings" in done.stderr
    done = run("rate", tmp_path / "x.jpg", "--out", "d.csv")
    assert done.returncode == 2
    assert "x.jpg: no such photo" in done.stderr


def degrees_file(path, rows, head="file,degree"):
    path.write_text(head + "\n" + "".join(f"{n},{v}\n" for n, v in rows))
    return path


GOOD = [(f"{i}.jpg", 0.5 if i % 2 else -0.5) for i in range(24)]


@pytest.mark.parametrize(
    ("rows", "head", "reason"),
    [
        ([*GOOD[:-1], ("x.jpg", 1.5)], "file,degree", "line 25: '1.5' is no degree from -1 to 1"),
        ([*GOOD, ("x.jpg", "nan")], "file,degree", "line 26: 'nan' is no degree"),
        ([*GOOD, GOOD[0]], "file,degree", "0.jpg is there twice"),
        (GOOD[:19], "file,degree", "19 faces with a degree; at least 20 are needed"),
        ([(n, abs(v)) for n, v in GOOD], "file,degree", "one class only: no face does not smile"),
        ([(n, -abs(v)) for n, v in GOOD], "file,degree", "one class only: no face smiles"),
        (GOOD, "face,smile", "must have the columns file and degree"),
    ],
)
def test_a_wrong_file_of_degrees_is_told_in_one_line(tmp_path, rows, head, reason):
    path = degrees_file(tmp_path / "d.csv", rows, head)
    with pytest.raises(UsageError) as caught:
        read_degrees(path)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_names_are_left_out_or_told(tmp_path):
    path = degrees_file(tmp_path / "d.csv", GOOD, "stimulus_filename,avg_encode")
    found, unknown = match_degrees(path, [n for n, _ in GOOD[:22]])
    assert len(found) == 22
    assert unknown == ["22.jpg", "23.jpg"]
    with pytest.raises(UsageError, match=r"20 of its 24 names are unknown, like 4\.jpg"):
        match_degrees(path, [n for n, _ in GOOD[:4]])
