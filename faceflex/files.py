"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; what was written there becomes ``path`` at the end.

    After an error nothing is left, and what ``path`` held before stays. The temporary name is short
    and keeps the suffix, which some writers look at.
    """
    stem = f".{os.getpid()}-{zlib.crc32(os.fsencode(path.name)):08x}"
    temporary = path.with_name(f"{stem}{path.suffix[:12]}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
