"""Measure whether warnings about faces predict bad edits.

    python benchmarks/face_warnings.py benchmarks/face_warnings.csv UTKFace/ celeba/ affectnet/ ...

The table lists held-out pictures and what an eye said of the edit of each: *good*, *poor* (not as
asked, or visibly wrong when looked for) or *bad* (plainly wrong at first sight). Most are edited as
they are; of others a copy is made that is scaled, blurred, dark, noisy, turned, covered, cut or
compressed. The command makes the copies and edits again, and prints for each warning how many edits
fail with it and without, on the half of the faces on which thresholds were chosen and on the other
one. ``--sheets DIR`` writes the edits as contact sheets, to be judged anew.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

from faceflex.api import make_editor
from faceflex.evaluate.edits import Instruments, evaluate_photo, passed
from faceflex.faces import Face
from faceflex.faces.align import align, transform_points, warp
from faceflex.faces.find import FaceFinder
from faceflex.faces.lips import find_lips
from faceflex.faces.warnings import (
    CUT_OFF,
    DARK,
    LIPS_UNSEEN,
    UNLIKE_A_FACE,
    UNSURE_MOUTH,
    WIDE_OPEN,
    disturbed_starts,
    face_brightness,
    face_warnings,
    lip_line_shift,
    mouth_disagreement,
)
from faceflex.photo import load_rgb

Picture = NDArray[np.uint8]
Row = dict[str, Any]

IDENTITY = 0.36
"""Distance of descriptors beyond which an edit fails objectively: 99 % of real smiles' are less."""


def share(text: str) -> float:
    """Return a number in [0, 1) that depends on nothing but ``text``."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48


def scaled(rgb: Picture, face: Face, key: str) -> Picture:
    """Return a copy whose face is 25 to 600 pixels wide, enlarged three times at most."""
    wanted = 25 * (600 / 25) ** share("u" + key)
    factor = min(wanted / face.width, 3.0)
    size = tuple(max(24, round(side * factor)) for side in rgb.shape[1::-1])
    return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)


def blurred(rgb: Picture, face: Face, key: str) -> Picture:
    """Return a copy out of focus, or moved."""
    u, v = share("u" + key), share("v" + key)
    if v <= 0.6:
        return cv2.GaussianBlur(rgb, (0, 0), face.width * (0.008 + 0.05 * u))
    length = int(max(3, face.width * (0.05 + 0.15 * u)))
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1 / length
    turn = cv2.getRotationMatrix2D((length / 2 - 0.5, length / 2 - 0.5), v * 180, 1)
    kernel = cv2.warpAffine(kernel, turn, (length, length))
    return cv2.filter2D(rgb, -1, kernel / kernel.sum())


def dark(rgb: Picture, face: Face, key: str) -> Picture:
    """Return a copy with 5 to 40 % of the light."""
    u, v = share("u" + key), share("v" + key)
    less = (rgb / 255.0) ** (1 + v) * (0.05 + 0.35 * u) * 255
    return to_bytes(less + np.random.default_rng(1).normal(0, 2, rgb.shape))


def noisy(rgb: Picture, face: Face, key: str) -> Picture:
    """Return a copy with noise of 8 to 58 levels."""
    spread = 8 + 50 * share("u" + key)
    return to_bytes(rgb + np.random.default_rng(1).normal(0, spread, rgb.shape))


def compressed(rgb: Picture, face: Face, key: str) -> Picture:
    """Return a copy after JPEG of quality 3 to 28."""
    quality = int(3 + 25 * share("u" + key))
    _, data_ = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(cv2.imdecode(data_, 1)[..., ::-1])


def turned(rgb: Picture, face: Face, key: str) -> Picture:
    """Return a copy turned in its plane by up to 70 degrees."""
    height, width = rgb.shape[:2]
    degrees = (share("u" + key) - 0.5) * 140
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 0.9)
    return cv2.warpAffine(rgb, matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101)


def cut(rgb: Picture, face: Face, key: str) -> Picture:
    """Return a part of the picture whose edge runs through the face."""
    low, high = face.points.min(axis=0), face.points.max(axis=0)
    side, lost = int(share("v" + key) * 4), 0.05 + 0.3 * share("u" + key)
    left, top, right, bottom = 0, 0, rgb.shape[1], rgb.shape[0]
    if side == 0:
        left = int(low[0] + lost * (high - low)[0])
    elif side == 1:
        right = int(high[0] - lost * (high - low)[0])
    elif side == 2:
        bottom = int(high[1] - lost * (high - low)[1])
    else:
        top = int(low[1] + lost * (high - low)[1] - 0.1 * face.width)
    return np.ascontiguousarray(rgb[max(0, top) : bottom, max(0, left) : right])


def covered(rgb: Picture, face: Face, key: str) -> Picture:
    """Return a copy with a mask, or something else, over the mouth."""
    u, kind = share("u" + key), int(share("v" + key) * 4)
    points, width, size = face.points, face.width, rgb.shape[1::-1]
    where = np.zeros(rgb.shape[:2], np.float32)
    if kind == 0:
        outline = np.concatenate([points[2:15], [points[29]]])
        cv2.fillPoly(where, [np.round(outline).astype(np.int32)], 1)
        colours = ((150, 190, 215), (235, 235, 235), (30, 30, 35), (90, 120, 160))
        gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
        shade = cv2.GaussianBlur(gray, (0, 0), width / 12)
        shade = shade / max(float(shade[where > 0].mean()), 1.0)
        cover = np.float32(colours[int(u * 4)]) * np.clip(shade, 0.6, 1.3)[..., None]
    else:
        x, y = points[48:68].mean(axis=0) + np.array([(u - 0.5) * width * 0.2, width * 0.06 * u])
        axes = int(width * (0.14 + 0.12 * u)), int(width * (0.10 + 0.2 * share("z" + key)))
        cv2.ellipse(where, (int(x), int(y)), axes, (u * 360) % 180, 0, 360, 1, -1)
        if kind == 1:  # Skin: the picture itself, turned.
            nose = (float(points[30][0]), float(points[30][1]))
            turn = cv2.getRotationMatrix2D(nose, 90, 1)
            cover = cv2.warpAffine(rgb, turn, size, borderMode=cv2.BORDER_REFLECT_101)
        elif kind == 2:
            noise = np.random.default_rng(2).normal(0, 6, rgb.shape)
            cover = np.full(rgb.shape, [25, 25, 28], np.float32) + noise
        else:
            gray_ones = (np.stack([one] * 3, -1) for one in (data.brick(), data.coins()))
            textures = [data.coffee(), data.rocket(), data.chelsea(), *gray_ones]
            cover = cv2.resize(textures[int(u * 5)], size)
    soft = cv2.GaussianBlur(where, (0, 0), max(0.6, width / 100))[..., None]
    return to_bytes(rgb * (1 - soft) + np.asarray(cover, np.float32) * soft)


def to_bytes(picture: NDArray[np.floating]) -> Picture:
    """Return (H, W, 3) uint8."""
    return np.clip(picture, 0, 255).astype(np.uint8)


COPIES: dict[str, Callable[[Picture, Face, str], Picture]] = {
    "scale": scaled,
    "blur": blurred,
    "dark": dark,
    "noise": noisy,
    "jpeg": compressed,
    "tilt": turned,
    "edge": cut,
    "cover": covered,
}


def read_verdicts(path: Path) -> list[Row]:
    """Read the table: set, picture, copy, strength, verdict, weight."""
    with path.open(newline="", encoding="utf-8") as file:
        return [
            {**row, "strength": float(row["strength"]), "weight": float(row["weight"])}
            for row in csv.DictReader(file)
        ]


def key_of(row: Row) -> str:
    """Return what a picture's copy and its half depend on."""
    folder, _, name = row["picture"].rpartition("/")
    return folder[:1] + name


