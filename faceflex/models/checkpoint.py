"""Model files: float16 weights with the network's shape as JSON in their metadata."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from faceflex.models.identity import KIND, WHAT, model_id
from faceflex.models.vae import VAE, VAEConfig
from faceflex.tensors import damage_named, read_arrays, read_config, write_arrays


def save_vae(model: VAE, path: Path, extra: dict[str, Any] | None = None) -> str:
    """Write a model in float16.

    Parameters
    ----------
    model
        Model to write.
    path
        Target; appears whole or not at all.
    extra
        More to keep in the metadata, as JSON.

    Returns
    -------
    The model's id, which vector files name.
    """
    weights = {k: v.detach().cpu().half().numpy() for k, v in model.state_dict().items()}
    identity = model_id(weights)
    metadata = {
        "kind": KIND,
        "id": identity,
        "config": json.dumps(asdict(model.config)),
        **{k: json.dumps(v) for k, v in (extra or {}).items()},
    }
    write_arrays(path, weights, metadata)
    return identity


def load_vae(path: Path, device: str = "cpu") -> tuple[VAE, str]:
    """Read a model.

    Parameters
    ----------
    path
        File written by :func:`save_vae`.
    device
        Where its weights go.

    Returns
    -------
    The model in evaluation mode (float32), and its id.

    Raises
    ------
    AssetError
        If the file is missing, damaged, or not such a model.
    """
    weights, metadata = read_arrays(path, KIND, WHAT)
    with damage_named(path, WHAT):
        config = read_config(metadata["config"], VAEConfig)
        # Not on the meta device: that would import torch's compiler, for more than a second.
        model = VAE(config)
        tensors = {k: torch.from_numpy(v).float() for k, v in weights.items()}
        model.load_state_dict(tensors, assign=True)
        identity = metadata["id"]
    return model.eval().to(device), identity
