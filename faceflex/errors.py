"""Errors that people meet, and the exit code each one means."""

from __future__ import annotations


class FaceflexError(Exception):
    """Something that can be told to a user in one line. Exit code 1."""

    exit_code = 1


class UsageError(FaceflexError):
    """The command's words are off. Exit code 2."""

    exit_code = 2


class NoFaceError(FaceflexError):
    """No face was found in a photo. Exit code 3 when no photo had one."""

    exit_code = 3


class PhotoError(FaceflexError):
    """A photo cannot be read or written."""


class AssetError(FaceflexError):
    """A model, vector or landmark file is missing, damaged or does not fit."""


def describe_unexpected(error: Exception) -> str:
    """Return one line for an error that nobody thought of, or for a lack of memory."""
    if isinstance(error, MemoryError):
        return "out of memory; try a smaller photo"
    reason = (str(error) or "no more is known").splitlines()[0]
    return f"unexpected {type(error).__name__}: {reason} (FACEFLEX_DEBUG=1 shows where)"
