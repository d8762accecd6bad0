"""Make a landmark predictor of dlib's a third smaller.

dlib stores a float as two integers, mantissa and exponent, each a control byte (how many bytes
follow; the top bit is the sign) and its bytes, lowest first. A leaf's value rounded to an 8-bit
mantissa takes 4 bytes in place of 6 and moves a landmark by less than a hundredth of a pixel. The
result is a plain file that dlib reads. Format: dlib/serialize.h and shape_predictor.h.
"""

from __future__ import annotations

import math


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

    def skip(self, count: int) -> None:
        for _ in range(count):
            self.integer()


def _integer(value: int) -> bytes:
    size = max(1, (abs(value).bit_length() + 7) // 8)
    return bytes([size | (0x80 if value < 0 else 0)]) + abs(value).to_bytes(size, "little")


def _rounded(mantissa: int, exponent: int) -> bytes:
    """Serialise mantissa x 2^exponent with an 8-bit mantissa."""
    spare = max(0, abs(mantissa).bit_length() - 8)
    small = math.floor(abs(mantissa) / 2**spare + 0.5)
    if small == 256:
        small, spare = 128, spare + 1
    return _integer(-small if mantissa < 0 else small) + _integer(exponent + spare)


def shrink(data: bytes) -> bytes:
    """Return the bytes of a ``dlib.shape_predictor`` with its leaf values rounded.

    Raises
    ------
    ValueError
        If ``data`` is not a shape predictor of the known version.
    """
    source = _Reader(data)
    try:
        if source.integer() != 1:
            raise ValueError("unknown version of dlib's shape predictor")
        rows, columns = source.integer(), source.integer()  # Sizes of matrices are negated.
        source.skip(2 * rows * columns)
        parts = [data[: source.at]]
        cascades = source.integer()
        parts.append(_integer(cascades))
        for _ in range(cascades):
            trees = source.integer()
            parts.append(_integer(trees))
            for _ in range(trees):
                _tree(source, parts)
    except IndexError:
        raise ValueError("truncated shape predictor") from None
    parts.append(data[source.at :])
    return b"".join(parts)


def _tree(source: _Reader, parts: list[bytes]) -> None:
    start = source.at
    source.skip(4 * source.integer())  # Two feature indices and a float threshold a split.
    leaves = source.integer()
    parts.append(source.data[start : source.at])
    for _ in range(leaves):
        start = source.at
        rows, columns = source.integer(), source.integer()
        parts.append(source.data[start : source.at])
        for _ in range(rows * columns):
            mantissa = source.integer()
            parts.append(_rounded(mantissa, source.integer()))
