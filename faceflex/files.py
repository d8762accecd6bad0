"""Files that appear whole or not at all."""

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
except ImportError:  # Windows has other locks; there, age tells what was left behind.
    fcntl = None  # type: ignore[assignment]

_PREFIX = ".faceflex-"
_OLD = 3600.0  # Seconds.


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; what was written there becomes ``path`` at the end.

    After an error nothing is left, and what ``path`` held before stays. The temporary name is short
    and keeps the suffix, which some writers look at. What a process that was killed leaves behind
    is removed by :func:`remove_stale_temp`.
    """
    name = f"{_PREFIX}{zlib.crc32(os.fsencode(path.name)):08x}-{os.getpid()}{path.suffix[:12]}"
    temporary = path.with_name(name)
    with _held(temporary):
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def _held(temporary: Path) -> Iterator[None]:
    """Hold a lock on a file while it is being written; the system lets go when a process dies."""
    if fcntl is None:
        yield
        return
    with temporary.open("wb") as file:
        _lock(file.fileno())
        yield


def _lock(descriptor: int) -> bool:
    """Take a lock without waiting; tell whether it was free."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # Held, or not supported here.
        return False
    return True


def remove_stale_temp(folder: Path) -> None:
    """Remove what processes that were killed left in a folder while they wrote."""
    try:
        left = [e for e in os.scandir(folder) if e.name.startswith(_PREFIX)]
    except OSError:
        return
    for entry in left:
        try:
            if _abandoned(entry):
                Path(entry.path).unlink()
        except OSError:
            continue


def _abandoned(entry: os.DirEntry[str]) -> bool:
    """Tell whether nobody writes a temporary file any more."""
    if not entry.is_file(follow_symlinks=False):
        return False
    if fcntl is None:
        return time.time() - entry.stat().st_mtime > _OLD
    descriptor = os.open(entry.path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
    try:
        return _lock(descriptor)
    finally:
        os.close(descriptor)


def discard_stdout() -> None:
    """Let what is still to be printed go nowhere, also when Python leaves."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
