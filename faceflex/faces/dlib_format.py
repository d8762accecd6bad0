"""dlib's file format of shape predictors: validation, reading, and quantization to int8.

dlib stores an integer as a control byte (how many bytes follow; the top bit is the sign) and its
bytes, little-endian; a float as two integers, mantissa and exponent of 2; sizes of matrices are
negated. Format: dlib/serialize.h and dlib/image_processing/shape_predictor.h.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from faceflex.faces.trees import KIND
from faceflex.tensors import write_arrays

_Item = TypeVar("_Item")
_INT8_MAX = 127
_SPECIAL = {32000: np.inf, 32001: -np.inf, 32002: np.nan}  # dlib's exponents of infinities and NaN.


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def read_integer(self) -> int:
        control = self.data[self.at]
        end = self.at + 1 + (control & 0x0F)
        if control & 0x70 or end > len(self.data):
            raise ValueError("not a serialised dlib object")
        value = int.from_bytes(self.data[self.at + 1 : end], "little")
        self.at = end
        return -value if control & 0x80 else value

    def read_float(self) -> float:
        mantissa, exponent = self.read_integer(), self.read_integer()
        return float(_SPECIAL.get(exponent, mantissa * 2.0**exponent))

    def skip(self, count: int) -> None:
        """Skip integers."""
        data, at = self.data, self.at
        for _ in range(count):
            at += 1 + (data[at] & 0x0F)
        self.at = at

    def read_floats(self, count: int) -> NDArray[np.float32]:
        return np.array([self.read_float() for _ in range(count)], np.float32)

    def read_sequence(self, read: Callable[[], _Item]) -> list[_Item]:
        """Read a sequence: its length, then its items."""
        return [read() for _ in range(self.read_integer())]

    def read_matrix(self) -> NDArray[np.float32]:
        rows, columns = abs(self.read_integer()), abs(self.read_integer())
        return self.read_floats(rows * columns)


def _tree(reader: _Reader) -> tuple[list[tuple[int, int]], list[float], NDArray[np.float32]]:
    """Read a tree: pixel pairs and thresholds of its splits, its leaves (L, 136)."""
    pairs, thresholds = [], []
    for _ in range(reader.read_integer()):
        pairs.append((reader.read_integer(), reader.read_integer()))
        thresholds.append(reader.read_float())
    leaves = np.stack([reader.read_matrix() for _ in range(reader.read_integer())])
    return pairs, thresholds, leaves


def check_predictor(data: bytes) -> None:
    """Check that every index of a ``dlib.shape_predictor`` is within bounds.

    dlib does not check them: it would read memory out of bounds.

    Parameters
    ----------
    data
        Content of the file; 100 MB take about 3 seconds.

    Raises
    ------
    ValueError
        If it is not a shape predictor of 68 points, or an index is out of bounds.
    """
    reader, highest = _Reader(data), []

    def expect(condition: bool) -> None:
        if not condition:
            raise ValueError("not a complete shape predictor of 68 points")

    def matrix() -> None:
        expect(abs(reader.read_integer()) * abs(reader.read_integer()) == 136)
        reader.skip(272)

    try:
        expect(reader.read_integer() == 1)
        matrix()
        for _ in range(reader.read_integer()):
            highest.append(0)
            for _ in range(reader.read_integer()):
                splits = reader.read_integer()
                for _ in range(splits):
                    pair = reader.read_integer(), reader.read_integer()
                    expect(min(pair) >= 0)
                    highest[-1] = max(highest[-1], *pair)
                    reader.skip(2)
                leaves = reader.read_integer()
                expect(splits >= 0 and leaves == splits + 1 and leaves & splits == 0)
                for _ in range(leaves):
                    matrix()
        expect(reader.read_integer() == len(highest) > 0)
        pools = [reader.read_sequence(reader.read_integer) for _ in highest]
        expect(all(0 <= point < 68 for pool in pools for point in pool))
        expect(all(index < len(pool) for index, pool in zip(highest, pools, strict=True)))
        expect(reader.read_integer() == len(highest))
        for pool in pools:
            expect(reader.read_integer() == len(pool))
            reader.skip(4 * len(pool))
    except IndexError:
        raise ValueError("truncated shape predictor") from None
    expect(reader.at <= len(data))


def read_predictor(data: bytes) -> dict[str, NDArray[np.generic]]:
    """Read a serialised ``dlib.shape_predictor`` into arrays.

    Returns
    -------
    Arrays as in :mod:`faceflex.faces.trees`, ``leaves`` being float32 and without ``scales``.

    Raises
    ------
    ValueError
        If ``data`` is not a shape predictor of the known version.
    """
    reader = _Reader(data)
    try:
        if reader.read_integer() != 1:
            raise ValueError("unknown version of dlib's shape predictor")
        initial = reader.read_matrix().reshape(-1, 2)
        levels = reader.read_sequence(lambda: reader.read_sequence(lambda: _tree(reader)))
        anchors = reader.read_sequence(lambda: reader.read_sequence(reader.read_integer))
        deltas = reader.read_sequence(lambda: reader.read_floats(2 * reader.read_integer()))
        return {
            "initial": initial,
            "anchors": np.array(anchors, np.uint8),
            "deltas": np.stack(deltas).reshape(len(deltas), -1, 2),
            "features": np.array([[t[0] for t in level] for level in levels], np.uint16),
            "thresholds": np.array([[t[1] for t in level] for level in levels], np.float32),
            "leaves": np.stack([np.stack([t[2] for t in level]) for level in levels]),
        }
    except IndexError:
        raise ValueError("truncated shape predictor") from None
    except OverflowError:
        raise ValueError("damaged shape predictor (a number out of range)") from None


def pack(data: bytes, out: Path) -> None:
    """Quantize a ``dlib.shape_predictor``; write it as a file of :mod:`faceflex.faces.trees`.

    Parameters
    ----------
    data
        Content of the file that dlib's ``save`` wrote.
    out
        Path of the output, written atomically.
    """
    arrays = read_predictor(data)
    leaves = np.asarray(arrays["leaves"], np.float32)
    scales = np.maximum(np.abs(leaves).max(axis=(1, 2)), 1e-12) / _INT8_MAX  # (C, 136)
    arrays["leaves"] = np.round(leaves / scales[:, None, None]).astype(np.int8)
    arrays["scales"] = scales
    arrays["thresholds"] = np.asarray(arrays["thresholds"]).astype(np.float16)
    arrays["deltas"] = np.asarray(arrays["deltas"]).astype(np.float16)
    write_arrays(out, arrays, {"kind": KIND})
