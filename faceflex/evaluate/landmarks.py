"""How far landmark predictors are off on hand-labelled faces that they were not trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from faceflex.assets import resolve
from faceflex.faces.landmarks import LandmarkModel
from faceflex.train.landmarks import landmark_error, read_hand_labelled, split_hand_labelled


def evaluate_landmarks(data: Path, models: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Measure predictors on the held-out fifth of hand-labelled faces.

    Parameters
    ----------
    data
        Folder with ``images/`` and ``landmarks68.csv``.
    models
        Registered names or files.

    Yields
    ------
    A row for each predictor; see :func:`faceflex.train.landmarks.landmark_error`.
    """
    _, held_out = split_hand_labelled(read_hand_labelled(data))
    for name in models:
        path = resolve(name)
        errors = landmark_error(LandmarkModel(path), held_out)
        rounded = {key: round(value, 4) for key, value in errors.items()}
        yield {"model": name, "bytes": path.stat().st_size, "faces": len(held_out), **rounded}
