"""Faces of known age in the frame of the mean face: what statistics of years are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.compose.face_frame import to_face
from faceflex.compose.years_bands import (
    COLORS,
    ENERGIES,
    FOLDS,
    SIDE,
    band_energy,
    detail_bands,
    detail_flow,
    log_luma,
)
from faceflex.data.readers import read_utkface
from faceflex.errors import FaceflexError, UsageError
from faceflex.faces.align import (
    SIZE,
    estimate_similarity,
    invert,
    template,
    transform_points,
    warp,
)
from faceflex.faces.landmark_groups import LEFT_EYE, RIGHT_EYE
from faceflex.photo import load_rgb

OLD = 60
"""From this age on, wrinkles run as they do in the old."""

LEAST = 200
"""Fewer faces than this are not read."""

_TURNED = 0.22  # Of the face's width: nearer to one side of the jaw, the nose is turned away.
_ODD = 5.0  # Pixels of the crop by which landmarks may be off the template, root mean square.
_JUDGED = ("Eyeglasses", "No_Beard", "Smiling", "Mouth_Slightly_Open", "Wearing_Lipstick")

Floats = NDArray[np.float32]
Judge = Callable[[NDArray[np.uint8]], Floats]
"""Crops (N, 128, 128, 3) -> probabilities (N, 40) of CelebA's attributes."""


@dataclass(frozen=True)
class YearsFaces:
    """Faces of known age; each array has a row a face.

    Attributes
    ----------
    age, female
        (N,) years; 1 for women, 0 for men.
    others
        (N, K) what else faces differ by: ancestry, expression, beard, the picture's sharpness.
    shape
        (N, 68, 2) landmarks in pixels of the crop.
    color
        (N, 64, 64, 3) float16: log color, less its mean.
    energy
        (N, 32, 32, bands) float16: log energy of the luma's detail.
    fold
        (N, 128, 128) float16: the detail of all bands but the finest.
    flow
        (32, 32, 2) which way the fine detail of the old runs; see :func:`detail_flow`.
    """

    age: Floats
    female: Floats
    others: Floats
    shape: Floats
    color: NDArray[np.float16]
    energy: NDArray[np.float16]
    fold: NDArray[np.float16]
    flow: Floats


def frontal(landmarks: NDArray[np.floating]) -> bool:
    """Return whether aligned (68, 2) landmarks are those of a face seen from the front."""
    left, right = (abs(landmarks[30, 0] - landmarks[n, 0]) for n in (2, 14))
    turned = abs(left - right) / max(left + right, 1e-3)
    off = float(np.sqrt(np.square(landmarks - template()).sum(axis=1).mean()))
    return bool(turned < _TURNED and off < 2 * _ODD)


def in_frame(
    rgb: NDArray[np.uint8], matrix: NDArray[np.floating], landmarks: NDArray[np.floating], side: int
) -> Floats:
    """Return a face (side, side, 3), float32 in 0 to 255, in the frame of the mean face."""
    x, y = to_face(landmarks, side)
    across, down = (np.float32(row[0] * x + row[1] * y + row[2]) for row in invert(matrix))
    seen = cv2.remap(rgb, across, down, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(seen, np.float32)


def _sharpness(energy: Floats) -> float:
    """Return how sharp a face's eyes are: the log energy of its finest band less a coarse one's."""
    values = []
    for eye in (LEFT_EYE, RIGHT_EYE):
        x, y = (template()[eye].mean(axis=0) * ENERGIES / SIZE).astype(int)
        part = energy[y - 1 : y + 2, x - 2 : x + 3]
        values.append(float((part[..., 0] - part[..., 2]).mean()))
    return float(np.mean(values))


def read_years(
    folder: Path,
    judge: Judge,
    names: Iterable[str],
    advance: Callable[[int, int], None] | None = None,
    held_out: bool = False,
) -> YearsFaces:
    """Read UTKFace's frontal faces without glasses, landmarks beside it.

    Parameters
    ----------
    folder
        UTKFace.
    judge
        A classifier of CelebA's attributes, and ...
    names
        ... its attributes, in order.
    advance
        Told how many of how many are read.
    held_out
        Read the held-out twentieth, not the others.

    Raises
    ------
    UsageError
        If there are too few.
    """
    records = [r for r in read_utkface(folder) if r.points is not None and r.labels]
    records = [r for r in records if r.held_out == held_out]
    judged = [list(names).index(n) for n in _JUDGED]
    columns: dict[str, list[Any]] = {}
    flows: list[Floats] = []
    for start in range(0, len(records), 64):
        found, crops = [], []
        for record in records[start : start + 64]:
            assert record.points is not None
            matrix = estimate_similarity(record.points)
            landmarks = np.float32(transform_points(matrix, record.points))
            if not frontal(landmarks):
                continue
            try:
                rgb = load_rgb(record.path)
            except FaceflexError:
                continue
            crops.append(warp(rgb, matrix, SIZE)[0])
            found.append((record, landmarks, in_frame(rgb, matrix, landmarks, SIDE)))
        scores = judge(np.stack(crops))[:, judged] if crops else np.zeros((0, len(_JUDGED)))
        for (record, landmarks, face), score in zip(found, scores, strict=True):
            if score[0] > 0.5:
                continue
            luma = log_luma(face)
            bands = detail_bands(luma)
            energy = band_energy(bands, ENERGIES)
            fold = cv2.resize(
                bands[..., 1:].sum(axis=2), (FOLDS, FOLDS), interpolation=cv2.INTER_AREA
            )
            small = cv2.resize(
                cv2.GaussianBlur(face, (0, 0), SIDE / COLORS / 2),
                (COLORS, COLORS),
                interpolation=cv2.INTER_AREA,
            )
            color = np.log(np.maximum(small, 0) + 12)
            color = color - color[8:-8, 12:-12].mean(axis=(0, 1))
            race = np.eye(5)[int(min(record.labels["race"], 4))][1:]
            age = record.labels["age"]
            values = {
                "age": age,
                "female": record.labels["gender"],
                "others": [*race, *(score[1:] - 0.5), _sharpness(energy)],
                "shape": landmarks,
                "color": color.astype(np.float16),
                "energy": energy.astype(np.float16),
                "fold": fold.astype(np.float16),
            }
            for name, value in values.items():
                columns.setdefault(name, []).append(value)
            if age >= OLD:
                flows.append(detail_flow(luma, ENERGIES))
        if advance is not None:
            advance(min(start + 64, len(records)), len(records))
    count = len(columns.get("age", ()))
    if count < LEAST or not flows:
        raise UsageError(
            f"{folder}: {count} frontal faces of known age, {len(flows)} of them of {OLD} years"
            f" and more; at least {LEAST} and 1 are needed"
        )
    kinds = {"color": np.float16, "energy": np.float16, "fold": np.float16}
    arrays: dict[str, Any] = {n: np.array(v, kinds.get(n, np.float32)) for n, v in columns.items()}
    return YearsFaces(**arrays, flow=np.asarray(np.mean(flows, axis=0), np.float32))
