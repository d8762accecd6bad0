"""How much quicker a photo that is open is rendered again, and what composing an output costs.

    python benchmarks/render_again.py [--width 600] [--rounds 7] [--profile]

The bundled portrait is scaled so that its face is WIDTH pixels wide; one process, one thread. In
each round the photo is opened and rendered (the first output), and then rendered at another
strength (the next output). Prints one JSON line: the median seconds of both, their ratio, and those
of composing an output, new content and seamless clone included. With ``--profile`` a table follows:
what each part of composing takes, in milliseconds and as a share.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import cv2
import torch

import faceflex
from faceflex.compose import composer, learned_content, transfer, warp
from faceflex.faces.region import Region
from faceflex.methods.content import LazyContentNetwork
from faceflex.photo import load_rgb

PORTRAIT = Path(__file__).parents[1] / "examples" / "portrait.jpg"
PARTS = (
    (composer, "estimate_warp"),
    (warp, "thin_plate_spline"),
    (warp, "_rest_weight"),
    (composer, "transfer"),
    (transfer, "_resample"),
    (transfer, "warp_residual"),
    (transfer, "smooth"),
    (transfer, "_to_region"),
    (Region, "coordinates"),
    (learned_content.LearnedContent, "render"),
    (LazyContentNetwork, "__call__"),
    (learned_content, "region_to_window"),
    (learned_content, "window_to_region"),
    (learned_content, "_with_existing_teeth"),
    (learned_content, "_render_hole"),
    (learned_content, "network_base"),
    (composer, "seamless_clone"),
)


def timed(function: Callable[..., Any], seconds: list[float]) -> Callable[..., Any]:
    """Return a function that notes how long each call takes."""

    @wraps(function)
    def wrapper(*arguments: Any, **options: Any) -> Any:
        started = time.perf_counter()
        result = function(*arguments, **options)
        seconds.append(time.perf_counter() - started)
        return result

    return wrapper


def profile(opened: faceflex.OpenPhoto, steps: Any, rounds: int) -> list[str]:
    """Return a table of what composing an output takes; parts lie within one another."""
    seconds: dict[str, list[float]] = defaultdict(list)
    originals = [(owner, name, getattr(owner, name)) for owner, name in PARTS]
    for owner, name, function in originals:
        key = f"{owner.__name__.rpartition('.')[2]}.{name}"
        setattr(owner, name, timed(function, seconds[key]))
    compose = timed(opened.compose, seconds["OpenPhoto.compose"])
    for _ in range(rounds):
        compose(steps)
    for owner, name, function in originals:
        setattr(owner, name, function)
    total = sum(seconds["OpenPhoto.compose"])
    lines = ["| part | calls an output | ms an output | share |", "| --- | --- | --- | --- |"]
    for name, each in sorted(seconds.items(), key=lambda item: -sum(item[1])):
        own = 1000 * sum(each) / rounds
        share = f"{sum(each) / total:.0%}"
        lines.append(f"| {name} | {len(each) / rounds:g} | {own:.1f} | {share} |")
    return lines


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=600, help="pixels of the face")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    portrait = load_rgb(PORTRAIT)
    editor = faceflex.make_editor(device="cpu")
    scale = options.width / editor.finder.find(portrait)[0].width
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    rgb = cv2.resize(portrait, None, fx=scale, fy=scale, interpolation=method)
    editor.method.load()
    seconds: dict[str, list[float]] = defaultdict(list)
    for round_number in range(options.rounds + 1):
        marks = [time.perf_counter()]
        opened = editor.open(rgb)
        marks.append(time.perf_counter())
        list(opened.render([opened.shot(Smiling=1.5)]))
        marks.append(time.perf_counter())
        list(opened.render([opened.shot(Smiling=0.8)]))
        marks.append(time.perf_counter())
        (steps,) = opened.changes([opened.shot(Smiling=1.2)])
        decoded = time.perf_counter()
        opened.compose(steps)
        if round_number:  # The first one warms up.
            seconds["open"].append(marks[1] - marks[0])
            seconds["first"].append(marks[2] - marks[0])
            seconds["next"].append(marks[3] - marks[2])
            seconds["compose"].append(time.perf_counter() - decoded)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    report = {
        "face": opened.faces[0].face.width,
        "photo": f"{rgb.shape[1]}x{rgb.shape[0]}",
        "open_seconds": round(medians["open"], 4),
        "open_and_first_output_seconds": round(medians["first"], 4),
        "next_output_seconds": round(medians["next"], 4),
        "next_over_first": round(medians["next"] / medians["first"], 3),
        "compose_seconds": round(medians["compose"], 4),
    }
    sys.stdout.write(json.dumps(report) + "\n")
    if options.profile:
        sys.stdout.write("\n".join(profile(opened, steps, options.rounds)) + "\n")


if __name__ == "__main__":
    main()
