"""Exceptions of the public API, and their exit codes on the command line."""

from __future__ import annotations


class FaceflexError(Exception):
    """Base class: the message is one line for the user. Exit code 1.

    Examples
    --------
    >>> try:
    ...     raise NoFaceError("beach.jpg: no face found")
    ... except FaceflexError as error:
    ...     print(error, error.exit_code)
    beach.jpg: no face found 3
    """

    exit_code = 1


class UsageError(FaceflexError):
    """A parameter or option is invalid. Exit code 2."""

    exit_code = 2


class NoFaceError(FaceflexError):
    """No face was detected in a photo. Exit code 3 if in no photo of the command."""

    exit_code = 3


class PhotoError(FaceflexError):
    """A photo cannot be read or written."""


class AssetError(FaceflexError):
    """A model, vector or landmark file is missing, damaged or incompatible."""


def describe_unexpected(error: Exception) -> str:
    """Return a one-line message for an unexpected exception, or for lack of memory."""
    if isinstance(error, MemoryError):
        return "out of memory; try a smaller photo"
    reason = (str(error) or "no more is known").splitlines()[0]
    return f"unexpected {type(error).__name__}: {reason} (FACEFLEX_DEBUG=1 shows where)"
