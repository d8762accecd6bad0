"""A safe reader of pickled arrays: nothing in an untrusted file is executed.

Reads what numpy and joblib write for dictionaries and lists of arrays. Any other name that a pickle
asks for is refused before it is looked up.
"""

from __future__ import annotations

import io
import math
import pickle
import re
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from faceflex.errors import AssetError

_LARGEST = 1 << 28  # Bytes of one array, and of a file.
_PLAIN = (None, None, None, -1, -1, 0)  # What numpy says of a type of plain numbers.


class _JoblibArray:
    """Stands for joblib's wrapper of an array whose numbers follow it in the stream."""

    shape: tuple[int, ...]
    order: str
    dtype: np.dtype[Any]
    numpy_array_alignment_bytes: int | None = None

    def read(self, file: io.BufferedIOBase) -> np.ndarray[Any, Any]:
        if self.dtype.hasobject:
            raise pickle.UnpicklingError("an array of objects")
        count = math.prod(self.shape)
        size = count * self.dtype.itemsize
        if count < 0 or size > _LARGEST:
            raise pickle.UnpicklingError(f"an array of {size} bytes")
        if self.numpy_array_alignment_bytes:
            padding = file.read(1)
            file.read(padding[0] if padding else 0)
        data = file.read(size)
        if len(data) < size:
            raise pickle.UnpicklingError("ends within an array")
        return np.frombuffer(data, self.dtype).reshape(self.shape, order=self.order)  # type: ignore[call-overload]


class _Array:
    """Stands for numpy's class where a pickle names it: made by itself, it could be of any size."""


def _empty(kind: Any, shape: Any, _code: Any) -> np.ndarray[Any, Any]:
    """Stand for numpy's ``_reconstruct``; a pickle calls it so, and gives the shape later."""
    if kind is not _Array or shape != (0,):
        raise pickle.UnpicklingError("an array that numpy would not write")
    return np.empty(0, np.int8)


def _number_type(code: Any, *_rest: Any) -> np.dtype[Any]:
    """Stand for ``numpy.dtype``, of plain numbers only."""
    if not isinstance(code, str) or not re.fullmatch("[<>|=]?[biufc][0-9]{1,2}", code):
        raise pickle.UnpicklingError(f"an array of {str(code)[:40]!r}")
    return np.dtype(code, copy=True)  # What follows may change its byte order.


def _scalar(kind: Any, data: Any) -> Any:
    """Stand for numpy's ``scalar``, which makes a number of its bytes."""
    if not isinstance(kind, np.dtype) or not isinstance(data, bytes):
        raise pickle.UnpicklingError("a number that numpy would not write")
    return np.frombuffer(data, kind, 1)[0]


def _allowed() -> dict[tuple[str, str], Any]:
    allowed: dict[tuple[str, str], Any] = {
        ("numpy", "ndarray"): _Array,
        ("numpy", "dtype"): _number_type,
        ("joblib.numpy_pickle", "NumpyArrayWrapper"): _JoblibArray,
    }
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        allowed[module, "_reconstruct"], allowed[module, "scalar"] = _empty, _scalar
    return allowed


# The pure-Python unpickler, because joblib's arrays follow their wrappers within the stream.
_Python: Any = vars(pickle)["_Unpickler"]


class _Arrays(_Python):  # type: ignore[misc]
    dispatch: ClassVar[dict[int, Any]] = dict(_Python.dispatch)

    def __init__(self, file: io.BufferedIOBase) -> None:
        super().__init__(file)
        self._from, self._known = file, _allowed()

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._known:
            raise pickle.UnpicklingError(f"asks for {module}.{name}")
        return self._known[module, name]

    def load_build(self) -> None:
        state, target = self.stack[-1], self.stack[-2]
        # numpy trusts what a pickle says of a type's fields and flags.
        if isinstance(target, np.dtype) and (
            not isinstance(state, tuple) or state[1] not in "<>|=" or state[2:] != _PLAIN
        ):
            raise pickle.UnpicklingError("a type of numbers that numpy would not write")
        super().load_build()
        if isinstance(self.stack[-1], _JoblibArray):
            self.stack[-1] = self.stack[-1].read(self._from)

    dispatch[pickle.BUILD[0]] = load_build

    def load_bytearray8(self) -> None:
        # Python takes the memory that is claimed before it looks whether there is as much.
        raise pickle.UnpicklingError("asks for a bytearray")

    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8


def read_pickled_arrays(path: Path) -> Any:
    """Read dictionaries, lists, tuples, numbers, text and arrays from a pickle.

    Parameters
    ----------
    path
        File written by ``pickle`` or, uncompressed, by ``joblib``.

    Raises
    ------
    AssetError
        If it is missing or damaged, or asks for anything but numpy arrays.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError(f"more than {_LARGEST:,} bytes")
        with path.open("rb") as file:
            return _Arrays(io.BytesIO(file.read())).load()
    except FileNotFoundError:
        raise AssetError(f"{path}: no such file") from None
    except Exception as error:  # A damaged pickle may raise anything at all.
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise AssetError(f"{path}: not a pickle of arrays alone ({reason})") from error
