"""What is known of attributes beyond their vectors; data in ``assets/attributes.toml``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

from faceflex.assets.registry import read_toml


@dataclass(frozen=True)
class TransferStyle:
    """How the difference of two decodes is carried over to a photo.

    Attributes
    ----------
    tone
        How much of its colour is carried over, 0 to 1; the rest of the difference only makes the
        photo's own colours lighter or darker.
    depth
        The most by which that lightens or darkens, as a share.
    scale
        What is smoother than this many pixels of the 128-pixel crop is tone, and is left to the
        photo.
    width
        How much of the sideways motion of mouth and nose is made.
    motion
        Whether the photo's pixels move at all (1 or 0). Hair on the skin, make-up and glasses lie
        on a face that stays as it is.
    taken
        How much of the edit takes away what lies on a face, 0 to 1.
    """

    tone: float = 0.0
    depth: float = 0.4
    scale: float = 7.0
    width: float = 1.0
    motion: float = 1.0
    taken: float = 0.0


@cache
def kinds() -> dict[str, TransferStyle]:
    """Return how each attribute's edits are carried over, for those that are not just shape."""
    return {
        name: TransferStyle(**{k: v for k, v in kind.items() if k not in ("names", "takers")})
        for kind in read_toml("attributes.toml").values()
        for name in kind["names"]
    }


def expression_names() -> tuple[str, ...]:
    """Return the attributes that are expressions: their versions are different kinds of them."""
    names: list[str] = read_toml("attributes.toml")["expression"]["names"]
    return tuple(names)


def carry(settings: Mapping[str, float]) -> TransferStyle:
    """Return how an edit is carried over: the mean of its attributes, by strength.

    Parameters
    ----------
    settings
        Strength of each attribute, by its proper name.
    """
    total = sum(abs(v) for v in settings.values())
    if not total:
        return TransferStyle()
    parts = [_carried(name, value < 0) for name, value in settings.items()]
    shares = [(abs(v) / total, part) for v, part in zip(settings.values(), parts, strict=True)]
    return TransferStyle(
        *(sum(w * getattr(c, f) for w, c in shares) for f in TransferStyle.__dataclass_fields__)
    )


def _carried(name: str, negative: bool) -> TransferStyle:
    """Return how an attribute's edit in one direction is carried over."""
    worn = read_toml("attributes.toml")["worn"]
    kind = kinds().get(name, TransferStyle())
    if name not in worn["names"]:
        return kind
    return replace(kind, taken=float(negative != (name in worn["takers"])))
