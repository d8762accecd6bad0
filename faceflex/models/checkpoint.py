"""Model files: safetensors with the network's shape as JSON in their metadata."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from faceflex.errors import AssetError
from faceflex.models.vae import VAE, VAEConfig

KIND = "faceflex-vae-1"


def model_id(tensors: dict[str, torch.Tensor]) -> str:
    """Return the identity of weights: 16 hex digits, from the float16 values by name."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].detach().cpu().half().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


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
    tensors = {k: v.detach().cpu().half().contiguous() for k, v in model.state_dict().items()}
    identity = model_id(tensors)
    metadata = {
        "kind": KIND,
        "id": identity,
        "config": json.dumps(asdict(model.config)),
        **{k: json.dumps(v) for k, v in (extra or {}).items()},
    }
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        save_file(tensors, temporary, metadata)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
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
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("kind") != KIND:
                raise AssetError(f"{path}: not a faceflex model (kind {metadata.get('kind')!r})")
            tensors = {k: file.get_tensor(k).float() for k in file.keys()}  # noqa: SIM118
        fields = json.loads(metadata["config"])
        config = VAEConfig(**{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()})
        with torch.device("meta"):
            model = VAE(config)
        model.load_state_dict(tensors, assign=True)
    except FileNotFoundError:
        raise AssetError(f"{path}: no such model file") from None
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise AssetError(f"{path}: damaged or foreign model file ({reason})") from error
    if not all(bool(np.isfinite(float(t.sum()))) for t in tensors.values()):
        raise AssetError(f"{path}: the weights are not finite")
    return model.eval().to(device), metadata["id"]
