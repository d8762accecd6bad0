"""What is known of attributes beyond their vectors; data in ``assets/attributes.toml``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from faceflex.assets.registry import read_toml


@cache
def tone_attributes() -> frozenset[str]:
    """Return the attributes whose edits are about colour."""
    return frozenset(read_toml("attributes.toml")["tone"])


def tone_share(settings: Mapping[str, float]) -> float:
    """Return how much of an edit's low-frequency colour to carry over, 0 to 1.

    Parameters
    ----------
    settings
        Strength of each attribute, by its proper name.
    """
    total = sum(abs(v) for v in settings.values())
    if not total:
        return 0.0
    return sum(abs(v) for k, v in settings.items() if k in tone_attributes()) / total