def picture_of(row: Row, files: dict[str, Path], finder: FaceFinder) -> Picture | None:
    """Return the picture of a row, or None when it is not there or shows no face."""
    path = files.get(row["picture"])
    if path is None:
        return None
    rgb = load_rgb(path)
    if row["copy"] == "plain":
        return rgb
    faces = finder.find(rgb)
    if not faces:
        return None
    return COPIES[row["copy"]](rgb, max(faces, key=lambda f: f.width), key_of(row))


def signs_of(rgb: Picture, face: Face, finder: FaceFinder) -> Row:
    """Return the figures behind the warnings, and others that were tried."""
    aligned = align(rgb, face.points)
    points = transform_points(aligned.matrix, face.points)
    again = [
        transform_points(aligned.matrix, finder.landmarks.refine(rgb, start))
        for start in disturbed_starts(face.points)
    ]
    lips = find_lips(rgb, face.points)
    left, right = (float(np.hypot(*(points[30] - points[k]))) for k in (2, 14))
    return {
        "width": face.width,
        "turn": abs(float(np.log(max(left, 1e-3) / max(right, 1e-3)))),
        "brightness": face_brightness(aligned.crop, points),
        "mouth": mouth_disagreement(points, again),
        "line": lip_line_shift(points, lips),
        "gap": float((lips.lower - lips.upper).max()),
        "outside": 1 - float(aligned.valid.mean()),
        "detector": face.score,
        "warnings": face_warnings(aligned.crop, aligned.valid, points, lips, again, face.score),
    }


WARNINGS: dict[str, Callable[[Row], bool]] = {
    "very dark": lambda r: r["brightness"] < DARK,
    "mouth not made out": lambda r: r["mouth"] > UNSURE_MOUTH and r["line"] < LIPS_UNSEEN,
    "mouth wide open": lambda r: r["gap"] > WIDE_OPEN,
    "unlike a face": lambda r: r["detector"] < UNLIKE_A_FACE,
    "cut off": lambda r: r["outside"] > CUT_OFF,
    "any of these": lambda r: bool(r["warnings"]),
    "(under 60 pixels wide)": lambda r: r["width"] < 60,
    "(turned by 35 degrees)": lambda r: r["turn"] > 1.5,
}

