"""Which model a file holds; known without torch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceflex.tensors import damage_named, read_metadata

KIND = "faceflex-vae-1"
KINDS = (KIND, "faceflex-face-flex-1")
WHAT = "face model"


def model_id(weights: Mapping[str, NDArray[np.float16]]) -> str:
    """Return the identity of weights: 16 hex digits, from the float16 values by name."""
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
    metadata = read_metadata(path, KINDS, WHAT)
    with damage_named(path, WHAT):
        return metadata["id"]
