"""How edits of each attribute get into a photo; data in ``assets/attributes.toml``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache

from faceflex.assets.registry import read_toml
from faceflex.compose.change import TransferStyle

DRAWN = {"Mustache": "good", "Young": "fair"}
"""Attributes that are drawn and not only decoded, and how reliable they are by measures of their
own: a mustache on men, years by a reader of age (see docs/years.md)."""


@dataclass(frozen=True)
class AttributeStyle:
    """How edits of an attribute get into a photo.

    Attributes
    ----------
    transfer
        How the difference of the decodes is transferred.
    moves
        Whether the photo's pixels move at all. Hair on the skin, make-up and glasses lie on a face
        that stays as it is.
    sideways
        Gain of the sideways motion of mouth and nose.
    """

    transfer: TransferStyle = field(default_factory=TransferStyle)
    moves: bool = True
    sideways: float = 1.0


@cache
def styles() -> dict[str, AttributeStyle]:
    """Return the styles of the attributes that are not just shape."""
    styles: dict[str, AttributeStyle] = {}
    for group in read_toml("attributes.toml").values():
        fields = TransferStyle.__dataclass_fields__
        transfer = TransferStyle(**{k: v for k, v in group.items() if k in fields})
        style = AttributeStyle(transfer, group.get("moves", True), group.get("sideways", 1.0))
        styles |= dict.fromkeys(group["names"], style)
    return styles


def style_of(name: str, *, negative: bool = False) -> AttributeStyle:
    """Return how edits of an attribute get into a photo.

    Parameters
    ----------
    name
        Its proper name.
    negative
        Whether there is to be less of it: what lies on a face is then taken away, and an
        expression's folds are carried over less.
    """
    style = styles().get(name, AttributeStyle())
    expression, worn = (read_toml("attributes.toml")[group] for group in ("expression", "worn"))
    if negative and name in expression["names"]:
        return replace(style, transfer=replace(style.transfer, **expression["less"]))
    if name not in worn["names"]:
        return style
    removal = float(negative != (name in worn["takers"]))
    return replace(style, transfer=replace(style.transfer, removal=removal))


def expression_names() -> tuple[str, ...]:
    """Return the attributes that are expressions: their versions are different kinds of them."""
    names: list[str] = read_toml("attributes.toml")["expression"]["names"]
    return tuple(names)


def blend_styles(settings: Mapping[str, float]) -> AttributeStyle:
    """Return the mean of several attributes' styles, weighted by strength.

    Parameters
    ----------
    settings
        Strength of each attribute, by its proper name.
    """
    total = sum(abs(v) for v in settings.values())
    if not total:
        return AttributeStyle()
    styles = [style_of(name, negative=value < 0) for name, value in settings.items()]
    weights = [abs(v) / total for v in settings.values()]
    fields = TransferStyle.__dataclass_fields__
    pairs = list(zip(weights, styles, strict=True))
    transfer = TransferStyle(
        **{f: sum(w * getattr(s.transfer, f) for w, s in pairs) for f in fields}
    )
    sideways = sum(w * s.sideways for w, s in pairs)
    return AttributeStyle(transfer, any(s.moves for s in styles), sideways)
