"""Registry of asset files: names, hashes and URLs; their location on this machine."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import sys
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from faceflex.errors import UsageError
from faceflex.files import atomic_write

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Asset:
    """A registered file.

    Attributes
    ----------
    name
        Name in commands and messages.
    file
        File name in the package or the cache.
    size, sha256
        Size in bytes, and hash.
    about, licence
        Description and licence.
    bundled
        Whether the package contains it.
    urls
        Mirrors, in order of preference; ``.bz2`` is decompressed.
    carrier
        ``package/path``: another Python package that may be installed and contains the file.
    """

    name: str
    file: str
    size: int
    sha256: str
    about: str
    licence: str
    bundled: bool = False
    urls: tuple[str, ...] = ()
    carrier: str = ""


@dataclass(frozen=True)
class Location:
    """Location of a file: ``source`` is ``cache``, ``package`` or ``carrier``."""

    path: Path
    source: str


def read_toml(name: str) -> dict[str, Any]:
    """Read a TOML file of the package."""
    text = resources.files("faceflex.assets").joinpath(name).read_text("utf-8")
    return tomllib.loads(text)


@cache
def registry() -> dict[str, Asset]:
    """Return all registered files by name."""
    assets = {}
    for name, fields in read_toml("assets.toml").items():
        fields["urls"] = tuple(fields.get("urls", ()))
        assets[name] = Asset(name, **fields)
    return assets


def find_asset(name: str) -> Asset:
    """Return the registered file called ``name``.

    Raises
    ------
    UsageError
        If there is none; the message lists all names.
    """
    try:
        return registry()[name]
    except KeyError:
        names = ", ".join(registry())
        raise UsageError(f"no file is registered as {name!r}; there are: {names}") from None


def cache_dir() -> Path:
    """Return the folder of downloads: ``FACEFLEX_HOME``, or the user's cache folder."""
    home = os.environ.get("FACEFLEX_HOME")
    if home:
        return Path(home).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("faceflex"))


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def hash_matches(path: Path, asset: Asset, *, rehash: bool = False) -> bool:
    """Return whether a file has the registered size and hash.

    In the cache the hash is computed once: a note beside the file records the size and modification
    time for which it was verified.

    Parameters
    ----------
    path, asset
        File to check, and its registration.
    rehash
        Compute the hash regardless of the note.
    """
    try:
        stat = path.stat()
    except OSError:
        return False
    if stat.st_size != asset.size:
        return False
    note = path.with_name(f".{path.name}.checked")
    record = {"size": stat.st_size, "changed": stat.st_mtime_ns, "sha256": asset.sha256}
    if not rehash:
        try:
            if json.loads(note.read_text()) == record:
                return True
        except (OSError, ValueError):
            pass
    if sha256_of(path) != asset.sha256:
        return False
    if path.parent != cache_dir():
        return True
    try:
        with atomic_write(note) as temporary:
            temporary.write_text(json.dumps(record))
    except OSError:
        pass  # Read-only cache: the hash is computed each time.
    return True


def _carrier_path(asset: Asset) -> Path | None:
    """Return the path of an asset in its carrier package, without importing that; or None."""
    if not asset.carrier:
        return None
    package, _, inside = asset.carrier.partition("/")
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))) / inside


def bundled_path(asset: Asset) -> Path:
    """Return the path of a bundled asset in this package."""
    return Path(str(resources.files("faceflex.assets").joinpath(asset.file)))


def locate(asset: Asset, *, rehash: bool = False) -> Location | None:
    """Locate a registered file on this machine: in cache, this package or carrier package.

    Returns
    -------
    The first location with the right hash, or None.
    """
    cached = cache_dir() / asset.file
    if hash_matches(cached, asset, rehash=rehash):
        return Location(cached, "cache")
    if asset.bundled:
        bundled = bundled_path(asset)
        # Installation verified the package's files; hashing them at each start would take longer
        # than reading them.
        valid = hash_matches(bundled, asset, rehash=True) if rehash else bundled.is_file()
        if valid:
            return Location(bundled, "package")
    carrier = _carrier_path(asset)
    if carrier is not None and hash_matches(carrier, asset, rehash=rehash):
        return Location(carrier, "carrier")
    return None


def is_offline() -> bool:
    """Return whether ``FACEFLEX_OFFLINE`` forbids downloads."""
    return os.environ.get("FACEFLEX_OFFLINE", "") not in ("", "0")


def manual_hint(asset: Asset) -> str:
    """Return the instruction how to place a file by hand."""
    path = cache_dir() / asset.file
    return f"place it at {path} by hand ({asset.size:,} bytes, sha256 {asset.sha256})"
