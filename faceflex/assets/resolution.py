"""Resolution of names and paths of assets to local files, downloaded if missing."""

from __future__ import annotations

from pathlib import Path

from faceflex.assets.registry import is_offline, locate, manual_hint, registry
from faceflex.errors import AssetError, UsageError


def resolve(name_or_path: str | Path, *, offline: bool | None = None) -> Path:
    """Return the local path of a registered name, downloaded if missing, or of a given path.

    Parameters
    ----------
    name_or_path
        Registered name (``vae``), or path of any file.
    offline
        Never download; by default :func:`~faceflex.assets.registry.is_offline`.

    Raises
    ------
    AssetError
        If it cannot be downloaded; the message says where to place the file by hand.
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
    location = locate(asset)
    if location is not None:
        return location.path
    if is_offline() if offline is None else offline:
        raise AssetError(
            f"{text} is not on this machine and faceflex is offline; {manual_hint(asset)}"
        )
    from faceflex.assets.download import fetch

    return fetch(asset)
