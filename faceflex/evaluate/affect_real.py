"""What real faces say beside edits by valence and arousal: the judge's own limit, and realism."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceflex.data.records import Record
from faceflex.edit.editor import Editor
from faceflex.edit.plane import LIMIT
from faceflex.errors import FaceflexError
from faceflex.evaluate.realism import Realism, realism_auc
from faceflex.evaluate.realism_faces import RealismFace, cut_face
from faceflex.faces import Face
from faceflex.faces.align import align
from faceflex.faces.landmarks import LandmarkModel
from faceflex.methods.affect_controls import AROUSAL, VALENCE
from faceflex.models.affect_regressor import AffectRegressor
from faceflex.photo import load_rgb

PLACE = "face"
"""What a network that tells edits from photos looks at."""

Progress = Callable[[int, int], None]


def judge_real_faces(
    records: Sequence[Record], judge: AffectRegressor, steps: int
) -> dict[str, Any] | None:
    """Return how far a judge agrees with people about real faces, as about edits of them.

    An edit is asked to be at each place of the plane; real faces crowd at few. So each place that
    has any counts as much as all others.

    Parameters
    ----------
    records
        Faces with landmarks, and with labels of valence and arousal; others are left out.
    judge
        The judge.
    steps
        Places along a side of the plane.

    Returns
    -------
    ``ccc`` of valence and arousal, the number of ``places`` that have a face, and of ``faces``;
    None where no face is labelled.
    """
    labels, crops = [], []
    for record, rgb, _ in _read(records):
        if VALENCE in record.labels:
            assert record.points is not None
            labels.append((record.labels[VALENCE], record.labels[AROUSAL]))
            crops.append(align(rgb, record.points).crop)
    if not crops:
        return None
    asked, judged = np.array(labels), judge.estimate(np.stack(crops))
    spacing = 2 * LIMIT / (steps - 1)
    cells = np.rint((np.clip(asked, -LIMIT, LIMIT) + LIMIT) / spacing)
    found, cell, count = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    weight = 1 / (count[cell.ravel()] * len(found))
    ccc = {
        name: round(weighted_concordance(asked[:, k], judged[:, k], weight), 3)
        for k, name in enumerate((VALENCE, AROUSAL))
    }
    return {"ccc": ccc, "places": len(found), "faces": len(crops)}


def weighted_concordance(
    truth: NDArray[np.floating], estimate: NDArray[np.floating], weight: NDArray[np.floating]
) -> float:
    """Return the CCC of two (N,) arrays, each row counted by its (N,) weight.

    Examples
    --------
    >>> truth, estimate = np.array([0.0, 1.0, 2.0]), np.array([0.0, 0.5, 1.0])
    >>> round(weighted_concordance(truth, estimate, np.full(3, 1 / 3)), 2)
    0.62
    """
    weight = np.asarray(weight, np.float64) / float(weight.sum())
    a, b = (np.asarray(x, np.float64) for x in (truth, estimate))
    a_mean, b_mean = float(weight @ a), float(weight @ b)
    shared = float(weight @ ((a - a_mean) * (b - b_mean)))
    spread = float(weight @ np.square(a - a_mean) + weight @ np.square(b - b_mean))
    return 2 * shared / max(spread + (a_mean - b_mean) ** 2, 1e-12)


def feeling_realism(
    records: Sequence[Record],
    editor: Editor,
    landmarks: LandmarkModel,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Realism:
    """Measure how well a fresh network tells edited faces from real ones of the same feelings.

    Each face is edited to the place of another one, so that edited and real faces are the same
    people, and their feelings the same.

    Parameters
    ----------
    records
        Faces with landmarks, and labels of valence and arousal; 20 or more.
    editor
        Edits by valence and arousal.
    landmarks
        The predictor that measures.
    seed
        Fixes who gets whose place, and the measurement.
    progress
        Called with (photos done, photos in all).

    Raises
    ------
    UsageError
        If there are too few faces.
    """
    labelled = [r for r in records if VALENCE in r.labels]
    order = np.random.default_rng((seed, 71)).permutation(len(labelled))
    place_of = {
        labelled[a].path: labelled[b] for a, b in zip(order, np.roll(order, 1), strict=True)
    }
    real, edited = list[RealismFace](), list[RealismFace]()
    for number, (record, rgb, face) in enumerate(_read(labelled), start=1):
        goal = place_of[record.path].labels
        opened = editor.open(rgb, ["1"], faces=[face])
        (picture,) = opened.render(
            [opened.shot(**{VALENCE: goal[VALENCE], AROUSAL: goal[AROUSAL]})]
        )
        for shown, faces in ((rgb, real), (picture, edited)):
            points = landmarks.find_again(shown, face.points)
            faces.append(cut_face(shown, points, record.path.stem, PLACE))
        if progress:
            progress(number, len(labelled))
    return realism_auc(real, edited, place=PLACE, seed=seed)


def _read(records: Sequence[Record]) -> Iterator[tuple[Record, NDArray[np.uint8], Face]]:
    """Yield the photos that can be read, and the face of each."""
    for record in records:
        if record.points is None:
            continue
        try:
            yield record, load_rgb(record.path), Face.at(record.points)
        except FaceflexError:
            continue
