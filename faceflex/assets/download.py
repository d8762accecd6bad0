"""Fetch registered files: mirrors in turn, hashes always, nothing half-written under a final name.

pooch downloads; unpacking and the last check are done here, because a file that was unpacked
halfway must never be taken for a whole one.
"""

from __future__ import annotations

import bz2
import io
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from faceflex.assets.registry import Asset, cache_dir, hash_matches, locate, manual_hint
from faceflex.errors import AssetError

if TYPE_CHECKING:
    import requests
    from typing_extensions import Buffer

_TIMEOUT = 30  # Seconds without a byte.
_STALE = 86_400.0  # Seconds after which a killed run's leavings are swept away.
_PARTIAL = ".partial-"

Progress = Callable[[str], Any]


def mirror_urls(asset: Asset) -> list[str]:
    """Return the mirrors to try: ``FACEFLEX_MIRROR`` (a base address) first, when set."""
    base = os.environ.get("FACEFLEX_MIRROR", "").rstrip("/")
    return [f"{base}/{asset.file}", *asset.urls] if base else list(asset.urls)


def _sweep(folder: Path) -> None:
    """Remove what runs that were killed left behind, a day ago or longer."""
    import shutil

    for old in folder.glob(f"{_PARTIAL}*"):
        try:
            if time.time() - old.stat().st_mtime > _STALE:
                shutil.rmtree(old, ignore_errors=True)
        except OSError:
            continue


def _unpack(packed: Path, target: Path, limit: int) -> None:
    """Unpack a bzip2 file; stop when it grows past ``limit`` bytes."""
    written = 0
    with bz2.open(packed, "rb") as source, target.open("wb") as sink:
        while chunk := source.read(1 << 20):
            written += len(chunk)
            if written > limit:
                raise ValueError("unpacks to more than the registered size")
            sink.write(chunk)
        sink.flush()
        os.fsync(sink.fileno())


class _Bounded(io.FileIO):
    """A file that takes no more than the registered size, whatever a server sends."""

    def __init__(self, path: str, limit: int) -> None:
        super().__init__(path, "wb")
        self._room = limit

    def write(self, data: Buffer) -> int:
        self._room -= len(memoryview(data))
        if self._room < 0:
            raise ValueError("sends more than the registered size")
        return super().write(data)


def _stay_secure(response: requests.Response, *_: Any, **__: Any) -> None:
    """Refuse to be led from HTTPS to a connection that anybody on the way can read and change."""
    if not response.is_redirect:
        return
    target = urljoin(response.url, response.headers["location"])
    if urlsplit(response.url).scheme == "https" and urlsplit(target).scheme != "https":
        raise ValueError(f"leads from https to {target[:80]}, which is refused")


def _try_one(url: str, asset: Asset, work: Path, progress: Progress | None) -> Path:
    """Download from one mirror into ``work``; return the checked file."""
    import pooch

    packed = url.endswith(".bz2")
    bar = progress(asset.name) if progress else False
    downloader = pooch.HTTPDownloader(
        progressbar=bar, timeout=_TIMEOUT, hooks={"response": _stay_secure}
    )
    # bzip2 makes nothing longer by more than a hundredth and some bytes.
    limit = asset.size + (asset.size // 100 + 600 if packed else 0)

    def download(url: str, place: str, owner: Any) -> None:
        with _Bounded(place, limit) as file:
            downloader(url, file, owner)

    name = "packed.bz2" if packed else "plain"
    # Of a packed file only the content's hash is registered, which is checked below.
    known = None if packed else f"sha256:{asset.sha256}"
    path = Path(pooch.retrieve(url, known, name, work, downloader=download))
    if packed:
        plain = work / "plain"
        _unpack(path, plain, asset.size)
        path = plain
    if not hash_matches(path, asset, rehash=True):
        raise ValueError(f"wrong content (size {path.stat().st_size:,}, or hash)")
    return path


def _reason(error: Exception) -> str:
    response = getattr(error, "response", None)
    if response is not None:
        return f"HTTP {response.status_code}"
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    if "SHA256 hash of downloaded file" in text:
        return "wrong content (the hash differs)"
    return text if len(text) < 160 else f"{type(error).__name__}: {text[:150]}…"


def fetch(asset: Asset, *, progress: Progress | None = None, again: bool = False) -> Path:
    """Download a registered file into the cache.

    Parameters
    ----------
    asset
        What to fetch.
    progress
        Called with the file's name; returns a progress bar as pooch wants it.
    again
        Fetch although the right file is there.

    Returns
    -------
    Its path. The file appears there whole and checked, or not at all.

    Raises
    ------
    AssetError
        If no mirror has it or the folder cannot be written; the message says what to do by hand.
    """
    if not again:
        found = locate(asset)
        if found is not None:
            return found.path
    import pooch
    import requests

    pooch.get_logger().setLevel("WARNING")
    folder = cache_dir()
    urls = mirror_urls(asset)
    if not urls:
        raise AssetError(f"{asset.name} has no address to fetch it from; {manual_hint(asset)}")
    target, failures = folder / asset.file, []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        for url in urls:
            with tempfile.TemporaryDirectory(prefix=_PARTIAL, dir=folder) as work:
                try:
                    got = _try_one(url, asset, Path(work), progress)
                except (requests.RequestException, ValueError, EOFError) as error:
                    failures.append(f"{url}: {_reason(error)}")
                    continue
                except OSError as error:
                    # bz2 reports damage as a bare OSError; real ones carry an errno.
                    if error.errno is not None:
                        raise
                    failures.append(f"{url}: damaged archive")
                    continue
                os.replace(got, target)
                return target
    except OSError as error:
        reason = error.strerror or str(error)
        raise AssetError(
            f"{folder}: cannot be written ({reason}); set FACEFLEX_HOME to another folder"
        ) from error
    tried = "; ".join(failures)
    raise AssetError(f"{asset.name} could not be fetched ({tried}); {manual_hint(asset)}")
