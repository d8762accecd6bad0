"""From labelled pictures to vectors: reading, encoding on cores and clusters, estimating."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

import faceflex.parallel.cluster
from faceflex.assets import resolve
from faceflex.data import latents as encoding
from faceflex.data.latents import encode_records
from faceflex.data.readers import read_any, read_celeba, read_labels
from faceflex.errors import UsageError
from faceflex.methods.vectors import AttributeVectors
from faceflex.models.checkpoint import load_vae
from faceflex.models.codec import decode_faces
from faceflex.models.model_id import read_id
from faceflex.train.vectors import as_labels, build_vectors


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where latents are kept."""
    return tmp_path_factory.mktemp("latents")


@pytest.fixture(scope="module")
def small_chunks():
    """Chunks of 16 pictures, so that 60 make several."""
    before, encoding.CHUNK = encoding.CHUNK, 16
    yield
    encoding.CHUNK = before


@pytest.fixture(scope="module")
def encoded(celeba, folder, small_chunks):
    """The small face set, encoded by this process."""
    return encode_records(list(read_any(celeba)), "vae", folder, jobs=1)


def first_rows(root, target, count):
    """Copy the first pictures of a face set, without their landmarks."""
    (target / "img_align_celeba").mkdir(parents=True)
    rows = (root / "list_attr_celeba.txt").read_text().splitlines()[: count + 2]
    (target / "list_attr_celeba.txt").write_text("\n".join(rows) + "\n")
    for record in read_celeba(target):
        shutil.copy(root / "img_align_celeba" / record.path.name, record.path)
    return target


def same(one, other):
    """Tell whether two sets of latents are equal, bit for bit."""
    return (
        [r.path.name for r in one.records] == [r.path.name for r in other.records]
        and np.array_equal(one.plain, other.plain)
        and np.array_equal(one.mirror, other.mirror)
        and np.array_equal(one.points, other.points)
    )


def face_model():
    return load_vae(resolve("vae"))[0]


def test_latents_are_those_of_the_aligned_faces(encoded, cache):
    from faceflex.models.codec import encode_faces

    assert [r.path.name for r in encoded.records] == cache.names
    assert np.abs(encoded.points + 4 - cache.points).max() < 0.01
    assert np.allclose(encoded.plain, encode_faces(face_model(), cache.crops(range(60))), atol=0.05)
    assert encoded.plain.shape == (60, 500)
    assert not encoded.left_out


def test_processes_and_a_cluster_give_the_same(celeba, folder, tmp_path, small_chunks, monkeypatch):
    records = list(read_any(celeba))[:32]
    encoded = encode_records(records, "vae", folder, jobs=1)
    assert same(encoded, encode_records(records, "vae", tmp_path / "two", jobs=2))
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, processes=True
        ) as cluster,
    ):
        address = cluster.scheduler_address
        assert same(encoded, encode_records(records, "vae", tmp_path / "three", cluster=address))
    monkeypatch.setattr(faceflex.parallel.cluster, "_TIMEOUT", 0.5)
    with pytest.raises(UsageError, match="no such cluster"):
        encode_records(records, "vae", tmp_path / "four", cluster="tcp://127.0.0.1:9")


def test_chunks_are_used_again_unless_a_picture_changed(celeba, encoded, folder, tmp_path):
    calls = []
    records = list(read_any(celeba))
    again = encode_records(records, "vae", folder, progress=lambda *a: calls.append(a))
    assert calls == []
    assert same(encoded, again)
    copy = tmp_path / "copy"
    shutil.copytree(celeba, copy)
    picture = copy / "img_align_celeba" / "000020.jpg"
    picture.write_bytes(picture.read_bytes() + b"\0")
    target = tmp_path / "cache"
    shutil.copytree(folder, target)
    encode_records(list(read_any(copy)), "vae", target, progress=lambda *a: calls.append(a))
    assert [c[0] for c in calls] == [60]


