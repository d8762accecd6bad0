"""How real edits by valence and arousal look: whether a fresh network tells them from photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from faceflex.data.records import Record
from faceflex.edit.editor import Editor
from faceflex.errors import FaceflexError, UsageError
from faceflex.evaluate.affect import Progress
from faceflex.faces import Face
from faceflex.faces.align import align
from faceflex.methods.affect_controls import AROUSAL, VALENCE
from faceflex.methods.directions import auc_score
from faceflex.models.attribute_classifier import AttributeClassifier, ClassifierConfig
from faceflex.photo import load_rgb

_STEPS, _BATCH, _RATE, _SIDE = 300, 32, 2e-3, 96
_FEWEST = 40


@dataclass(frozen=True)
class _Crops:
    """Aligned crops (N, 128, 128, 3), and whether they were edited (N,)."""

    crops: NDArray[np.uint8]
    edited: NDArray[np.bool_]


def realism_auc(
    records: Sequence[Record],
    editor: Editor,
    count: int,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train a network to tell edited from real faces of the same quadrant, and test it.

    Faces are edited to the places of others, which are shown as they are: both groups have the same
    places. Half of the faces train it, the other half tests it, and the other way round.

    Parameters
    ----------
    records
        Photos with landmarks, ``valence`` and ``arousal``.
    editor
        Edits by valence and arousal.
    count
        Faces of each group.
    seed
        Fixes faces and training.
    progress
        Called with (faces edited, faces in all).

    Returns
    -------
    ``auc``, 0.5 when they cannot be told apart, and the number of faces of each group, ``count``.

    Raises
    ------
    UsageError
        If there are too few faces.
    """
    rng = np.random.default_rng(seed)
    usable = [r for r in records if r.points is not None and VALENCE in r.labels]
    order = rng.permutation(len(usable))
    pairs = min(count, len(order) // 2)
    if pairs < _FEWEST:
        raise UsageError(f"{len(usable)} faces with landmarks and places; {2 * _FEWEST} are needed")
    crops, edited = [], []
    for number, (mine, other) in enumerate(order[: 2 * pairs].reshape(-1, 2), start=1):
        real = usable[other]
        place = {name: real.labels[name] for name in (VALENCE, AROUSAL)}
        try:
            made = _edited_crop(usable[mine], editor, place)
            shown = align(load_rgb(real.path), _points(real)).crop
        except (FaceflexError, ValueError):
            continue
        crops += [made, shown]
        edited += [True, False]
        if progress:
            progress(number, pairs)
    faces = _Crops(np.array(crops), np.array(edited))
    half = np.arange(len(crops)) // 2 % 2 == 0
    scores = np.zeros(len(crops))
    for train in (half, ~half):
        network = _trained(_Crops(faces.crops[train], faces.edited[train]), seed)
        scores[~train] = network.scores(faces.crops[~train])[:, 0]
    areas = [auc_score(scores[part], faces.edited[part]) for part in (half, ~half)]
    return {"auc": round(float(np.mean(areas)), 3), "count": len(crops) // 2}


def _points(record: Record) -> NDArray[np.float32]:
    if record.points is None:
        raise ValueError("no landmarks")
    return record.points


def _edited_crop(record: Record, editor: Editor, place: dict[str, float]) -> NDArray[np.uint8]:
    rgb, points = load_rgb(record.path), _points(record)
    opened = editor.open(rgb, ["1"], faces=[Face.at(points)])
    (picture,) = opened.render([opened.shot(**place)])
    return align(picture, points).crop


def _trained(faces: _Crops, seed: int) -> AttributeClassifier:
    """Return a fresh classifier of edited and real faces."""
    torch.manual_seed(seed)
    network = AttributeClassifier(ClassifierConfig(("edited",), _SIDE, (16, 32, 64, 96)))
    optimizer = torch.optim.AdamW(network.parameters(), _RATE, weight_decay=0.05)
    pictures = torch.from_numpy(faces.crops).permute(0, 3, 1, 2)
    targets = torch.from_numpy(faces.edited.astype(np.float32))
    rng = np.random.default_rng(seed)
    network.train()
    for step in range(_STEPS):
        rows = torch.from_numpy(rng.integers(0, len(targets), _BATCH))
        x = F.interpolate(pictures[rows].float() / 255, (_SIDE, _SIDE), mode="area")
        if rng.random() < 0.5:
            x = x.flip(3)
        loss = F.binary_cross_entropy_with_logits(network(x)[:, 0], targets[rows])
        for group in optimizer.param_groups:
            group["lr"] = _RATE * (1 - step / _STEPS)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return network.eval()
