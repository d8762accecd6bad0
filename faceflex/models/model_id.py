"""Identity of a face model: a hash of its weights, known without torch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceflex.tensors import read_metadata, wrap_read_errors

VAE_KIND, FACE_FLEX_KIND = "faceflex-vae-1", "faceflex-face-flex-1"
LABEL = "face model"


def model_id(weights: Mapping[str, NDArray[Any]]) -> str:
    """Return the identity of weights: 16 hex digits, from the values as they are kept, by name."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(weights[name]).tobytes())
    return digest.hexdigest()[:16]


def read_id(path: Path) -> str:
    """Return the id of a model file without reading its weights.

    Raises
    ------
    AssetError
        If the file is missing, damaged, or not such a model.
    """
    metadata = read_metadata(path, (VAE_KIND, FACE_FLEX_KIND), LABEL)
    with wrap_read_errors(path, LABEL):
        return metadata["id"]