FAILURES: dict[str, Callable[[Row], bool]] = {
    "bad": lambda r: r["verdict"] == "bad",
    "poor or bad": lambda r: r["verdict"] != "good",
    "objective": lambda r: r["failed"],
}


def lift(rows: list[Row], warned: Callable[[Row], bool], failed: Callable[[Row], bool]) -> Row:
    """Return how often edits fail with and without a warning, and the ratio with its interval.

    The interval is that of the logarithm of a ratio of two shares (Katz et al. 1978), half a face
    added to each count; weights go in by the effective number of faces (Kish).
    """

    def count(some: list[Row]) -> tuple[float, float]:
        weights = np.array([r["weight"] for r in some])
        if not weights.size:
            return 0.5, 1.0
        effective = weights.sum() ** 2 / np.square(weights).sum()
        return float((weights * [failed(r) for r in some]).sum() / weights.sum()), float(effective)

    with_, without = ([r for r in rows if warned(r) == on] for on in (True, False))
    (a, n), (b, m) = count(with_), count(without)
    p, q = (a * n + 0.5) / (n + 0.5), (b * m + 0.5) / (m + 0.5)
    error = np.sqrt(1 / (a * n + 0.5) - 1 / (n + 0.5) + 1 / (b * m + 0.5) - 1 / (m + 0.5))
    ratio = np.log(p / q) + np.array([0, -1.96, 1.96]) * error
    all_weights = sum(r["weight"] for r in rows)
    return {
        "faces": len(with_),
        "share": round(sum(r["weight"] for r in with_) / max(all_weights, 1e-9), 3),
        "with": round(a, 3),
        "without": round(b, 3),
        "lift": np.exp(ratio).round(1).tolist(),
    }


def measured(rows: list[Row], files: dict[str, Path], sheets: Path | None) -> Iterator[Row]:
    """Edit every row's picture and measure it."""
    editor, instruments = make_editor(min_score=-1.0), Instruments()
    cells: list[Picture] = []
    for number, row in enumerate(rows):
        rgb = picture_of(row, files, editor.finder)
        faces = editor.finder.find(rgb) if rgb is not None else []
        if rgb is None or not faces:
            continue
        face = max(faces, key=lambda f: f.width)
        strengths = [row["strength"]]
        ((figures, edited),) = evaluate_photo(
            editor, instruments, row["picture"], rgb, "Smiling", strengths, faces=[face]
        )
        failed = not passed(figures) or figures["identity_distance"] > IDENTITY
        if sheets is not None:
            matrix = align(rgb, face.points, 2).matrix
            pair = np.hstack([warp(p, matrix, 132)[0] for p in (rgb, edited)])
            cell = cv2.copyMakeBorder(pair, 14, 0, 0, 0, cv2.BORDER_CONSTANT)
            place, white = (2, 11), (255, 255, 255)
            cells.append(cv2.putText(cell, f"{number} {row['strength']:+g}", place, 0, 0.4, white))
        yield row | figures | signs_of(rgb, face, editor.finder) | {"failed": failed}
    for first in range(0, len(cells), 30):
        some = cells[first : first + 30]
        some += [np.zeros_like(some[0])] * (-len(some) % 5)
        lines = [np.hstack(some[k : k + 5]) for k in range(0, len(some), 5)]
        assert sheets is not None
        cv2.imwrite(str(sheets / f"{first:04}.png"), np.vstack(lines)[..., ::-1])


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("verdicts", type=Path)
    parser.add_argument("sets", nargs="+", type=Path, help="folders of the face sets")
    parser.add_argument("--sheets", type=Path, help="folder for contact sheets")
    parser.add_argument("--out", type=Path, help="CSV of all rows")
    parser.add_argument("--limit", type=int, help="only so many rows")
    options = parser.parse_args()
    files = {path.name: path for root in options.sets for path in root.rglob("*.*")}
    files |= {f"{p.parent.name}/{p.name}": p for p in files.values()}
    if options.sheets is not None:
        options.sheets.mkdir(parents=True, exist_ok=True)
    rows = list(measured(read_verdicts(options.verdicts)[: options.limit], files, options.sheets))
    first = [share("half" + r["set"] + key_of(r)) < 0.5 for r in rows]
    halves = {
        name: [r for r, own in zip(rows, first, strict=True) if own == wanted]
        for name, wanted in (("chosen on", True), ("measured on", False))
    }
    for half, some in halves.items():
        for failure, failed in FAILURES.items():
            for name, warned in WARNINGS.items():
                line = {"half": half, "failure": failure, "warning": name}
                sys.stdout.write(json.dumps(line | lift(some, warned, failed)) + "\n")
    natural = [r for r in rows if r["copy"] == "plain"]
    for name, warned in WARNINGS.items():
        weight = sum(r["weight"] * warned(r) for r in natural)
        total = sum(r["weight"] for r in natural)
        about = {"warning": name, "share of pictures as they are": round(weight / total, 3)}
        sys.stdout.write(json.dumps(about) + "\n")
    if options.out:
        with options.out.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
