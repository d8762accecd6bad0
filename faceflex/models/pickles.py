"""Arrays out of pickles that come from anywhere: nothing in them is executed.

Reads what numpy and joblib write for dictionaries and lists of arrays. Any other name that a pickle
asks for is refused before it is looked up.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from faceflex.errors import AssetError

_LARGEST = 1 << 28  # Bytes of one array.


class _JoblibArray:
    """Stands for joblib's wrapper of an array whose numbers follow it in the stream."""

    shape: tuple[int, ...]
    order: str
    dtype: np.dtype[Any]
    numpy_array_alignment_bytes: int | None = None

    def read(self, file: io.BufferedIOBase) -> np.ndarray[Any, Any]:
        if self.dtype.hasobject:
            raise pickle.UnpicklingError("an array of objects")
        count = int(np.prod(self.shape, dtype=np.int64))
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


def _allowed() -> dict[tuple[str, str], Any]:
    reconstruct = np._core.multiarray._reconstruct  # type: ignore[attr-defined]
    scalar = np._core.multiarray.scalar  # type: ignore[attr-defined]
    found: dict[tuple[str, str], Any] = {
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("joblib.numpy_pickle", "NumpyArrayWrapper"): _JoblibArray,
    }
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        found[module, "_reconstruct"], found[module, "scalar"] = reconstruct, scalar
    return found


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
        super().load_build()
        if isinstance(self.stack[-1], _JoblibArray):
            self.stack[-1] = self.stack[-1].read(self._from)

    dispatch[pickle.BUILD[0]] = load_build


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
        with path.open("rb") as file:
            return _Arrays(io.BytesIO(file.read())).load()
    except FileNotFoundError:
        raise AssetError(f"{path}: no such file") from None
    except Exception as error:  # A damaged pickle may raise anything at all.
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise AssetError(f"{path}: not a pickle of arrays alone ({reason})") from error
