"""How well a face model reconstructs faces that it never saw, and what its latents encode.

The figures of ``faceflex evaluate reconstruction``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from faceflex.assets import resolve
from faceflex.data.cache import MARGIN, AlignedCache, open_cache
from faceflex.faces.align import SIZE
from faceflex.faces.mask import fill_hull
from faceflex.methods.vectors import AttributeVectors
from faceflex.models.attribute_classifier import AttributeClassifier, load_classifier
from faceflex.models.checkpoint import load_vae
from faceflex.models.codec import decode_faces, encode_faces
from faceflex.models.feature_extractor import FeatureExtractor, load_extractor, map_distance
from faceflex.models.vae import VAE

_AGES = (
    (12, "age 0-12"),
    (19, "age 13-19"),
    (39, "age 20-39"),
    (59, "age 40-59"),
    (200, "age 60+"),
)
_ETHNICITIES = ("White", "Black", "Asian", "Indian", "other")


def compare(
    face: NDArray[np.uint8], decoded: NDArray[np.uint8], points: NDArray[np.floating]
) -> dict[str, float]:
    """Compare a face with its reconstruction inside the hull of its landmarks.

    Parameters
    ----------
    face, decoded
        (128, 128, 3) uint8.
    points
        (68, 2) landmarks in pixels of the crop.

    Returns
    -------
    ``psnr`` in dB; ``l1``, the mean absolute difference in [0, 1]; ``ssim`` (Wang et al. 2004, on
    RGB); ``sharpness``, the variance of the Laplacian, decoded over original.
    """
    from skimage.metrics import structural_similarity

    hull = fill_hull(points, SIZE)
    a, b = face.astype(np.float64) / 255, decoded.astype(np.float64) / 255
    mse = float(((a - b)[hull] ** 2).mean())
    _, ssim = structural_similarity(a, b, channel_axis=2, data_range=1.0, full=True)

    def sharpness(picture: NDArray[np.uint8]) -> float:
        gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float64)
        return float(cv2.Laplacian(gray, cv2.CV_64F)[hull].var())

    return {
        "psnr": -10 * np.log10(max(mse, 1e-10)),
        "l1": float(np.abs(a - b)[hull].mean()),
        "ssim": float(ssim[hull].mean()),
        "sharpness": sharpness(decoded) / max(sharpness(face), 1e-9),
    }


def groups(source: str, labels: Mapping[str, float]) -> list[str]:
    """Return the groups that a face counts in: its set; in UTKFace also age, sex and ethnicity."""
    if "age" not in labels:
        return [source]
    age = next(name for oldest, name in _AGES if labels["age"] <= oldest)
    sex = ("male", "female")[int(labels["gender"])]
    return [source, age, sex, _ETHNICITIES[int(labels["race"])]]


def reconstruction(
    cache: AlignedCache, model: VAE, features: FeatureExtractor | None = None
) -> dict[str, dict[str, float]]:
    """Measure the held-out faces of each group; means, and the median for sharpness.

    Parameters
    ----------
    cache, model
        Faces, and the model.
    features
        Adds ``perceptual``, the distance of its maps, weighted as in training.
    """
    index = np.flatnonzero(cache.held_out)
    faces = cache.crops(index)
    decoded = decode_faces(model, encode_faces(model, faces))
    points = cache.points[index] - MARGIN
    rows = [compare(*row) for row in zip(faces, decoded, points, strict=True)]
    if features is not None:
        middle = slice(MARGIN, MARGIN + SIZE)
        weight = cache.weight[index][:, middle, middle]
        for row, value in zip(rows, perceptual(features, faces, decoded, weight), strict=True):
            row["perceptual"] = float(value)
    member: dict[str, list[int]] = {}
    for place, i in enumerate(index):
        for group in groups(cache.sources[i], cache.labels[i]):
            member.setdefault(group, []).append(place)
    figures = {}
    for group, places in member.items():
        table = {k: np.array([rows[i][k] for i in places]) for k in rows[0]}
        result = {k: round(float(v.mean()), 4) for k, v in table.items() if k != "sharpness"}
        result["sharpness_median"] = round(float(np.median(table["sharpness"])), 4)
        figures[group] = {"faces": len(places), **result}
    return figures


@torch.inference_mode()
def perceptual(
    features: FeatureExtractor,
    faces: NDArray[np.uint8],
    decoded: NDArray[np.uint8],
    weight: NDArray[np.uint8],
) -> NDArray[np.float64]:
    """Return (N,) distances of a feature network's maps of (N, 128, 128, 3) faces and decodes."""
    rows = []
    for start in range(0, len(faces), 32):
        part = slice(start, start + 32)
        maps = []
        for pictures in (decoded[part], faces[part]):
            x = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 255
            maps.append(features.maps(x))
        w = torch.from_numpy(np.ascontiguousarray(weight[part]))[:, None].float() / 100
        rows.append(map_distance(maps[0], maps[1], w).numpy())
    return np.concatenate(rows).astype(np.float64)


