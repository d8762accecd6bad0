"""From a name or a path to a file on this machine, fetched when it is missing."""

from __future__ import annotations

from pathlib import Path

from faceflex.assets.registry import is_offline, locate, manual_hint, registry
from faceflex.errors import AssetError, UsageError


def resolve(name_or_path: str | Path, *, offline: bool | None = None) -> Path:
    """Return the path of a file: an explicit path, or a registered name, fetched when missing.

    Parameters
    ----------
    name_or_path
        A registered name (``vae``), or the path of a file of one's own.
    offline
        Never download; by default as :func:`is_offline` says.

    Raises
    ------
    AssetError
        If it cannot be had; the message says where to put the file by hand.
    UsageError
        If it is neither a file nor a registered name.
    """
    text = str(name_or_path)
    if text not in registry():
        path = Path(text)
        if path.is_file():
            return path
        names = ", ".join(registry())
        raise UsageError(f"{text}: no such file, and not a registered name ({names})")
    asset = registry()[text]
    found = locate(asset)
    if found is not None:
        return found.path
    if is_offline() if offline is None else offline:
        raise AssetError(
            f"{text} is not on this machine and faceflex is offline; {manual_hint(asset)}"
        )
    from faceflex.assets.download import fetch

    return fetch(asset)
