"""Model files: float16 weights with the network's shape as JSON in their metadata."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from faceflex.models.face_flex import FaceFlex
from faceflex.models.model_id import KIND, KINDS, WHAT, model_id
from faceflex.models.vae import VAE, VAEConfig
from faceflex.tensors import Arrays, damage_named, read_arrays, read_config, write_arrays

Network = TypeVar("Network", bound=nn.Module)
Config = TypeVar("Config")


def save_network(
    network: nn.Module, config: Any, path: Path, kind: str, extra: dict[str, Any] | None = None
) -> None:
    """Write a network in float16; the file appears whole or not at all.

    Parameters
    ----------
    network, config
        What to write, and the dataclass that says its shape.
    path
        Where.
    kind
        What the metadata says it is.
    extra
        More to keep in the metadata, as JSON.
    """
    state = network.state_dict()
    weights = {k: v.cpu().numpy() for k, v in state.items() if not k.endswith("batches_tracked")}
    small = {k: v if "running_var" in k else v.astype(np.float16) for k, v in weights.items()}
    metadata = {"kind": kind, "config": json.dumps(asdict(config))}
    write_arrays(path, small, metadata | {k: json.dumps(v) for k, v in (extra or {}).items()})


class Unmade(TorchFunctionMode):
    """Networks made under it take neither memory nor time: their weights come from a file.

    Each is one number, repeated. So a file may claim any shape; only what it really holds is ever
    in memory. (PyTorch's ``torch.device("meta")`` imports its compiler, for more than a second.)
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name, kwargs = getattr(func, "__name__", ""), kwargs or {}
        if name in ("empty", "zeros", "ones", "full", "randn", "rand"):
            whole = name == "full" or isinstance(args[0], tuple | list | torch.Size)
            return torch.empty(1).expand(args[0] if whole else args)
        fills = name.endswith("_") and not name.endswith("__")  # In place.
        if fills or name.endswith("_like"):
            return next(iter((*args, *kwargs.values())))
        return func(*args, **kwargs)


def _fill(network: nn.Module, weights: Arrays) -> None:
    """Give a network its weights; what batch normalisation counts while training may be missing."""
    tensors = {k: torch.from_numpy(v).float() for k, v in weights.items()}
    missing, unexpected = network.load_state_dict(tensors, strict=False, assign=True)
    if unexpected or any(not k.endswith("batches_tracked") for k in missing):
        raise ValueError("its parts do not fit together")


def load_network(
    path: Path, kind: str, what: str, make: Callable[[Config], Network], shape: type[Config]
) -> Network:
    """Read a network that :func:`save_network` wrote.

    Parameters
    ----------
    path
        The file.
    kind, what
        What its metadata must say it is, and what to call it in messages.
    make, shape
        Makes the network from its configuration, and that configuration's class.

    Returns
    -------
    The network in evaluation mode, float32.

    Raises
    ------
    AssetError
        If the file is missing, damaged, or not such a network.
    """
    weights, metadata = read_arrays(path, kind, what)
    with damage_named(path, what):
        with Unmade():
            network = make(read_config(metadata["config"], shape))
        _fill(network, weights)
    return network.eval()


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
    weights, metadata = read_arrays(path, KINDS, WHAT)
    with damage_named(path, WHAT):
        with Unmade():
            if metadata["kind"] == KIND:
                model = VAE(read_config(metadata["config"], VAEConfig))
            else:
                model = FaceFlex(**json.loads(metadata["config"]))
        _fill(model, weights)
        identity = metadata["id"]
    return model.eval().to(device), identity
