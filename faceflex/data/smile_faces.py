"""Faces as the smile dial's training takes them: latents, degrees and groups; encoded once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceflex.data.cache import AlignedCache
from faceflex.files import atomic_write

if TYPE_CHECKING:
    from faceflex.models.degree_regressor import DegreeRegressor
    from faceflex.models.vae import VAE

_CHUNK = 256
_FORM = 1  # Raise when anything stored changes, so that old files are made anew.
ETHNIC_GROUPS = 5

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class SmileFaces:
    """Faces with degrees.

    Attributes
    ----------
    names
        File names.
    plain, mirror
        (N, D) float32 latents of the faces and of their mirror images.
    degrees
        (N,) float32 in [-1, 1]: hand-made where there is one, else the regressor's.
    by_hand
        (N,) whether a degree was made by hand.
    groups
        (N, K) float32: what is known of each face beside its smile (sex, age, ethnic group), as
        numbers about 0; 0 where it is not known.
    held_out
        (N,) whether a face is held out.
    variance
        (D,) float32: mean variance of the face model's posteriors.
    """

    names: list[str]
    plain: Floats
    mirror: Floats
    degrees: Floats
    by_hand: NDArray[np.bool_]
    groups: Floats
    held_out: NDArray[np.bool_]
    variance: Floats


def group_numbers(labels: Mapping[str, float]) -> list[float]:
    """Return a face's groups as numbers: sex, age and its square, ethnic groups; 0 is not known.

    Examples
    --------
    >>> group_numbers({"age": 40.0, "gender": 0.0, "race": 1.0})[:3]
    [-1.0, 0.0, -0.5]
    """
    if "age" not in labels:
        return [labels.get("Male", 0.0) * -1.0, *[0.0] * (2 + ETHNIC_GROUPS)]
    years = (labels["age"] - 40.0) / 40.0
    sex = 1.0 if labels["gender"] == 1 else -1.0
    race = [float(labels["race"] == i) for i in range(ETHNIC_GROUPS)]
    return [sex, years, years**2 - 0.5, *race]


def smile_faces(
    cache: AlignedCache,
    degrees: Mapping[str, float],
    model: VAE,
    regressor: DegreeRegressor,
    folder: Path,
    identity: str,
    progress: Callable[[int, int], None] | None = None,
) -> SmileFaces:
    """Encode faces and estimate their degrees, using and filling a file of the cache.

    Parameters
    ----------
    cache
        Aligned faces.
    degrees
        Hand-made degrees by file name.
    model
        The face model.
    regressor
        Gives all other faces a degree.
    folder
        Where the file is kept.
    identity
        Of face model and regressor: the file is made anew when it changes.
    progress
        Called with (faces done, faces in all).
    """
    digest = hashlib.sha256(f"{_FORM} {identity}\n".encode())
    digest.update("\n".join(cache.names).encode())
    path = folder / f"smile-{digest.hexdigest()[:24]}.npz"
    if not path.is_file():
        arrays = _encode(cache, model, regressor, progress)
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
    with np.load(path, allow_pickle=False) as stored:
        plain, mirror, found, variance = (
            stored[k] for k in ("plain", "mirror", "degrees", "variance")
        )
    by_hand = np.array([name in degrees for name in cache.names])
    values = [degrees.get(n, v) for n, v in zip(cache.names, found, strict=True)]
    told = np.array(values, np.float32)
    groups = np.array([group_numbers(row) for row in cache.labels], np.float32)
    held_out = np.asarray(cache.held_out, bool)
    return SmileFaces(cache.names, plain, mirror, told, by_hand, groups, held_out, variance)


def _encode(
    cache: AlignedCache,
    model: VAE,
    regressor: DegreeRegressor,
    progress: Callable[[int, int], None] | None,
) -> dict[str, Floats]:
    import torch

    from faceflex.models.codec import encode_faces

    rows: dict[str, list[Floats]] = {"plain": [], "mirror": [], "degrees": []}
    variance, device = np.zeros(model.config.latent), next(model.parameters()).device
    for start in range(0, len(cache), _CHUNK):
        crops = cache.crops(np.arange(start, min(len(cache), start + _CHUNK)))
        rows["plain"].append(encode_faces(model, crops))
        rows["mirror"].append(encode_faces(model, crops[:, :, ::-1]))
        rows["degrees"].append(regressor.degrees(crops))
        if start == 0:
            with torch.inference_mode():
                x = torch.from_numpy(crops).to(device).permute(0, 3, 1, 2).float() / 255
                variance = model.posterior(x)[1].exp().mean(0).double().cpu().numpy()
        if progress:
            progress(start + len(crops), len(cache))
    joined = {name: np.concatenate(parts) for name, parts in rows.items()}
    return joined | {"variance": variance.astype(np.float32)}
