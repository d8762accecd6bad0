"""Fit the surfaces of :mod:`faceflex.methods.affect_plane` to encoded, labelled faces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from faceflex.assets import resolve
from faceflex.compose.shading import face_shading, shading_weight
from faceflex.compose.warp import GRID
from faceflex.data.affectnet import EXPRESSIONS
from faceflex.data.chunks import Progress
from faceflex.data.latents import Latents
from faceflex.data.template import mirrored
from faceflex.errors import UsageError
from faceflex.faces import find_faces
from faceflex.faces.align import align, estimate_similarity, template, transform_points
from faceflex.faces.landmark_groups import LEFT_EYE, NOSE_TIP, RIGHT_EYE, RIGID_LANDMARKS
from faceflex.faces.landmarks import LandmarkModel
from faceflex.methods.affect_plane import SHADING, AffectPlane, nearness, quadratic
from faceflex.methods.vectors import AttributeVectors
from faceflex.photo import load_rgb
from faceflex.train.plane import part_of

NAMED = ("happy", "sad", "surprised", "afraid", "disgusted", "angry")
"""Expressions with a place of their own. Contempt has none: it lies where anger does."""

IDENTITY = (
    "Male",
    "Young",
    "No_Beard",
    "Mustache",
    "Goatee",
    "Sideburns",
    "5_o_Clock_Shadow",
    "Eyeglasses",
    "Heavy_Makeup",
    "Wearing_Lipstick",
    "Bald",
    "Bangs",
    "Wearing_Hat",
    "Gray_Hair",
    "Pale_Skin",
    "Chubby",
    "Double_Chin",
)
"""Attributes that are no feelings. Angry faces are men's more often than happy ones are: what
linear probes of these notice is taken out of the surfaces."""

_WIDTH = 0.3
_RIDGE = 0.01  # As a share of the faces.
_TURNED = 9.0  # Pixels of the crop that the tip of the nose may lie beside the eyes' middle.
_FEWEST = 200


def fit_affect_plane(
    faces: Latents, shadings: NDArray[np.floating], vectors: AttributeVectors
) -> AffectPlane:
    """Fit the plane.

    Parameters
    ----------
    faces
        Encoded faces with ``valence``, ``arousal`` and ``expression``.
    shadings
        (N, 64, 64) their shading, as :func:`faceflex.compose.shading.face_shading` tells it.
    vectors
        Of the same model; their probes say what is identity.

    Raises
    ------
    UsageError
        If there are too few faces, or none of one of the expressions.
    """
    shape = _expression_shapes(faces)
    contempt = EXPRESSIONS.index("contemptuous")
    used = (_turn(faces.points) < _TURNED) & (faces_label(faces, "expression") != contempt)
    if used.sum() < _FEWEST:
        raise UsageError(f"{int(used.sum())} frontal faces to fit; at least {_FEWEST} are needed")
    z = ((faces.plain + faces.mirror) / 2).astype(np.float64)[used]
    folds = np.asarray(shadings, np.float64)[used] * shading_weight()
    half = (folds + folds[:, :, ::-1])[:, :, : SHADING[1]] / 2
    values = np.concatenate([shape[used], z, half.reshape(len(z), -1)], axis=1)
    places = np.stack([faces_label(faces, "valence"), faces_label(faces, "arousal")], axis=1)[used]
    expression = faces_label(faces, "expression")[used]
    others = _identity_scores(z, vectors)
    terms = np.concatenate([np.ones((len(z), 1)), quadratic(places), others], axis=1)
    gram = terms.T @ terms
    penalty = _RIDGE * len(z) * np.eye(len(gram))
    penalty[0, 0] = 0
    weights = np.linalg.solve(gram + penalty, terms.T @ values)
    residual = values - terms @ weights
    surface, offsets, centres = weights[1:6], [], []
    neutral = residual[expression == EXPRESSIONS.index("neutral")].mean(axis=0)
    for name in NAMED:
        members = expression == EXPRESSIONS.index(name)
        if members.sum() < 5:
            raise UsageError(f"{int(members.sum())} faces are {name}; at least 5 are needed")
        centres.append(places[members].mean(axis=0))
        spread = (terms[members, 1:6] @ surface).mean(axis=0)
        mean = spread + residual[members].mean(axis=0) - neutral
        offsets.append(mean - quadratic(np.array([centres[-1]]))[0] @ surface)
    at = np.array(centres)
    solved = np.linalg.solve(nearness(at, at, _WIDTH), np.array(offsets))
    surface, solved = (_without_identity(x, vectors) for x in (surface, solved))
    still = shape[used][expression == EXPRESSIONS.index("neutral")].mean(axis=0).reshape(68, 2)
    parts = [np.asarray(x, np.float32) for x in (surface, solved, at, still)]
    return AffectPlane(parts[0], parts[1], parts[2], parts[3], NAMED, _WIDTH, vectors.model)


def part_of_faces(faces: Latents, part: str) -> Latents:
    """Return the encoded faces of a part (:data:`faceflex.train.plane.PARTS`)."""
    names = [part_of(r.path.name, r.held_out) for r in faces.records]
    index = [i for i, name in enumerate(names) if name == part]
    records = [faces.records[i] for i in index]
    plain, mirror, points = (a[index] for a in (faces.plain, faces.mirror, faces.points))
    return Latents(records, plain, mirror, points, faces.left_out)


def refined(
    faces: Latents, landmark_model: str, progress: Progress | None = None
) -> tuple[Latents, NDArray[np.float32]]:
    """Return faces with landmarks found anew, and the faces' shading (N, 64, 64).

    Landmarks are the mean of a face's and of its mirror image's.

    Parameters
    ----------
    faces
        Encoded faces.
    landmark_model
        Registered name or file of a landmark predictor.
    progress
        Called with (faces done, faces in all).
    """
    model, points, shadings = LandmarkModel(resolve(landmark_model)), [], []
    for number, (record, crop_points) in enumerate(zip(faces.records, faces.points, strict=True)):
        image = load_rgb(record.path)
        first = record.points
        if first is None:  # Found when it was encoded, and kept in pixels of the crop.
            found = find_faces(image)
            first = max(found, key=lambda f: f.width).points if found else None
        if first is None:
            points.append(crop_points)
            shadings.append(np.zeros((GRID, GRID), np.float32))
            continue
        width = image.shape[1]
        plain = model.refine(image, first)
        flipped = model.refine(np.ascontiguousarray(image[:, ::-1]), mirrored(first, width))
        both = (plain + mirrored(flipped, width)) / 2
        points.append(transform_points(estimate_similarity(both), both))
        shadings.append(face_shading(align(image, both).crop, points[-1]))
        if progress:
            progress(number + 1, len(faces.records))
    return replace(faces, points=np.array(points, np.float32)), np.array(shadings, np.float32)


def faces_label(faces: Latents, name: str) -> NDArray[np.float64]:
    """Return a label (N,) of encoded faces; NaN where a face has none."""
    return np.array([r.labels.get(name, np.nan) for r in faces.records], np.float64)


def _expression_shapes(faces: Latents) -> NDArray[np.float64]:
    """Return landmarks (N, 136) without pose: laid on nose and corners of the eyes, symmetric."""
    rigid = list(RIGID_LANDMARKS)

    def still(points: NDArray[np.float32]) -> NDArray[np.float32]:
        return transform_points(estimate_similarity(points[rigid], template()[rigid]), points)

    pairs = zip(faces.points, faces.mirror_points, strict=True)
    return np.array([((still(p) + still(q)) / 2).ravel() for p, q in pairs], np.float64)


def _turn(points: Sequence[NDArray[np.float32]] | NDArray[np.float32]) -> NDArray[np.float64]:
    """Return how far (N,) the tip of the nose lies beside the middle of the eyes, in pixels."""
    array = np.asarray(points, np.float64)
    eyes = (array[:, RIGHT_EYE, 0].mean(axis=1) + array[:, LEFT_EYE, 0].mean(axis=1)) / 2
    return np.abs(array[:, NOSE_TIP, 0] - eyes)


def _probes(vectors: AttributeVectors) -> NDArray[np.float64]:
    probes = [vectors.linear_probes[n] for n in IDENTITY if n in vectors.linear_probes]
    if vectors.age_probe is not None:
        probes.append(vectors.age_probe[:-1])
    return np.array(probes, np.float64).reshape(-1, vectors.width)


def _identity_scores(z: NDArray[np.float64], vectors: AttributeVectors) -> NDArray[np.float64]:
    """Return what the probes say of each face (N, K), standardised."""
    scores = z @ _probes(vectors).T
    return np.asarray((scores - scores.mean(axis=0)) / (scores.std(axis=0) + 1e-9))


def _without_identity(rows: NDArray[np.float64], vectors: AttributeVectors) -> NDArray[np.float64]:
    """Return rows (M, 136 + D + 2048) whose latent parts the probes do not notice."""
    basis, _ = np.linalg.qr(_probes(vectors).T)
    shape, latent, folds = np.split(rows, [136, 136 + vectors.width], axis=1)
    return np.concatenate([shape, latent - (latent @ basis) @ basis.T, folds], axis=1)
