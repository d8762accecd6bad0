"""dlib's file format of landmark predictors: check and read it, and pack it into the small form.

dlib stores an integer as a control byte (how many bytes follow; the top bit is the sign) and its
bytes, lowest first; a float as two integers, mantissa and exponent of 2; sizes of matrices are
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
_TOP = 127  # Largest number that a leaf's byte holds.
_SPECIAL = {32000: np.inf, 32001: -np.inf, 32002: np.nan}  # dlib's exponents of non-numbers.


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def integer(self) -> int:
        control = self.data[self.at]
        end = self.at + 1 + (control & 0x0F)
        if control & 0x70 or end > len(self.data):
            raise ValueError("not a serialised dlib object")
        value = int.from_bytes(self.data[self.at + 1 : end], "little")
        self.at = end
        return -value if control & 0x80 else value

    def real(self) -> float:
        mantissa, exponent = self.integer(), self.integer()
        return float(_SPECIAL.get(exponent, mantissa * 2.0**exponent))

    def skip(self, count: int) -> None:
        """Pass over integers, as fast as Python can."""
        data, at = self.data, self.at
        for _ in range(count):
            at += 1 + (data[at] & 0x0F)
        self.at = at

    def reals(self, count: int) -> NDArray[np.float32]:
        return np.array([self.real() for _ in range(count)], np.float32)

    def many(self, read: Callable[[], _Item]) -> list[_Item]:
        """Read a sequence: its length, then its items."""
        return [read() for _ in range(self.integer())]

    def matrix(self) -> NDArray[np.float32]:
        rows, columns = abs(self.integer()), abs(self.integer())
        return self.reals(rows * columns)


def _tree(source: _Reader) -> tuple[list[tuple[int, int]], list[float], NDArray[np.float32]]:
    """Read a tree: pixel pairs and thresholds of its splits, its leaves (L, 136)."""
    pairs, thresholds = [], []
    for _ in range(source.integer()):
        pairs.append((source.integer(), source.integer()))
        thresholds.append(source.real())
    leaves = np.stack([source.matrix() for _ in range(source.integer())])
    return pairs, thresholds, leaves


def check_predictor(data: bytes) -> None:
    """Check that every index of a ``dlib.shape_predictor`` is within bounds.

    dlib does not: indices of points or pixels out of bounds would crash it, or worse.

    Parameters
    ----------
    data
        The file's bytes; 100 million take about 3 seconds.

    Raises
    ------
    ValueError
        If it is not a shape predictor of 68 points, or an index is out of bounds.
    """
    source, highest = _Reader(data), []

    def expect(good: bool) -> None:
        if not good:
            raise ValueError("not a whole shape predictor of 68 points")

    def matrix() -> None:
        expect(abs(source.integer()) * abs(source.integer()) == 136)
        source.skip(272)

    try:
        expect(source.integer() == 1)
        matrix()
        for _ in range(source.integer()):
            highest.append(0)
            for _ in range(source.integer()):
                splits = source.integer()
                for _ in range(splits):
                    pair = source.integer(), source.integer()
                    expect(min(pair) >= 0)
                    highest[-1] = max(highest[-1], *pair)
                    source.skip(2)
                leaves = source.integer()
                expect(splits >= 0 and leaves == splits + 1 and leaves & splits == 0)
                for _ in range(leaves):
                    matrix()
        expect(source.integer() == len(highest) > 0)
        pools = [source.many(source.integer) for _ in highest]
        expect(all(0 <= point < 68 for pool in pools for point in pool))
        expect(all(most < len(pool) for most, pool in zip(highest, pools, strict=True)))
        expect(source.integer() == len(highest))
        for pool in pools:
            expect(source.integer() == len(pool))
            source.skip(4 * len(pool))
    except IndexError:
        raise ValueError("truncated shape predictor") from None
    expect(source.at <= len(data))


def read_predictor(data: bytes) -> dict[str, NDArray[np.generic]]:
    """Read the bytes of a ``dlib.shape_predictor`` into arrays.

    Returns
    -------
    Arrays as in :mod:`faceflex.faces.trees`, ``leaves`` being float32 and without ``scales``.

    Raises
    ------
    ValueError
        If ``data`` is not a shape predictor of the known version.
    """
    source = _Reader(data)
    try:
        if source.integer() != 1:
            raise ValueError("unknown version of dlib's shape predictor")
        initial = source.matrix().reshape(-1, 2)
        levels = source.many(lambda: source.many(lambda: _tree(source)))
        anchors = source.many(lambda: source.many(source.integer))
        deltas = source.many(lambda: source.reals(2 * source.integer()))
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
        raise ValueError("damaged shape predictor (a number beyond all bounds)") from None


def pack(data: bytes, out: Path) -> None:
    """Write a ``dlib.shape_predictor`` in the small form of :mod:`faceflex.faces.trees`.

    Parameters
    ----------
    data
        What dlib's ``save`` wrote.
    out
        Target; appears whole or not at all.
    """
    parts = read_predictor(data)
    leaves = np.asarray(parts["leaves"], np.float32)
    scales = np.maximum(np.abs(leaves).max(axis=(1, 2)), 1e-12) / _TOP  # (C, 136)
    parts["leaves"] = np.round(leaves / scales[:, None, None]).astype(np.int8)
    parts["scales"] = scales
    parts["thresholds"] = np.asarray(parts["thresholds"]).astype(np.float16)
    parts["deltas"] = np.asarray(parts["deltas"]).astype(np.float16)
    write_arrays(out, parts, {"kind": KIND})
