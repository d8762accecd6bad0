"""Files of named arrays: safetensors whose metadata says what kind of file it is.

Files come from anywhere, so nothing in them is executed, and every damage ends in one line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from faceflex.errors import AssetError
from faceflex.files import replacing

Arrays = dict[str, NDArray[Any]]
Kinds = str | tuple[str, ...]
Config = TypeVar("Config")


@contextmanager
def damage_named(path: Path, what: str) -> Iterator[None]:
    """Turn whatever reading a damaged file raises into an ``AssetError`` that names it."""
    from safetensors import SafetensorError

    try:
        yield
    except AssetError:
        raise
    except FileNotFoundError:
        raise AssetError(f"{path}: no such file") from None
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise AssetError(f"{path}: damaged or foreign {what} ({reason})") from error


def read_metadata(path: Path, kind: Kinds, what: str) -> dict[str, str]:
    """Return a file's metadata; see :func:`read_arrays`."""
    from safetensors import safe_open

    with damage_named(path, what), safe_open(path, framework="numpy") as file:
        metadata: dict[str, str] = file.metadata() or {}
        if metadata.get("kind") not in ((kind,) if isinstance(kind, str) else kind):
            raise AssetError(f"{path}: not a {what} (its kind is {metadata.get('kind')!r})")
    return metadata


def read_arrays(path: Path, kind: Kinds, what: str) -> tuple[Arrays, dict[str, str]]:
    """Read a file of arrays.

    Parameters
    ----------
    path
        The file.
    kind
        What its metadata must say it is; one of several, if there are several.
    what
        What to call it in messages.

    Returns
    -------
    Arrays by name, and the metadata.

    Raises
    ------
    AssetError
        If the file is missing, damaged, of another kind, or holds numbers that are not finite.
    """
    from safetensors.numpy import load_file

    metadata = read_metadata(path, kind, what)
    with damage_named(path, what):
        arrays: Arrays = load_file(path)
        for name, array in arrays.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise ValueError(f"{name} is not finite")
    return arrays, metadata


def read_config(text: str, kind: type[Config]) -> Config:
    """Make a dataclass of the JSON that a file's metadata keeps; its lists become tuples."""
    fields: dict[str, Any] = json.loads(text)
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()})


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], metadata: dict[str, str]) -> None:
    """Write a file of arrays; it appears whole or not at all."""
    from safetensors.numpy import save_file

    with replacing(path) as temporary:
        save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, temporary, metadata)
