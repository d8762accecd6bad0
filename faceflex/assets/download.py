"""Download registered files: mirrors in turn, hashes verified, moved into place atomically.

pooch downloads; decompression and the final check are done here, because a partly decompressed file
must never be taken for a complete one.
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

_TIMEOUT = 30  # Seconds without data.
_STALE_AGE = 86_400.0  # Seconds after which partial downloads are removed.
_PARTIAL = ".partial-"

Progress = Callable[[str], Any]


def mirror_urls(asset: Asset) -> list[str]:
    """Return an asset's URLs; with ``FACEFLEX_MIRROR`` (a base URL), that mirror first."""
    base = os.environ.get("FACEFLEX_MIRROR", "").rstrip("/")
    return [f"{base}/{asset.file}", *asset.urls] if base else list(asset.urls)


def _remove_stale_downloads(folder: Path) -> None:
    """Remove partial downloads of killed processes, older than a day."""
    import shutil

    for old in folder.glob(f"{_PARTIAL}*"):
        try:
            if time.time() - old.stat().st_mtime > _STALE_AGE:
                shutil.rmtree(old, ignore_errors=True)
        except OSError:
            continue


def _unpack(packed: Path, target: Path, limit: int) -> None:
    """Decompress a bzip2 file; raise when it exceeds ``limit`` bytes."""
    written = 0
    with bz2.open(packed, "rb") as source, target.open("wb") as sink:
        while chunk := source.read(1 << 20):
            written += len(chunk)
            if written > limit:
                raise ValueError("unpacks to more than the registered size")
            sink.write(chunk)
        sink.flush()
        os.fsync(sink.fileno())


class _SizeLimitedFile(io.FileIO):
    """A file that refuses to grow beyond the registered size, whatever a server sends."""

    def __init__(self, path: str, limit: int) -> None:
        super().__init__(path, "wb")
        self._remaining = limit

    def write(self, data: Buffer) -> int:
        self._remaining -= len(memoryview(data))
        if self._remaining < 0:
            raise ValueError("sends more than the registered size")
        return super().write(data)


def _refuse_insecure_redirect(response: requests.Response, *_: Any, **__: Any) -> None:
    """Refuse redirects from HTTPS to unencrypted connections."""
    if not response.is_redirect:
        return
    target = urljoin(response.url, response.headers["location"])
    if urlsplit(response.url).scheme == "https" and urlsplit(target).scheme != "https":
        raise ValueError(f"leads from https to {target[:80]}, which is refused")


def _download_from(url: str, asset: Asset, folder: Path, progress: Progress | None) -> Path:
    """Download from one mirror into ``folder``; return the verified file."""
    import pooch

    packed = url.endswith(".bz2")
    bar = progress(asset.name) if progress else False
    downloader = pooch.HTTPDownloader(
        progressbar=bar, timeout=_TIMEOUT, hooks={"response": _refuse_insecure_redirect}
    )
    # bzip2 expands data by at most one per cent and some bytes.
    limit = asset.size + (asset.size // 100 + 600 if packed else 0)

    def download(url: str, place: str, owner: Any) -> None:
        with _SizeLimitedFile(place, limit) as file:
            downloader(url, file, owner)

    name = "packed.bz2" if packed else "plain"
    # The registered hash is that of the decompressed content, verified below.
    known_hash = None if packed else f"sha256:{asset.sha256}"
    path = Path(pooch.retrieve(url, known_hash, name, folder, downloader=download))
    if packed:
        plain = folder / "plain"
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


def fetch(asset: Asset, *, progress: Progress | None = None, force: bool = False) -> Path:
    """Download a registered file into the cache.

    Parameters
    ----------
    asset
        File to download.
    progress
        Called with the file's name; returns a progress bar for pooch.
    force
        Download even if the file is present.

    Returns
    -------
    Path of the file, which appears complete and verified, or not at all.

    Raises
    ------
    AssetError
        If every mirror fails or the folder cannot be written; the message says where to place the
        file by hand.
    """
    if not force:
        location = locate(asset)
        if location is not None:
            return location.path
    import pooch
    import requests

    pooch.get_logger().setLevel("WARNING")
    folder = cache_dir()
    urls = mirror_urls(asset)
    if not urls:
        raise AssetError(f"{asset.name} has no URL to download it from; {manual_hint(asset)}")
    target, failures = folder / asset.file, []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_stale_downloads(folder)
        for url in urls:
            with tempfile.TemporaryDirectory(prefix=_PARTIAL, dir=folder) as partial:
                try:
                    path = _download_from(url, asset, Path(partial), progress)
                except (requests.RequestException, ValueError, EOFError) as error:
                    failures.append(f"{url}: {_reason(error)}")
                    continue
                except OSError as error:
                    # bz2 raises OSError without errno for damaged data.
                    if error.errno is not None:
                        raise
                    failures.append(f"{url}: damaged archive")
                    continue
                os.replace(path, target)
                return target
    except OSError as error:
        reason = error.strerror or str(error)
        raise AssetError(
            f"{folder}: cannot be written ({reason}); set FACEFLEX_HOME to another folder"
        ) from error
    reasons = "; ".join(failures)
    raise AssetError(f"{asset.name} could not be fetched ({reasons}); {manual_hint(asset)}")
