"""Face Flex's published files, turned into ours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from faceflex.errors import AssetError
from faceflex.methods.vectors import AttributeInfo, AttributeVectors, agreement
from faceflex.models.checkpoint import Unmade, save_network
from faceflex.models.face_flex import FaceFlex, FaceFlexConfig
from faceflex.models.pickles import read_pickled_arrays

_GROUP = 200


def import_weights(source: Path, target: Path) -> str:
    """Turn Face Flex's weights into a model file.

    Parameters
    ----------
    source
        Its ``weights.pth``: a state dict, read by PyTorch's restricted unpickler.
    target
        File to write; appears whole or not at all.

    Returns
    -------
    The model's id.

    Raises
    ------
    AssetError
        If the file is missing, or is not such a state dict.
    """
    if not source.is_file():
        raise AssetError(f"{source}: no such file")
    try:
        state: dict[str, Any] = torch.load(source, map_location="cpu", weights_only=True)
        width, latent = len(state["e1.weight"]), len(state["fc1.weight"])
        with Unmade():
            network = FaceFlex(FaceFlexConfig(width, latent))
        # Averages over batches are kept there, and were never used.
        used = {k: v for k, v in state.items() if "running" not in k and "tracked" not in k}
        # A tensor may claim to repeat a few numbers without end.
        if sum(v.numel() for v in state.values()) > source.stat().st_size:
            raise ValueError("its tensors are larger than the file")
        network.load_state_dict({k: v.float() for k, v in used.items()}, assign=True)
    except Exception as error:  # Foreign files raise whatever their damage leads to.
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise AssetError(f"{source}: not Face Flex's weights ({reason[:160]})") from error
    if not all(v.half().isfinite().all() for v in network.state_dict().values()):
        raise AssetError(f"{source}: has numbers that are not finite")
    return save_network(network, target)


def read_versions(path: Path) -> NDArray[np.float32]:
    """Read one attribute's vectors (V, D): Face Flex's group means, positive less negative.

    Raises
    ------
    AssetError
        If the file is not a pickle of ``pos`` and ``neg``, lists of as many arrays.
    """
    found = read_pickled_arrays(path)
    try:
        sides = [np.array(found[side], np.float32) for side in ("pos", "neg")]
        count = min(len(s) for s in sides)
        versions: NDArray[np.float32] = sides[0][:count] - sides[1][:count]
        if versions.ndim != 2 or not count or not np.isfinite(versions).all():
            raise ValueError(f"of shape {versions.shape}")
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise AssetError(f"{path}: not Face Flex's pos and neg means ({error})") from error
    return versions


def import_vectors(sources: Sequence[Path], model: str, latent: int) -> AttributeVectors:
    """Turn Face Flex's pickled vectors into ours; a file's name says the attribute.

    They are kept as they are: strength 1 is the difference of two groups' means.

    Parameters
    ----------
    sources
        ``Smiling.pkl`` and the like.
    model, latent
        Id of the imported model, and its width.
    """
    versions, info = {}, {}
    for path in sources:
        found = read_versions(path)
        if found.shape[1] != latent:
            raise AssetError(f"{path}: has {found.shape[1]} numbers a vector; the model {latent}")
        versions[path.stem] = found
        count, gap = _GROUP * len(found), float(np.linalg.norm(found.mean(axis=0)))
        info[path.stem] = AttributeInfo(
            count, count, round(gap, 4), None, agreement(found), "face-flex"
        )
    return AttributeVectors(versions, info, model)
