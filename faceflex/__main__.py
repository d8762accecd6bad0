"""The command ``faceflex``: every error becomes one line and an exit code."""

from __future__ import annotations

import io
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

from faceflex.errors import FaceflexError, describe_unexpected


class _Stopped(SystemExit):
    """A signal asks to stop: everything is left in order on the way out."""


def _stop(number: int, _: FrameType | None) -> NoReturn:
    raise _Stopped(128 + number)


def main() -> None:
    """Run the command line."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # As nohup asks for.
            signal.signal(number, _stop)
    from faceflex.cli.app import app

    if isinstance(sys.stdout, io.TextIOWrapper):  # File names need not be UTF-8.
        sys.stdout.reconfigure(errors="surrogateescape")
    try:
        app(prog_name="faceflex")
    except _Stopped:
        _say("stopped; every file written is whole (edit goes on with --skip-existing)")
        raise
    except FaceflexError as error:
        from faceflex.cli.common import report_error

        report_error(error)
        sys.exit(error.exit_code)
    except Exception as error:
        if os.environ.get("FACEFLEX_DEBUG") and not isinstance(error, MemoryError):
            raise
        _say(describe_unexpected(error))
        sys.exit(1)


def _say(text: str) -> None:
    from faceflex.cli.common import note

    note(f"faceflex: error: {text}")


if __name__ == "__main__":
    main()
