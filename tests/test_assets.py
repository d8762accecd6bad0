"""The registry of files and downloads, against a real server on localhost."""

from __future__ import annotations

import bz2
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from faceflex.assets.download import fetch
from faceflex.assets.registry import (
    Asset,
    bundled_path,
    find_asset,
    locate,
    registry,
    sha256_of,
)
from faceflex.assets.resolution import resolve
from faceflex.errors import AssetError, UsageError
from tests.http_server import serve

CONTENT = np.random.default_rng(0).integers(0, 60, 400_000, np.uint8).tobytes()


@pytest.fixture
def site():
    with serve() as running:
        running.files = {"thing.dat": CONTENT, "thing.dat.bz2": bz2.compress(CONTENT)}
        yield running


@pytest.fixture
def home(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("FACEFLEX_HOME", str(folder))
    for name in ("FACEFLEX_OFFLINE", "FACEFLEX_MIRROR", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return folder


def asset(site, *names, **changes):
    made = Asset(
        name="thing",
        file="thing.dat",
        size=len(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        about="a test file",
        licence="none",
        urls=tuple(f"{site.url}/{n}" for n in names),
    )
    return replace(made, **changes)


def kept(home):
    """Files in the cache, but for the notes that a hash was checked."""
    if not home.exists():
        return []
    return sorted(p.name for p in home.iterdir() if not p.name.endswith(".checked"))


@pytest.mark.parametrize("name", ["thing.dat", "thing.dat.bz2"])
def test_a_file_is_fetched_unpacked_and_checked(site, home, name):
    path = fetch(asset(site, name))
    assert path == home / "thing.dat"
    assert path.read_bytes() == CONTENT
    assert kept(home) == ["thing.dat"]
    assert fetch(asset(site, name)) == path
    assert len(site.asked) == 1


def failing(site, home, thing, *words):
    with pytest.raises(AssetError) as caught:
        fetch(thing)
    text = str(caught.value)
    assert "\n" not in text
    for word in (*words, "thing could not be fetched", str(home / "thing.dat"), thing.sha256):
        assert word in text
    assert kept(home) == []


@pytest.mark.parametrize("name", ["thing.dat", "thing.dat.bz2"])
def test_wrong_content_is_refused(site, home, name):
    wrong = CONTENT[:-1] + b"\xff"
    site.files = {"thing.dat": wrong, "thing.dat.bz2": bz2.compress(wrong)}
    failing(site, home, asset(site, name), "wrong content")


@pytest.mark.parametrize("name", ["thing.dat", "thing.dat.bz2"])
def test_a_server_that_dies_midway_leaves_nothing(site, home, name):
    site.cut = {name}
    failing(site, home, asset(site, name), f"{site.url}/{name}")


@pytest.mark.parametrize("name", ["thing.dat", "thing.dat.bz2"])
def test_a_truncated_file_is_refused(site, home, name):
    site.files[name] = site.files[name][: len(site.files[name]) // 2]
    failing(site, home, asset(site, name))


def test_a_damaged_archive_is_refused(site, home):
    data = bytearray(site.files["thing.dat.bz2"])
    data[1000:1100] = bytes(100)
    site.files["thing.dat.bz2"] = bytes(data)
    failing(site, home, asset(site, "thing.dat.bz2"), "damaged archive")


def test_an_archive_that_unpacks_to_more_is_stopped(site, home):
    site.files["thing.dat.bz2"] = bz2.compress(bytes(300_000_000), 1)
    failing(site, home, asset(site, "thing.dat.bz2"), "more than the registered size")


def test_a_server_that_sends_more_is_stopped(site, home):
    site.files["thing.dat"] = CONTENT + bytes(100_000_000)
    failing(site, home, asset(site, "thing.dat"), "sends more than the registered size")


def test_registered_files_come_over_https_and_are_no_archives_of_many():
    urls = [url for one in registry().values() for url in one.urls]
    assert len(urls) > 5
    assert all(url.startswith("https://") for url in urls)
    # Names within an archive could lead out of a folder; bzip2 holds one file, without a name.
    assert not any(url.endswith((".zip", ".tar", ".gz", ".xz", ".tgz")) for url in urls)
    assert all(one.file == os.path.basename(one.file) for one in registry().values())  # noqa: PTH119


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A file with a key and a certificate for this machine, signed by itself."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=x"
    more = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", path, "-out", f"{path}.crt"]
    subprocess.run(["openssl", *words.split(), *more], check=True, capture_output=True)
    with path.open("ab") as both:
        both.write(path.with_name("both.pem.crt").read_bytes())
    return path


def test_https_stays_https(site, home, certificate, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with serve(certificate) as secure:
        secure.files = {"thing.dat": CONTENT}
        secure.moved = {"up.dat": f"{secure.url}/thing.dat", "down.dat": f"{site.url}/thing.dat",
                        "odd.dat": "/up.dat"}  # fmt: skip
        failing(secure, home, asset(secure, "down.dat"), "leads from https to http://")
        assert site.asked == []
        fetch(asset(secure, "odd.dat"))
        assert secure.asked == ["/down.dat", "/odd.dat", "/up.dat", "/thing.dat"]
        site.moved = {"first.dat": f"{secure.url}/down.dat"}
        (home / "thing.dat").unlink()
        failing(site, home, asset(site, "first.dat"), "leads from https to http://")
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with serve(certificate) as unknown:
        unknown.files = {"thing.dat": CONTENT}
        failing(unknown, home, asset(unknown, "thing.dat"), unknown.url)


def test_mirrors_are_tried_in_turn(site, home):
    site.cut = {"thing.dat.bz2"}
    thing = asset(site, "missing.dat", "thing.dat.bz2", "thing.dat")
    assert fetch(thing).read_bytes() == CONTENT
    assert site.asked == ["/missing.dat", "/thing.dat.bz2", "/thing.dat"]
    assert kept(home) == ["thing.dat"]


def test_when_all_mirrors_fail_each_is_named_with_its_reason(site, home):
    dead = "http://127.0.0.1:9/thing.dat"
    thing = replace(asset(site, "missing.dat"), urls=(f"{site.url}/missing.dat", dead))
    failing(site, home, thing, "missing.dat: HTTP 404", dead)


def test_a_mirror_of_ones_own_comes_first(site, home, monkeypatch):
    monkeypatch.setenv("FACEFLEX_MIRROR", f"{site.url}/mine/")
    fetch(asset(site, "thing.dat.bz2"))
    assert site.asked == ["/mine/thing.dat"]


def test_proxies_are_honoured(site, home, monkeypatch):
    monkeypatch.setenv("http_proxy", site.url)
    monkeypatch.setenv("no_proxy", "")
    thing = replace(asset(site), urls=("http://files.example.invalid/thing.dat",))
    assert fetch(thing).read_bytes() == CONTENT
    assert site.asked == ["http://files.example.invalid/thing.dat"]


def test_a_file_placed_by_hand_is_accepted_by_its_hash(site, home):
    thing = asset(site, "thing.dat")
    home.mkdir()
    (home / "thing.dat").write_bytes(CONTENT)
    assert locate(thing).source == "cache"
    assert fetch(thing) == home / "thing.dat"
    assert site.asked == []


def test_another_file_under_its_name_is_not_accepted_but_replaced(site, home):
    thing = asset(site, "thing.dat")
    home.mkdir()
    for wrong in (b"short", CONTENT[:-1] + b"\xff"):
        (home / "thing.dat").write_bytes(wrong)
        assert locate(thing) is None
        assert fetch(thing).read_bytes() == CONTENT


def test_a_file_that_changes_after_its_check_is_checked_again(site, home):
    thing = asset(site, "thing.dat")
    path = fetch(thing)
    assert locate(thing) is not None
    path.write_bytes(CONTENT[:-1] + b"\xff")
    os.utime(path, ns=(1, 1))
    assert locate(thing) is None


def test_a_folder_that_cannot_be_written_is_told(site, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("FACEFLEX_HOME", str(tmp_path / "file" / "cache"))
    with pytest.raises(AssetError, match=r"cannot be written.*FACEFLEX_HOME"):
        fetch(asset(site, "thing.dat"))


def test_offline_never_connects(site, home, monkeypatch):
    monkeypatch.setitem(registry(), "thing", asset(site, "thing.dat"))
    monkeypatch.setenv("FACEFLEX_OFFLINE", "1")
    with pytest.raises(AssetError, match="offline; place it at"):
        resolve("thing")
    assert site.asked == []
    monkeypatch.delenv("FACEFLEX_OFFLINE")
    assert resolve("thing") == home / "thing.dat"


def test_a_carrying_package_is_found_without_importing_it(site, home, tmp_path, monkeypatch):
    package = tmp_path / "carrier_of_things" / "models"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "thing.dat").write_bytes(CONTENT)
    monkeypatch.syspath_prepend(str(tmp_path))
    thing = asset(site, "thing.dat", carrier="carrier_of_things/models/thing.dat")
    assert locate(thing).source == "carrier"
    assert fetch(thing) == package / "thing.dat"
    assert sorted(p.name for p in package.iterdir()) == ["thing.dat"]


def test_a_cached_file_comes_before_the_bundled_one(home):
    vectors = find_asset("vectors")
    assert locate(vectors).source == "package"
    home.mkdir()
    (home / vectors.file).write_bytes(bundled_path(vectors).read_bytes())
    assert resolve("vectors") == home / vectors.file


def test_paths_and_unknown_names(home, tmp_path):
    own = tmp_path / "own.dat"
    own.write_bytes(b"x")
    assert resolve(own) == own
    with pytest.raises(UsageError, match=r"not a registered name.*landmarks68"):
        resolve(tmp_path / "nothing.dat")
    with pytest.raises(UsageError, match="no file is registered as 'x'"):
        find_asset("x")


@pytest.mark.parametrize("name", [n for n, a in registry().items() if a.bundled])
def test_bundled_files_are_the_registered_ones(name):
    path = bundled_path(registry()[name])
    assert path.stat().st_size == registry()[name].size
    assert sha256_of(path) == registry()[name].sha256


PROGRAM = """
import sys
from faceflex.assets.download import fetch
from faceflex.assets.registry import Asset
name, size, sha256, url = sys.argv[1:]
print(fetch(Asset(name, name, int(size), sha256, "", "", urls=(url,))))
"""


def process(site, home, url_name):
    thing = asset(site)
    words = ["thing.dat", str(thing.size), thing.sha256, f"{site.url}/{url_name}"]
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *words],
        env={**os.environ, "FACEFLEX_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_two_processes_at_once_both_get_the_file(site, home):
    both = [process(site, home, "thing.dat.bz2") for _ in range(2)]
    for one in both:
        _, errors = one.communicate(timeout=60)
        assert one.returncode == 0, errors
    assert (home / "thing.dat").read_bytes() == CONTENT
    assert kept(home) == ["thing.dat"]


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT])
def test_a_process_killed_midway_leaves_no_file_and_the_next_one_succeeds(site, home, blow):
    site.slow = {"thing.dat"}
    one = process(site, home, "thing.dat")
    while not site.asked:
        time.sleep(0.02)
    time.sleep(0.3)
    one.send_signal(blow)
    one.communicate(timeout=30)
    assert not (home / "thing.dat").exists()
    assert fetch(asset(site, "thing.dat.bz2")).read_bytes() == CONTENT


def test_an_interrupted_unpacking_leaves_no_file(site, home, monkeypatch):
    real = bz2.BZ2File.read

    def broken(self, size=-1):
        if self.tell() > 100_000:
            raise KeyboardInterrupt
        return real(self, min(size, 65_536))

    monkeypatch.setattr(bz2.BZ2File, "read", broken)
    with pytest.raises(KeyboardInterrupt):
        fetch(asset(site, "thing.dat.bz2"))
    assert kept(home) == []


def test_leavings_of_killed_runs_are_swept_after_a_day(site, home):
    old, new = home / ".partial-old", home / ".partial-new"
    for folder in (old, new):
        folder.mkdir(parents=True)
        (folder / "half").write_bytes(b"x")
    os.utime(old, (1, 1))
    fetch(asset(site, "thing.dat"))
    assert not old.exists()
    assert new.exists()


def test_fetch_as_a_command(run, tmp_path):
    done = run("fetch", "vae")
    assert done.returncode == 0
    assert "whole and right" in done.stderr
    assert run("fetch", "--all", "--check").returncode == 0
    unknown = run("fetch", "nothing")
    assert unknown.returncode == 2
    assert "landmarks68" in unknown.stderr
    assert run("fetch").returncode == 2
    home = tmp_path / "home"
    home.mkdir()
    (home / "mmod_human_face_detector.dat").write_bytes(b"not it")
    wrong = run("fetch", "dlib-cnn", "--check", home=home)
    assert (wrong.returncode == 1) == ("is not the registered file" in wrong.stderr)
    assert "Traceback" not in wrong.stderr


def test_models_and_doctor_as_commands(run):
    rows = [json.loads(line) for line in run("models", "--json").stdout.splitlines()]
    assert [r["name"] for r in rows] == list(registry())
    assert {r["where"] for r in rows[:3]} == {"package"}
    assert all(len(r["sha256"]) == 64 and r["licence"] for r in rows)
    assert "non-commercial" in run("models", "--licence").stdout
    report = json.loads(run("doctor", "--json").stdout)
    assert set(report["extras"]) == {"heic", "c2pa", "evaluate", "cluster"}
    assert report["wrong"] == []
    assert {"torch", "dlib", "cv2"} <= set(report["packages"])
