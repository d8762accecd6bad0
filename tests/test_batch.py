"""Many photos: processes, threads and clusters, signals, and files that appear whole."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from faceflex import make_editor
from faceflex.edit.batch import edit_photos, processes_for
from faceflex.edit.options import EditOptions, Target, inodes
from faceflex.edit.request import Request
from faceflex.edit.result import PhotoResult
from faceflex.errors import PhotoError
from faceflex.files import atomic_write, remove_stale_temp
from faceflex.methods.attribute_vectors import AttributeVectorMethod
from faceflex.models.codec import Codec
from faceflex.parallel.batching import BatchingQueue
from faceflex.parallel.process_pool import WorkerCrashed, run_in_processes
from faceflex.parallel.threads import run_in_threads
from faceflex.photo import write_file
from tests.killing import STRENGTHS, contents, disturbed

unix = pytest.mark.skipif(sys.platform == "win32", reason="signals and locks of Unix")


def by_path(argument):
    return argument, argument


def troubled_work(shared, task):
    """Yield twice; some tasks kill their process, as a decoder that crashes would."""
    yield shared + task
    if task == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    yield os.getpid()


def own_number(shared, task):
    yield os.getpid()


@pytest.fixture
def photos(tmp_path, small_portrait):
    """Three photos in a folder: two good ones, and a broken one in between."""
    root = tmp_path / "photos"
    root.mkdir()
    Image.fromarray(small_portrait).save(root / "a.png")
    (root / "b.png").write_bytes((root / "a.png").read_bytes()[:5000])
    Image.fromarray(small_portrait[:, ::-1]).save(root / "c.jpg", quality=92)
    return root


def edited(editor, photos, out, request, **how):
    tasks = [(str(p), Target(out / p.stem)) for p in sorted(photos.iterdir())]
    return [
        result for _, result in edit_photos(EditOptions(request), editor, tasks, by_path, **how)
    ]


@unix
def test_a_process_that_dies_takes_only_its_own_task_along():
    results = list(run_in_processes(troubled_work, 10, range(5), 2))
    assert sorted(value for _, value in results if value in range(10, 15)) == [10, 11, 12, 13, 14]
    assert [(n, v.reason) for n, v in results if isinstance(v, WorkerCrashed)] == [(2, "SIGKILL")]
    ended = {n for n, v in results if isinstance(v, int) and v > 100}
    assert ended == {0, 1, 3, 4}
    assert os.getpid() not in {v for _, v in results}


@unix
def test_a_process_that_dies_between_two_tasks_loses_none():
    found = []
    for number, value in run_in_processes(own_number, None, range(4), 1):
        found.append(value)
        if number == 1:
            time.sleep(0.3)  # It has said that it is done, and waits for the next task.
            os.kill(value, signal.SIGKILL)
            time.sleep(0.3)
    first, second, third, fourth = found
    assert first == second != third == fourth


def test_results_are_the_same_however_the_work_is_spread(editor, photos, tmp_path):
    request = Request(("Smiling",), (1.0,), samples=2)
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        spread = {
            "alone": {"jobs": 1},
            "threads": {"jobs": None},
            "processes": {"jobs": 2},
            "cluster": {"cluster": cluster.scheduler_address},
        }
        found = {k: edited(editor, photos, tmp_path / k, request, **h) for k, h in spread.items()}
    for results in found.values():
        outcomes = {Path(r.photo).name: r for r in results if isinstance(r, PhotoResult)}
        assert {k: (r.outcome, r.made) for k, r in outcomes.items()} == {
            "a.png": ("done", 2),
            "b.png": ("failed", 0),
            "c.jpg": ("done", 2),
        }
        assert "b.png: damaged or not supported" in outcomes["b.png"].error
    first, *others = (contents(tmp_path / name) for name in spread)
    assert len(first) == 6
    assert all(other == first for other in others)


def test_an_accelerator_works_for_several_photos_together(editor, photos, tmp_path, monkeypatch):
    shared = make_editor(device="cpu")
    shared.method.codec = Codec(shared.method.model, together=True)
    monkeypatch.setattr(AttributeVectorMethod, "accelerated", True)
    request = Request((), (), 1, {"Smiling": 1.5})
    results = edited(shared, photos, tmp_path / "together", request, jobs=3)
    outcomes = [r.outcome for r in results if isinstance(r, PhotoResult)]
    assert sorted(outcomes) == ["done", "done", "failed"]
    monkeypatch.setattr(AttributeVectorMethod, "accelerated", False)
    edited(editor, photos, tmp_path / "alone", request, jobs=1)
    for name in ("a/a-edited.png", "c/c-edited.jpg"):
        both = [np.asarray(Image.open(tmp_path / k / name), int) for k in ("together", "alone")]
        assert np.abs(both[0] - both[1]).max() <= 4


@given(st.lists(st.integers(1, 5), min_size=1, max_size=20), st.integers(1, 8))
def test_calls_made_together_get_their_own_answers(sizes, most):
    seen = []
    together = BatchingQueue(lambda rows: seen.append(len(rows)) or 2 * rows, most)
    with ThreadPoolExecutor(8) as pool:
        asked = [np.full(size, number) for number, size in enumerate(sizes)]
        for rows, answer in zip(asked, pool.map(together, asked), strict=True):
            assert answer.tolist() == (2 * rows).tolist()
    assert sum(seen) == sum(sizes)
    assert max(seen) <= max(most, *sizes)


def test_a_failure_of_calls_made_together_reaches_each_caller():
    def fail(rows):
        raise ValueError("no")

    together = BatchingQueue(fail)
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            together(np.zeros(1))


@unix
def test_a_run_that_was_killed_goes_on_and_ends_the_same(editor, photos, tmp_path):
    (photos / "b.png").unlink()
    edited(editor, photos, tmp_path / "whole", Request(("Smiling",), tuple(STRENGTHS)), jobs=1)
    assert disturbed(photos, tmp_path / "killed", 2, [(signal.SIGKILL, 0.15)]) == 1
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


@unix
def test_stopping_says_so_and_is_the_signals_exit_code(tmp_path):
    # Standard input never ends, so that the command is surely still there.
    import subprocess

    words = [sys.executable, "-m", "faceflex", "edit", "-", "--set", "Smiling=1"]
    run = subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path)
    time.sleep(2.0)
    run.send_signal(signal.SIGTERM)
    _, told = run.communicate(timeout=30)
    assert run.returncode == 128 + signal.SIGTERM
    assert told.decode().splitlines() == [
        "faceflex: error: stopped; every file written is whole (edit goes on with --skip-existing)"
    ]


@unix
def test_what_a_killed_process_left_is_removed_but_not_what_is_being_written(tmp_path):
    left = tmp_path / ".faceflex-0123abcd-99.png"
    left.write_bytes(b"half")
    other = tmp_path / ".faceflex"
    other.write_bytes(b"somebody's")
    with atomic_write(tmp_path / "new.png") as temporary:
        remove_stale_temp(tmp_path)
        assert temporary.exists()
        temporary.write_bytes(b"whole")
    assert sorted(p.name for p in tmp_path.iterdir()) == [".faceflex", "new.png"]
    remove_stale_temp(tmp_path / "missing")


@unix
def test_a_disk_without_room_is_told_and_leaves_nothing(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(PhotoError, match=r"new\.jpg: cannot be written \(File too large\)"):
            write_file(tmp_path / "new.jpg", b"x" * 2000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


NO_ENTRY = """
import sys
from faceflex.errors import PhotoError
from faceflex.photo import load_photo, write_file
from pathlib import Path
for act in (lambda: load_photo(sys.argv[1]), lambda: write_file(Path(sys.argv[2]), b"x")):
    try:
        act()
    except PhotoError as error:
        print(error)
