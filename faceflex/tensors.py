"""Files of named arrays: safetensors with a ``kind`` in their metadata.

Files are untrusted: nothing in them is executed, and any damage is reported in one line.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from faceflex.errors import AssetError, FaceflexError
from faceflex.files import atomic_write

_MAX_BYTES = 1 << 30  # Face Flex's own weights take 172 million.
_MAX_ARRAYS = 10_000
_PICKLE_MAGIC = (b"PK\3\4", b"\x80\2", b"\x80\3", b"\x80\4", b"\x80\5")

Arrays = dict[str, NDArray[Any]]
Kinds = str | tuple[str, ...]
Config = TypeVar("Config")


@contextmanager
def wrap_read_errors(path: Path, label: str) -> Iterator[None]:
    """Convert any exception of reading a damaged file to an ``AssetError`` with its path."""
    try:
        yield
    except FaceflexError:
        raise
    except FileNotFoundError:
        raise AssetError(f"{path}: no such file") from None
    except Exception as error:  # A hostile file can provoke any type.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise AssetError(f"{path}: damaged or foreign {label} ({reason[:160]})") from error


@contextmanager
def _open(path: Path, kind: Kinds, label: str) -> Iterator[tuple[Any, dict[str, str]]]:
    """Open a file of a kind; yield it and its metadata."""
    from safetensors import safe_open

    with wrap_read_errors(path, label):
        size = path.stat().st_size
        if size > _MAX_BYTES:
            raise ValueError(f"{size:,} bytes; at most {_MAX_BYTES:,} are read")
        with path.open("rb") as raw:
            if raw.read(4).startswith(_PICKLE_MAGIC):
                raise AssetError(
                    f"{path}: not a {label} but a pickle, which could run anything; "
                    "for Face Flex's files see: faceflex import"
                )
        with safe_open(path, framework="numpy") as file:
            metadata: dict[str, str] = file.metadata() or {}
            actual = metadata.get("kind")
            if actual not in ((kind,) if isinstance(kind, str) else kind):
                raise AssetError(f"{path}: not a {label} (its kind is {str(actual)[:60]!r})")
            yield file, metadata


def read_metadata(path: Path, kind: Kinds, label: str) -> dict[str, str]:
    """Return a file's metadata; see :func:`read_arrays`."""
    with _open(path, kind, label) as (_, metadata):
        return metadata


def read_arrays(path: Path, kind: Kinds, label: str) -> tuple[Arrays, dict[str, str]]:
    """Read a file of arrays.

    Parameters
    ----------
    path
        The file.
    kind
        Required ``kind`` of its metadata, or several that are allowed.
    label
        Name of such files for messages.

    Returns
    -------
    Arrays by name, and the metadata.

    Raises
    ------
    AssetError
        If the file is missing, damaged, of another kind, or contains values that are not finite.
    """
    with _open(path, kind, label) as (file, metadata):
        names = list(file.keys())
        if len(names) > _MAX_ARRAYS:
            raise ValueError(f"{len(names):,} arrays")
        arrays: Arrays = {name: file.get_tensor(name) for name in names}
        for name, array in arrays.items():
            if not _is_finite(array):
                raise ValueError(f"{name} is not finite")
    return arrays, metadata


def _is_finite(array: NDArray[Any]) -> bool:
    """Return whether all values are finite, also as float32."""
    if array.dtype == np.float16:  # By exponents: ten times as fast as np.isfinite.
        return not array.size or int((array.view(np.uint16) & 0x7C00).max()) < 0x7C00
    if array.dtype.kind != "f":
        return True
    with np.errstate(over="ignore"):
        return bool(np.isfinite(array.astype(np.float32, copy=False)).all())


def valid_names(names: Iterable[Any]) -> bool:
    """Return whether names are distinct, printable, and usable in file names."""
    items = list(names)
    valid = (
        isinstance(n, str) and 0 < len(n) <= 100 and n.isprintable() and not set(n) & set("/\\")
        for n in items
    )
    return all(valid) and len(set(items)) == len(items)


def read_config(text: str, kind: type[Config]) -> Config:
    """Construct a dataclass from JSON in a file's metadata; lists become tuples."""
    fields: dict[str, Any] = json.loads(text)
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()})


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], metadata: dict[str, str]) -> None:
    """Write a file of arrays atomically."""
    from safetensors.numpy import save_file

    with atomic_write(path) as temporary:
        save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, temporary, metadata)