def active_numbers(cache: AlignedCache, model: VAE) -> int:
    """Count the numbers of the latent whose mean varies by more than 0.01 over held-out faces.

    Source: Burda et al., "Importance weighted autoencoders", 2016.
    """
    latents = encode_faces(model, cache.crops(np.flatnonzero(cache.held_out)))
    return int((latents.var(axis=0) > 0.01).sum())


def linear_probe(cache: AlignedCache, model: VAE, penalty: float = 3e-3) -> dict[str, Any]:
    """Predict CelebA's labels from latents by logistic regression, one for each.

    Trained on the training faces and their mirror images, measured on the held-out ones.

    Returns
    -------
    ``mean`` and ``majority`` accuracy, and ``attributes``: accuracy by name. Empty when the cache
    has no such labels.
    """
    index = [i for i, labels in enumerate(cache.labels) if len(labels) == 40]
    if not index:
        return {}
    names = sorted(cache.labels[index[0]])
    truth = np.array([[cache.labels[i][n] > 0 for n in names] for i in index])
    apart = cache.held_out[index]
    crops = cache.crops(index)
    plain = encode_faces(model, crops)
    mirrored = encode_faces(model, crops[:, :, ::-1])
    latents = np.concatenate([plain[~apart], mirrored[~apart], plain[apart]])
    truth = np.concatenate([truth[~apart], truth[~apart], truth[apart]])
    x, y = torch.from_numpy(latents - plain.mean(axis=0)), torch.from_numpy(truth).float()
    train, test = slice(0, 2 * int((~apart).sum())), slice(2 * int((~apart).sum()), None)
    weight = torch.zeros(x.shape[1], len(names), requires_grad=True)
    bias = torch.zeros(len(names), requires_grad=True)
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        logits = x[train] @ weight + bias
        value = torch.nn.functional.binary_cross_entropy_with_logits(logits, y[train]) * len(names)
        value = value + penalty * weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        right = ((x[test] @ weight + bias > 0) == (y[test] > 0.5)).float().mean(dim=0)
    common = (y[train].mean(dim=0) > 0.5).float()
    majority = float((y[test] == common).float().mean())
    return {
        "mean": round(float(right.mean()), 4),
        "majority": round(majority, 4),
        "attributes": {n: round(float(v), 4) for n, v in zip(names, right, strict=True)},
    }


def classifier_accuracy(cache: AlignedCache, classifier: AttributeClassifier) -> float | None:
    """Return the classifier's own mean accuracy on the held-out faces that have its labels.

    A bound of sorts for the linear probe: a network trained for nothing else, on as many faces.
    """
    names = classifier.config.names
    held_out = np.flatnonzero(cache.held_out)
    index = held_out[[set(names) <= set(cache.labels[i]) for i in held_out]]
    if not len(index):
        return None
    truth = np.array([[cache.labels[i][n] > 0 for n in names] for i in index])
    right: NDArray[np.bool_] = (classifier.scores(cache.crops(index)) > 0.5) == truth
    return round(float(right.mean()), 4)


def landmark_readout_error(
    cache: AlignedCache, model: VAE, readout: NDArray[np.float32]
) -> dict[str, float]:
    """Measure how well landmarks are read from latents, on the held-out faces.

    Parameters
    ----------
    cache, model
        Faces, and the model.
    readout
        (D, 136), as kept with the attribute vectors.

    Returns
    -------
    ``error`` of the readout and ``mean_error`` of the mean shape: mean point distances in pixels
    of the crop.
    """
    rows = np.random.default_rng(0).permutation(np.flatnonzero(~cache.held_out))[:4000]
    centre = encode_faces(model, cache.crops(rows)).mean(axis=0)
    mean = cache.points[rows].mean(axis=0)
    apart = np.flatnonzero(cache.held_out)
    latents, truth = encode_faces(model, cache.crops(apart)), cache.points[apart]
    read = mean + ((latents - centre) @ readout).reshape(-1, 68, 2)
    errors = [float(np.hypot(*np.moveaxis(p - truth, 2, 0)).mean()) for p in (read, mean[None])]
    return {"error": round(errors[0], 3), "mean_error": round(errors[1], 3)}


def evaluate_model(
    data: Sequence[Path],
    cache_folder: Path,
    *,
    model: str = "vae",
    vectors: str | None = "vectors",
    features: Path | None = None,
) -> dict[str, Any]:
    """Measure a face model on face sets.

    Parameters
    ----------
    data
        Folders of face sets.
    cache_folder
        Where their aligned faces are kept.
    model
        Registered name or file.
    vectors
        Its vectors, or None: measures the landmark readout.
    features
        A feature extractor's file: adds a perceptual distance.
    """
    cache = open_cache(data, cache_folder)
    network, identity = load_vae(resolve(model))
    extractor = None if features is None else load_extractor(features)
    figures: dict[str, Any] = {"model": identity, **reconstruction(cache, network, extractor)}
    figures["active"] = active_numbers(cache, network)
    if vectors is not None:
        readout = AttributeVectors.load(resolve(vectors), identity).landmark_readout
        if readout is not None:
            figures["landmarks"] = landmark_readout_error(cache, network, readout)
    figures["probe"] = linear_probe(cache, network)
    figures["classifier"] = classifier_accuracy(cache, load_classifier(resolve("judge")))
    return figures