def test_pictures_that_cannot_be_used_are_listed(celeba, tmp_path, run):
    root = first_rows(celeba, tmp_path / "set", 12)
    Image.new("RGB", (178, 218)).save(root / "img_align_celeba" / "000002.jpg")
    (root / "img_align_celeba" / "000005.jpg").write_bytes(b"\xff\xd8\xff nothing")
    (root / "img_align_celeba" / "000007.jpg").unlink()
    done = run("build-vectors", root, "--out", "v.safetensors", "--jobs", "1", "--versions", "3")
    assert done.returncode == 0, done.stderr
    listed = (tmp_path / "v-left-out.txt").read_text()
    assert "000002.jpg\tno face found" in listed
    assert "000005.jpg\tunreadable" in listed
    assert "000007.jpg\tunreadable" in listed
    assert "listed in v-left-out.txt" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_killed_run_goes_on(celeba, encoded, tmp_path):
    code = (
        "from faceflex.data import latents; latents.CHUNK = 16\n"
        "from pathlib import Path; from faceflex.data.readers import read_any\n"
        f"records = list(read_any(Path({str(celeba)!r})))\n"
        f"latents.encode_records(records, 'vae', Path({str(tmp_path)!r}), jobs=1)"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 60
    while len(list(tmp_path.rglob("*.npz"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = {p.name: p.stat().st_mtime_ns for p in tmp_path.rglob("*.npz")}
    assert before
    calls = []
    size, encoding.CHUNK = encoding.CHUNK, 16
    try:
        done = encode_records(
            list(read_any(celeba)), "vae", tmp_path, jobs=1, progress=lambda *a: calls.append(a)
        )
    finally:
        encoding.CHUNK = size
    assert same(encoded, done)
    assert len(calls) <= 4 - len(before) + 1
    after = {p.name: p.stat().st_mtime_ns for p in tmp_path.rglob("*.npz")}
    assert all(after[name] == stamp for name, stamp in before.items())


def test_vectors_are_built_from_labels(encoded):
    vectors = build_vectors(encoded, "m", versions=5)
    assert vectors.names == ["Male", "Smiling"]
    assert vectors.versions["Smiling"].shape == (5, 500)
    # "Smiling" faces were lit warm here: its vector must turn the picture red, not blue.
    z = encoded.plain[:4]
    model = face_model()
    warm = decode_faces(model, z + vectors.mean("Smiling")).astype(float)
    cold = decode_faces(model, z - vectors.mean("Smiling")).astype(float)
    difference = (warm - cold).mean(axis=(0, 1, 2))
    assert difference[0] > 10
    assert difference[2] < -10
    assert vectors.landmark_readout.shape == (500, 136)
    # With so few faces, landmarks are read as the bundled vectors read them.
    bundled = AttributeVectors.load(resolve("vectors"))
    again = build_vectors(encoded, "m", base=bundled)
    assert np.array_equal(again.landmark_readout, bundled.landmark_readout)
    with pytest.raises(UsageError, match="no labels for Hat; there are: Male, Smiling"):
        build_vectors(encoded, "m", attributes=["Hat"])


def test_celebas_partition_and_five_points_are_used(celeba, tmp_path):
    root = tmp_path / "set"
    shutil.copytree(celeba, root)
    records = list(read_celeba(root))
    names = [r.path.name for r in records]
    rows = [f"{n} {i % 3}" for i, n in enumerate(names)]
    (root / "list_eval_partition.txt").write_text("\n".join(rows) + "\n")
    five = []
    for r in records:
        p = r.points
        points = [p[36:42].mean(axis=0), p[42:48].mean(axis=0), p[30], p[48], p[54]]
        five.append(f"{r.path.name} " + " ".join(f"{v:.0f}" for q in points for v in q))
    head = "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y a b c d"
    (root / "list_landmarks_align_celeba.txt").write_text(
        f"{len(five)}\n{head}\n" + "\n".join(five) + "\n"
    )
    (root / "landmarks68.npz").unlink()
    found = list(read_celeba(root))
    assert [r.held_out for r in found] == [i % 3 != 0 for i in range(60)]
    assert found[0].points is None
    assert found[0].five.shape == (5, 2)
    from faceflex.data.cache import align_record

    _, points = align_record(found[0])
    _, given = align_record(records[0])
    assert np.hypot(*(points - given).T).mean() < 3
    (root / "list_eval_partition.txt").write_text("000001.jpg x\n")
    with pytest.raises(UsageError, match=r"list_eval_partition\.txt: line 1 is not"):
        list(read_celeba(root))


def test_labels_of_ones_own(celeba, run, tmp_path):
    root = first_rows(celeba, tmp_path / "set", 24)
    rows = ["file,Warm,Tall"]
    for i, record in enumerate(read_celeba(root)):
        warm = "yes" if record.labels["Smiling"] > 0 else "0"
        rows.append(f"{record.path.name},{warm},{'' if i % 2 else 1 if i % 4 else 0}")
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(rows))
    photos = root / "img_align_celeba"
    done = run(
        "build-vectors",
        photos,
        "--labels",
        table,
        "--out",
        "mine.safetensors",
        "--extend",
        "--estimator",
        "lda",
        "--jobs",
        "1",
    )
    assert done.returncode == 0, done.stderr
    made = AttributeVectors.load(tmp_path / "mine.safetensors", read_id(resolve("vae")))
    assert {"Warm", "Tall", "Smiling"} <= set(made.names)
    assert made.info["Warm"].positive == 12
    assert made.info["Tall"].positive + made.info["Tall"].negative == 12
    assert made.info["Warm"].estimator == "lda"
    picture = next(photos.iterdir())
    done = run(
        "edit",
        picture,
        "--set",
        "Warm=1",
        "--set",
        "Smiling=1",
        "--vectors",
        "mine.safetensors",
        "--keep",
        "Male",
        "-o",
        "warm.png",
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file\n", "first line must be file,NAME"),
        ("file,A,A\n", "distinct names"),
        ("file,A\n000001.jpg,2\n", "line 2 is not a file and 1 of 1, 0 or nothing"),
        ("file,A\nnone.jpg,1\n", r"line 2: .*none\.jpg: no such file"),
        ("", "first line must be"),
    ],
)
def test_label_tables_are_checked(celeba, tmp_path, text, message):
    table = tmp_path / "l.csv"
    table.write_text(text)
    with pytest.raises(UsageError, match=message):
        list(read_labels(celeba / "img_align_celeba", table))


def test_what_is_known_of_labels_comes_as_signs(encoded):
    labels = as_labels(encoded)
    assert set(labels) == {"Male", "Smiling"}
    assert set(np.unique(labels["Smiling"])) == {-1, 1}


def test_build_vectors_as_a_command(run, celeba, tmp_path):
    done = run("build-vectors", celeba, "--out", "v.safetensors", "--versions", "3")
    assert done.returncode == 0, done.stderr
    vectors = AttributeVectors.load(tmp_path / "v.safetensors", read_id(resolve("vae")))
    assert vectors.versions["Smiling"].shape == (3, 500)
    for arguments, message in (
        (("--out", "v.safetensors"), "exists"),
        (("--out", "w.safetensors", "--estimator", "best"), "use one of balanced"),
        (("--out", "nowhere/w.safetensors"), "no such folder"),
    ):
        again = run("build-vectors", celeba, *arguments)
        assert again.returncode == 2
        assert message in again.stderr
    nothing = run("build-vectors", tmp_path / "nowhere")
    assert nothing.returncode == 2
    assert "not a folder" in nothing.stderr
