"""A folder of photos in one run: how fast against its stages, and how much memory over time.

    python benchmarks/folder.py PHOTOS [--count 2000] [--jobs N] [--sample 40] [--plot memory.png]

PHOTOS is a folder; its photos are linked, again and again, to make up COUNT. First a sample goes
through the stages one by one, on one core: read (decode), find (faces and landmarks), edit (encode,
decode, compose) and write (encode, write, flush). Then ``faceflex edit`` makes one smile of each
photo. Prints JSON: what the run takes for each photo, over the slowest stage alone and over all
stages spread evenly over the cores; the memory of all its processes together (proportional set
size) in the run's second to last tenth, and how it grows there.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import psutil
from PIL import Image, ImageDraw, ImageFont

from faceflex import make_editor
from faceflex.parallel.process_pool import use_one_thread
from faceflex.photo import encode_photo, load_photo, write_file

EDIT = {"Smiling": 1.5}


def stages(photos: list[Path], place: Path) -> dict[str, float]:
    """Return the seconds that each stage takes for a photo, on one core."""
    use_one_thread()
    editor, seconds = make_editor(device="cpu"), defaultdict[str, list[float]](list)
    for number, path in enumerate(photos):
        marks = [time.perf_counter()]

        def lap(marks: list[float] = marks) -> None:
            marks.append(time.perf_counter())

        photo = load_photo(path)
        rgb = photo.rgb
        lap()
        faces = editor.finder.find(rgb)
        lap()
        opened = editor.open(rgb, faces=faces)
        (picture,) = opened.render([opened.shot(**EDIT)])
        lap()
        write_file(place / f"{number}.jpg", encode_photo(photo, picture))
        lap()
        if number:  # The first one loads the models.
            for name, took in zip(("read", "find", "edit", "write"), np.diff(marks), strict=True):
                seconds[name].append(float(took))
    return {name: statistics.mean(values) for name, values in seconds.items()}


def memory_of(process: psutil.Process) -> float:
    """Return the MiB of a process and those below it, what they share counted once."""
    total = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            total += one.memory_full_info().pss
        except (psutil.Error, AttributeError):
            continue
    return total / 2**20


def plot(samples: np.ndarray) -> Image.Image:
    """Draw memory over time from (N, 2) seconds and MiB; both axes start at 0."""
    width, height, left, low = 720, 260, 60, 30
    sheet = Image.new("RGB", (width, height), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    top = 200 * (int(samples[:, 1].max()) // 200 + 1)
    end = float(samples[-1, 0])

    def place(seconds: float, mib: float) -> tuple[float, float]:
        x = left + (width - left - 20) * seconds / end
        return x, height - low - (height - low - 20) * mib / top

    for mib in range(0, top + 1, 200):
        draw.line([place(0, mib), place(end, mib)], fill="#dddddd")
        draw.text((place(0, mib)[0] - 8, place(0, mib)[1]), f"{mib} MiB", "gray", font, anchor="rm")
    draw.text(place(end, 0), f"{end:.0f} s", "gray", font, anchor="ra")
    draw.line([place(*row) for row in samples.tolist()], fill="#1f5fa8", width=2)
    return sheet


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure a run over a folder.")
    parser.add_argument("photos", type=Path)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--sample", type=int, default=40)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    own = sorted(p.resolve() for p in options.photos.iterdir() if p.suffix.lower() == ".jpg")
    with tempfile.TemporaryDirectory() as place:
        root, out = Path(place) / "photos", Path(place) / "out"
        root.mkdir()
        for number in range(options.count):
            (root / f"{number:05d}.jpg").symlink_to(own[number % len(own)])
        alone = stages(sorted(root.iterdir())[: options.sample + 1], Path(place) / "alone")
        words = ["edit", str(root), "--set", "Smiling=1.5", "--out", str(out)]
        words += ["--jobs", str(options.jobs)]
        started, samples = time.perf_counter(), list[tuple[float, float]]()
        run = subprocess.Popen(
            [sys.executable, "-m", "faceflex", *words], stderr=subprocess.PIPE, text=True
        )
        over = threading.Event()

        def watch() -> None:
            while not over.wait(1.0):
                took = time.perf_counter() - started
                samples.append((took, memory_of(psutil.Process(run.pid))))

        watcher = threading.Thread(target=watch)
        watcher.start()
        _, told = run.communicate()
        took = time.perf_counter() - started
        over.set()
        watcher.join()
        written = len(list(out.iterdir()))
    each = took / options.count
    steady = np.array([s for s in samples if 0.1 * took < s[0] < 0.95 * took])
    slope = float(np.polyfit(steady[:, 0], steady[:, 1], 1)[0] * took)
    if options.plot:
        plot(np.array(samples)).save(options.plot)
    report = {
        "photos": options.count,
        "written": written,
        "jobs": options.jobs,
        "seconds": round(took, 1),
        "seconds_each": round(each, 4),
        "stages": {name: round(value, 4) for name, value in alone.items()},
        "over_slowest_stage": round(each / max(alone.values()), 2),
        "over_all_spread": round(each / (sum(alone.values()) / options.jobs), 2),
        "memory_mib": {
            "median": round(float(np.median(steady[:, 1]))),
            "most": round(float(steady[:, 1].max())),
            "trend_over_the_run": round(slope),
        },
        "last_words": told.strip().splitlines()[-2:],
    }
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