"""


@unix
def test_what_may_not_be_read_or_written_is_told(png, tmp_path):
    import subprocess

    command = [sys.executable, "-c", NO_ENTRY, png, tmp_path / "closed" / "new.png"]
    if os.geteuid() == 0:  # Who may do anything, unless told otherwise.
        if not shutil.which("setpriv"):
            pytest.skip("root, without setpriv")
        rights = "-dac_override,-dac_read_search"
        command = ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}", *command]
    (tmp_path / "closed").mkdir(mode=0o555)
    png.chmod(0)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        f"{png}: cannot be read (Permission denied)",
        f"{tmp_path}/closed/new.png: cannot be written (Permission denied)",
    ]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_standard_output_without_room_is_told(png, tmp_path):
    import subprocess

    for words in (["edit", png, "--set", "Smiling=1", "-o", "-"], ["models", "--json"]):
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run(
                [sys.executable, "-m", "faceflex", *words],
                stdout=full,
                stderr=subprocess.PIPE,
                cwd=tmp_path,
                check=False,
            )
        errors = [e for e in done.stderr.decode().splitlines() if "No space left" in e]
        assert done.returncode == 1
        assert len(errors) == 1, done.stderr
        assert errors[0].startswith("faceflex: error: standard output: cannot be written")
        assert b"Traceback" not in done.stderr


def test_no_photo_of_a_run_is_ever_written_to(editor, tmp_path, small_portrait):
    photo, other = tmp_path / "a.png", tmp_path / "a-edited.png"
    Image.fromarray(small_portrait).save(photo)
    Image.fromarray(small_portrait[::-1]).save(other)
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "a-edited.png"
    link.symlink_to(other)
    before = contents(tmp_path)
    names = (str(photo), str(other))
    job = EditOptions(Request((), (), 1, {"Smiling": 1.0}), overwrite=True, protected=inodes(names))
    for folder in (tmp_path, tmp_path / "links"):
        ((_, outcome),) = edit_photos(job, editor, [(str(photo), Target(folder))], by_path, jobs=1)
        assert outcome.outcome == "failed"
        assert "is a photo to be edited" in outcome.error
    assert contents(tmp_path) == before
    assert link.is_symlink()


def test_an_error_nobody_thought_of_does_not_stop_the_others(editor, photos, tmp_path, monkeypatch):
    import faceflex.edit.photo_job

    real = faceflex.edit.photo_job.load_photo

    def load(source, name):
        if name.endswith("b.png"):
            raise ZeroDivisionError("what now?\nmore")
        return real(source, name)

    monkeypatch.setattr(faceflex.edit.photo_job, "load_photo", load)
    monkeypatch.delenv("FACEFLEX_DEBUG", raising=False)
    request = Request((), (), 1, {"Smiling": 1.0})
    results = edited(editor, photos, tmp_path / "out", request, jobs=1)
    kinds = [r.outcome for r in results if isinstance(r, PhotoResult)]
    assert kinds == ["done", "failed", "done"]
    (told,) = [r.error for r in results if isinstance(r, PhotoResult) and r.error]
    assert told.endswith(
        "b.png: unexpected ZeroDivisionError: what now? (FACEFLEX_DEBUG=1 shows where)"
    )


@given(st.lists(st.integers(0, 3), max_size=12), st.integers(1, 4))
def test_threads_keep_the_order_and_their_number(waits, threads):
    running, most, guard = [0], [0], threading.Lock()

    def task(number, wait):
        with guard:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(wait / 5000)
        with guard:
            running[0] -= 1
        return number

    tasks = (lambda n=n, w=w: task(n, w) for n, w in enumerate(waits))
    assert list(run_in_threads(tasks, threads)) == list(range(len(waits)))
    assert most[0] <= threads


def test_few_photos_are_not_worth_processes():
    assert processes_for(1, None) == 1
    assert processes_for(1, 8) == 1
    assert processes_for(5, 8) == 5
    assert processes_for(100_000, 3) == 3
    assert processes_for(100_000, None) >= 1
