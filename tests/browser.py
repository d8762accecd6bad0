"""A real headless Chromium, driven over its debugging pipe: no library, no port, no network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def find_chromium():
    """Return the path of a Chromium on this machine, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One page in a headless Chromium; a context manager."""

    def __init__(self, program: str, profile: Path):
        to_browser, ours = os.pipe()
        theirs, from_browser = os.pipe()[::-1]

        words = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        words += ["--no-first-run", "--disable-extensions", "--disable-background-networking"]
        words += ["--remote-debugging-pipe", f"--user-data-dir={profile}"]
        # It reads commands from descriptor 3 and writes answers to 4.
        script = f'exec "$0" "$@" 3<&{to_browser} 4>&{theirs}'
        self._process = subprocess.Popen(
            ["bash", "-c", script, program, *words],
            pass_fds=(to_browser, theirs),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for fd in (to_browser, theirs):
            os.close(fd)
        self._out, self._in = os.fdopen(ours, "wb", 0), os.fdopen(from_browser, "rb", 0)
        self._number, self._rest, self._session = 0, b"", None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._out.close()
        self._in.close()
        self._process.terminate()
        self._process.wait(timeout=20)

    def _read(self):
        while b"\0" not in self._rest:
            part = self._in.read(65536)
            assert part, "the browser ended"
            self._rest += part
        message, self._rest = self._rest.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **parameters):
        """Send a command; return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._out.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def open(self, address):
        """Open a page."""
        target = self.call("Target.createTarget", url=address)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = session["sessionId"]

    def value(self, expression):
        """Return the value of a JavaScript expression in the page."""
        told = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return told["result"].get("value")

    def wait(self, expression, seconds=20):
        """Return the expression's value once it is true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if value := self.value(expression):
                return value
            time.sleep(0.02)
        raise AssertionError(f"{expression} never came true")

    def press(self, key):
        """Press a key, as a person would."""
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                text=key if kind == "keyDown" else "",
                code=f"Key{key.upper()}",
                windowsVirtualKeyCode=ord(key.upper()),
            )
