"""Files of named arrays: safetensors whose metadata says what kind of file it is.

Files come from anywhere, so nothing in them is executed, and every damage ends in one line.
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

_LARGEST = 1 << 30  # Bytes of a file; Face Flex's own weights take 172 million.
_MOST = 10_000  # Arrays in a file.
_PICKLES = (b"PK\3\4", b"\x80\2", b"\x80\3", b"\x80\4", b"\x80\5")

Arrays = dict[str, NDArray[Any]]
Kinds = str | tuple[str, ...]
Config = TypeVar("Config")


@contextmanager
def wrap_read_errors(path: Path, what: str) -> Iterator[None]:
    """Turn whatever reading a damaged file raises into an ``AssetError`` that names it."""
    try:
        yield
    except FaceflexError:
        raise
    except FileNotFoundError:
        raise AssetError(f"{path}: no such file") from None
    except Exception as error:  # Whoever writes such a file chooses what it leads to.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise AssetError(f"{path}: damaged or foreign {what} ({reason[:160]})") from error


@contextmanager
def _opened(path: Path, kind: Kinds, what: str) -> Iterator[tuple[Any, dict[str, str]]]:
    """Open a file of a kind; give it and its metadata."""
    from safetensors import safe_open

    with wrap_read_errors(path, what):
        size = path.stat().st_size
        if size > _LARGEST:
            raise ValueError(f"{size:,} bytes; at most {_LARGEST:,} are read")
        with path.open("rb") as start:
            if start.read(4).startswith(_PICKLES):
                raise AssetError(
                    f"{path}: not a {what} but a pickle, which could run anything; "
                    "for Face Flex's files see: faceflex import"
                )
        with safe_open(path, framework="numpy") as file:
            metadata: dict[str, str] = file.metadata() or {}
            found = metadata.get("kind")
            if found not in ((kind,) if isinstance(kind, str) else kind):
                raise AssetError(f"{path}: not a {what} (its kind is {str(found)[:60]!r})")
            yield file, metadata


def read_metadata(path: Path, kind: Kinds, what: str) -> dict[str, str]:
    """Return a file's metadata; see :func:`read_arrays`."""
    with _opened(path, kind, what) as (_, metadata):
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
    with _opened(path, kind, what) as (file, metadata):
        names = list(file.keys())
        if len(names) > _MOST:
            raise ValueError(f"{len(names):,} arrays")
        arrays: Arrays = {name: file.get_tensor(name) for name in names}
        for name, array in arrays.items():
            if not _finite(array):
                raise ValueError(f"{name} is not finite")
    return arrays, metadata


def _finite(array: NDArray[Any]) -> bool:
    """Tell whether all numbers are finite, as float32 too."""
    if array.dtype == np.float16:  # By its exponents: ten times as fast as numpy's own.
        return not array.size or int((array.view(np.uint16) & 0x7C00).max()) < 0x7C00
    if array.dtype.kind != "f":
        return True
    with np.errstate(over="ignore"):
        return bool(np.isfinite(array.astype(np.float32, copy=False)).all())


def valid_names(names: Iterable[Any]) -> bool:
    """Tell whether names are distinct text that can be shown, and be part of a file's name."""
    found = list(names)
    plain = (
        isinstance(n, str) and 0 < len(n) <= 100 and n.isprintable() and not set(n) & set("/\\")
        for n in found
    )
    return all(plain) and len(set(found)) == len(found)


def read_config(text: str, kind: type[Config]) -> Config:
    """Make a dataclass of the JSON that a file's metadata keeps; its lists become tuples."""
    fields: dict[str, Any] = json.loads(text)
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()})


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], metadata: dict[str, str]) -> None:
    """Write a file of arrays; it appears whole or not at all."""
    from safetensors.numpy import save_file

    with atomic_write(path) as temporary:
        save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, temporary, metadata)
