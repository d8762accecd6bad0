"""Checkpoints: float16 weights with the network's shape as JSON in their metadata.

One way to write and to read them all; what differs between kinds of file is said by the networks'
classes (:class:`faceflex.models.network.Network`).
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from faceflex.models.face_flex import FaceFlex
from faceflex.models.model_id import model_id, read_id
from faceflex.models.network import Network
from faceflex.models.vae import VAE
from faceflex.tensors import Arrays, read_arrays, read_config, wrap_read_errors, write_arrays

AnyNetwork = TypeVar("AnyNetwork", bound=Network)


def save_network(network: Network, path: Path, extra: dict[str, Any] | None = None) -> str:
    """Write a checkpoint in float16; the file appears whole or not at all.

    Running variances of batch normalisation stay float32: they may exceed float16's range.

    Parameters
    ----------
    network
        The network; its class says the kind of the file.
    path
        Target.
    extra
        More to keep in the metadata, as JSON.

    Returns
    -------
    The id of the weights, which vector files name (see :func:`faceflex.models.model_id.model_id`).
    """
    weights = {
        name: value.cpu().numpy().astype(np.float32 if "running_var" in name else np.float16)
        for name, value in network.state_dict().items()
        if not name.endswith("batches_tracked")
    }
    identity = model_id(weights)
    metadata = {"kind": network.kind, "id": identity, "config": json.dumps(asdict(network.config))}
    write_arrays(path, weights, metadata | {k: json.dumps(v) for k, v in (extra or {}).items()})
    return identity


class Unmade(TorchFunctionMode):
    """Context in which networks take neither memory nor time: their weights come from a file.

    Each tensor is one number, repeated. So a file may claim any shape; only what it really holds is
    ever in memory. (PyTorch's ``torch.device("meta")`` imports its compiler: more than a second.)
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name, kwargs = getattr(func, "__name__", ""), kwargs or {}
        if name in ("empty", "zeros", "ones", "full", "randn", "rand"):
            one_argument = name == "full" or isinstance(args[0], tuple | list | torch.Size)
            return torch.empty(1).expand(args[0] if one_argument else args)
        fills = name.endswith("_") and not name.endswith("__")  # In place.
        if fills or name.endswith("_like"):
            return next(iter((*args, *kwargs.values())))
        return func(*args, **kwargs)


def _load_weights(network: Network, weights: Arrays) -> None:
    """Give a network its weights; counters of batch normalisation may be missing."""
    tensors = {k: torch.from_numpy(v).float() for k, v in weights.items()}
    missing, unexpected = network.load_state_dict(tensors, strict=False, assign=True)
    if unexpected or any(not k.endswith("batches_tracked") for k in missing):
        raise ValueError("its parts do not fit together")


def load_network(path: Path, *networks: type[AnyNetwork], device: str = "cpu") -> AnyNetwork:
    """Read a checkpoint of one of the given networks.

    Parameters
    ----------
    path
        File written by :func:`save_network`.
    networks
        Classes that the file may hold; its kind decides.
    device
        Where the weights go.

    Returns
    -------
    The network in evaluation mode, float32.

    Raises
    ------
    AssetError
        If the file is missing, damaged, or holds none of these networks.

    Examples
    --------
    >>> from faceflex.assets import resolve
    >>> load_network(resolve("vae"), VAE).config.latent
    500
    """
    by_kind, label = {n.kind: n for n in networks}, networks[0].label
    weights, metadata = read_arrays(path, tuple(by_kind), label)
    with wrap_read_errors(path, label):
        network_type = by_kind[metadata["kind"]]
        with Unmade():
            network = network_type(read_config(metadata["config"], network_type.config_type))
        _load_weights(network, weights)
    return network.eval().to(device)


def load_vae(path: Path, device: str = "cpu") -> tuple[VAE, str]:
    """Read a face model, ours or an imported Face Flex one; see :func:`load_network`.

    Returns
    -------
    The model, and the id that vector files name.
    """
    return load_network(path, VAE, FaceFlex, device=device), read_id(path)
