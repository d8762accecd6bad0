"""A process that has imported what commands need, and forks one for each command line it is sent.

Importing takes most of the time of a command on a small photo. A fork of this process is as real as
a new one (its own arguments, folder, environment, streams and exit code; it runs the same entry
point), but starts at once. Requests are lines of JSON on standard input, answers are lines with the
child's exit code; see ``run`` in conftest.py. What depends on a cold start is tested by one.
"""

from __future__ import annotations

import json
import os
import sys


def _become(request: dict) -> None:
    """Turn this fork into the command, and leave with its exit code."""
    for target, name in enumerate(("stdin", "stdout", "stderr")):
        flags = os.O_RDONLY if target == 0 else os.O_WRONLY
        os.dup2(os.open(request[name], flags), target)
    sys.stdin, sys.stdout, sys.stderr = (
        open(i, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
        for i, mode in enumerate(("r", "w", "w"))
    )
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = ["faceflex", *request["arguments"]]
    from faceflex.__main__ import main

    main()


def serve() -> None:
    """Answer requests until there are no more."""
    import faceflex.edit.batch
    import faceflex.edit.contact_sheet
    import faceflex.evaluate.report
    import faceflex.train.vectors  # noqa: F401
    from faceflex.faces.detect import _thread_detector

    _thread_detector("hog")

    for line in sys.stdin:
        child = os.fork()
        if not child:
            code = 1
            try:
                _become(json.loads(line))
                code = 0
            except SystemExit as left:
                code = left.code if isinstance(left.code, int) else int(left.code is not None)
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        _, status = os.waitpid(child, 0)
        sys.__stdout__.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.__stdout__.flush()


if __name__ == "__main__":
    serve()
