"""The rating game's page: a server on this machine, for this machine, behind a token."""

from __future__ import annotations

import hmac
import io
import json
import random
import secrets
import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from faceflex.data.ratings import Answer, Ratings
from faceflex.errors import FaceflexError

_SIDE = 900  # Pixels of the faces that are shown, at most.
_LARGEST_BODY = 1000
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; " \
    "connect-src 'self'; img-src blob:"  # fmt: skip


class RatingServer:
    """Shows a rater one face at a time, and stores each answer as it comes.

    Only programs of this machine that know the token can use it.

    Parameters
    ----------
    photos
        The pictures; their file names are distinct.
    ratings
        Where answers go; faces that the rater has answered already are left out.
    rater
        Who answers.
    port
        0 for any free one.
    on_answer
        Called with the number of faces that are left, after each answer.
    """

    def __init__(
        self,
        photos: Sequence[Path],
        ratings: Ratings,
        rater: str,
        *,
        port: int = 0,
        on_answer: Callable[[int], None] | None = None,
    ) -> None:
        self.photos, self.ratings, self.rater = list(photos), ratings, rater
        self.token, self.on_answer = secrets.token_urlsafe(24), on_answer
        done = ratings.answered(rater)
        self._left = [i for i, p in enumerate(self.photos) if p.name not in done]
        random.Random(f"order/{rater}").shuffle(self._left)
        self._lock, self.finished = threading.Lock(), threading.Event()
        if not self._left:
            self.finished.set()
        handler = type("Handler", (_Handler,), {"game": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def hosts(self) -> set[str]:
        """What a request's Host header may be: no other site's page can reach it by a name."""
        port = self._server.server_address[1]
        return {f"127.0.0.1:{port}", f"localhost:{port}"}

    @property
    def address(self) -> str:
        """Address of the page, with the token."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/?token={self.token}"

    def start(self) -> None:
        """Begin to serve, in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()

    def upcoming(self) -> dict[str, int]:
        """Return how many faces are left, and the number of the next one."""
        with self._lock:
            return {"left": len(self._left), "number": self._left[0] if self._left else -1}

    def face(self, number: int) -> bytes:
        """Return a picture as JPEG, upright, without its metadata.

        Raises
        ------
        PhotoError
            If it cannot be read.
        """
        from PIL import Image

        from faceflex.photo import load_rgb
        from faceflex.photo.grid import thumbnail

        rgb, data = load_rgb(self.photos[number]), io.BytesIO()
        if max(rgb.shape[:2]) > _SIDE:
            rgb = thumbnail(rgb, _SIDE)
        Image.fromarray(rgb).save(data, "JPEG", quality=92)
        return data.getvalue()

    def answer(self, number: int, smiles: bool, seconds: float) -> None:
        """Store an answer.

        Raises
        ------
        UsageError
            If the time makes no sense.
        """
        self.ratings.add(Answer(self.rater, self.photos[number].name, smiles, seconds))
        with self._lock:
            if number in self._left:
                self._left.remove(number)
            left = len(self._left)
        if self.on_answer:
            self.on_answer(left)

    def skip(self, number: int) -> None:
        """Leave a picture out that cannot be read."""
        with self._lock:
            if number in self._left:
                self._left.remove(number)


class _Handler(BaseHTTPRequestHandler):
    """Answers requests of the page; ``game`` is set by the server."""

    game: RatingServer

    def do_GET(self) -> None:
        """Serve the page, the next face's number, and pictures."""
        parts = urlsplit(self.path)
        if parts.path == "/":
            token = parse_qs(parts.query).get("token", [""])[0]
            if self._allowed(token):
                page = resources.files("faceflex.web").joinpath("rating.html").read_bytes()
                self._send(200, "text/html; charset=utf-8", page)
        elif not self._allowed(self.headers.get("X-Token", "")):
            return
        elif parts.path == "/next":
            upcoming = self.game.upcoming()
            self._json(200, upcoming)
            if upcoming["left"] == 0:
                self.game.finished.set()
        elif parts.path.startswith("/face/") and self._number(parts.path[6:]) is not None:
            number = int(parts.path[6:])
            try:
                self._send(200, "image/jpeg", self.game.face(number))
            except FaceflexError as error:
                self.game.skip(number)
                self._json(422, {"error": str(error)})
        else:
            self._json(404, {"error": "no such page"})

    def do_POST(self) -> None:
        """Store an answer."""
        if not self._allowed(self.headers.get("X-Token", "")):
            return
        try:
            length = int(self.headers.get("Content-Length", "0"))
            if urlsplit(self.path).path != "/answer" or not 0 < length <= _LARGEST_BODY:
                raise ValueError("no answer")
            told = json.loads(self.rfile.read(length))
            number, smiles, seconds = told["number"], told["smiles"], float(told["seconds"])
            if self._number(str(number)) is None or not isinstance(smiles, bool):
                raise ValueError("no answer")
            self.game.answer(number, smiles, seconds)
        except (FaceflexError, ValueError, KeyError, TypeError) as error:
            self._json(400, {"error": f"not stored: {error}"})
            return
        self._json(200, {"stored": True})

    def _number(self, text: str) -> int | None:
        """Return a picture's number; None if there is none such."""
        number = int(text) if text.isascii() and text.isdigit() else -1
        return number if 0 <= number < len(self.game.photos) else None

    def _allowed(self, token: str) -> bool:
        """Tell whether a request may be answered; answer it with 403 otherwise."""
        known = hmac.compare_digest(token.encode(), self.game.token.encode())
        if known and self.headers.get("Host", "") in self.game.hosts:
            return True
        self._json(403, {"error": "forbidden: open the address that the command printed"})
        return False

    def _json(self, code: int, value: dict[str, Any]) -> None:
        self._send(code, "application/json", json.dumps(value).encode())

    def _send(self, code: int, kind: str, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", _POLICY)
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name.
        """Say nothing of each request."""
