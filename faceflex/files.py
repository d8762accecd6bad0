"""Atomic writes, and removal of the temporary files of killed processes."""

from __future__ import annotations

import os
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: temporary files count as stale by their age.
    fcntl = None  # type: ignore[assignment]

_TEMP_PREFIX = ".faceflex-"
_STALE_AGE = 3600.0  # Seconds.


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder, which replaces ``path`` at the end.

    On an error it is removed, and ``path`` is unchanged. The temporary name is short and keeps the
    suffix, by which some writers choose the format. Temporary files of killed processes are removed
    by :func:`remove_stale_temp`.
    """
    name = f"{_TEMP_PREFIX}{zlib.crc32(os.fsencode(path.name)):08x}-{os.getpid()}{path.suffix[:12]}"
    temporary = path.with_name(name)
    with _locked(temporary):
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def _locked(temporary: Path) -> Iterator[None]:
    """Hold a lock on a file while it is written; the system releases it when the process dies."""
    if fcntl is None:
        yield
        return
    with temporary.open("wb") as file:
        _try_lock(file.fileno())
        yield


def _try_lock(descriptor: int) -> bool:
    """Acquire an exclusive lock without blocking; return whether that succeeded."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # Held by another process, or not supported by the file system.
        return False
    return True


def remove_stale_temp(folder: Path) -> None:
    """Remove temporary files of killed processes from a folder."""
    try:
        temporary = [e for e in os.scandir(folder) if e.name.startswith(_TEMP_PREFIX)]
    except OSError:
        return
    for entry in temporary:
        try:
            if _is_stale(entry):
                Path(entry.path).unlink()
        except OSError:
            continue


def _is_stale(entry: os.DirEntry[str]) -> bool:
    """Return whether no process writes a temporary file any more: its lock is free."""
    if not entry.is_file(follow_symlinks=False):
        return False
    if fcntl is None:
        return time.time() - entry.stat().st_mtime > _STALE_AGE
    descriptor = os.open(entry.path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
    try:
        return _try_lock(descriptor)
    finally:
        os.close(descriptor)


def discard_stdout() -> None:
    """Redirect standard output to ``/dev/null``, so that flushing it at exit cannot fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
