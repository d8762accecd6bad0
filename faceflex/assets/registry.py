"""The registry of files that faceflex needs, and where each one is."""

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

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Asset:
    """A file in the registry.

    Attributes
    ----------
    name
        What people call it.
    file
        Its name in the package or the cache.
    size, sha256
        Bytes, and their hash.
    about, licence
        A sentence each.
    bundled
        Whether the package carries it.
    urls
        Mirrors, in the order to try; one ending in ``.bz2`` is unpacked.
    carrier
        ``package/path``: an installed package that carries the same file.
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
    """Where a file was found: ``source`` is ``path``, ``cache``, ``package`` or ``carrier``."""

    path: Path
    source: str


def read_toml(name: str) -> dict[str, Any]:
    """Read one of the package's own TOML files."""
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
        If there is none; the message lists the names.
    """
    try:
        return registry()[name]
    except KeyError:
        names = ", ".join(registry())
        raise UsageError(f"no file is registered as {name!r}; there are: {names}") from None


def cache_dir() -> Path:
    """Return the folder of fetched files: ``FACEFLEX_HOME``, or the user's cache folder."""
    chosen = os.environ.get("FACEFLEX_HOME")
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("faceflex"))


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def hash_matches(path: Path, asset: Asset, *, rehash: bool = False) -> bool:
    """Tell whether ``path`` is the registered file.

    In the cache the hash is computed once: a small note beside the file keeps the size and time of
    change that it was computed for.

    Parameters
    ----------
    path, asset
        File to look at, and what it should be.
    rehash
        Compute the hash in any case.
    """
    try:
        stat = path.stat()
    except OSError:
        return False
    if stat.st_size != asset.size:
        return False
    note = path.with_name(f".{path.name}.checked")
    now = {"size": stat.st_size, "changed": stat.st_mtime_ns, "sha256": asset.sha256}
    if not rehash:
        try:
            if json.loads(note.read_text()) == now:
                return True
        except (OSError, ValueError):
            pass
    if sha256_of(path) != asset.sha256:
        return False
    if path.parent != cache_dir():
        return True
    try:
        with atomic_write(note) as temporary:
            temporary.write_text(json.dumps(now))
    except OSError:
        pass  # A read-only cache: the hash is computed each time.
    return True


def _carried(asset: Asset) -> Path | None:
    """Return the path of ``asset`` inside an installed package, which is not imported."""
    if not asset.carrier:
        return None
    package, _, inside = asset.carrier.partition("/")
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))) / inside


def bundled_path(asset: Asset) -> Path:
    """Return where the package keeps ``asset``."""
    return Path(str(resources.files("faceflex.assets").joinpath(asset.file)))


def locate(asset: Asset, *, rehash: bool = False) -> Location | None:
    """Find a registered file on this machine: cache, then package, then a carrying package.

    Returns
    -------
    The first place that holds the right file, or None.
    """
    cached = cache_dir() / asset.file
    if hash_matches(cached, asset, rehash=rehash):
        return Location(cached, "cache")
    if asset.bundled:
        inside = bundled_path(asset)
        # The package's own files were checked when it was installed; hashing them again at each
        # start would cost more than reading them.
        good = hash_matches(inside, asset, rehash=True) if rehash else inside.is_file()
        if good:
            return Location(inside, "package")
    carried = _carried(asset)
    if carried is not None and hash_matches(carried, asset, rehash=rehash):
        return Location(carried, "carrier")
    return None


def is_offline() -> bool:
    """Tell whether ``FACEFLEX_OFFLINE`` asks never to download."""
    return os.environ.get("FACEFLEX_OFFLINE", "") not in ("", "0")


def manual_hint(asset: Asset) -> str:
    """Return the sentence that says where a file can be placed by hand."""
    where = cache_dir() / asset.file
    return f"place it at {where} by hand ({asset.size:,} bytes, sha256 {asset.sha256})"
