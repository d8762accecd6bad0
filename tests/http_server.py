"""A real HTTP server on localhost whose answers are scripted by path."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Site:
    """What the server has and what it was asked for.

    ``files`` are served whole; ``cut`` ones stop halfway and close; ``slow`` ones stop halfway and
    wait; ``moved`` ones are elsewhere. All else is 404.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cut: set[str] = set()
        self.slow: set[str] = set()
        self.moved: dict[str, str] = {}
        self.asked: list[str] = []
        self.url = ""


@contextmanager
def serve(certificate: Path | None = None) -> Iterator[Site]:
    """Run a server for the time of a test; with a certificate and its key, over TLS."""
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.append(self.path)
            name = self.path.rsplit("/", 1)[-1]
            if name in site.moved:
                self.send_response(302)
                self.send_header("Location", site.moved[name])
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if name not in site.files:
                self.send_error(404)
                return
            data = site.files[name]
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if name in site.cut or name in site.slow:
                self.wfile.write(data[: len(data) // 2])
                self.wfile.flush()
                if name in site.slow:
                    time.sleep(30)
                self.close_connection = True
                return
            self.wfile.write(data)

        def log_message(self, *_args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    scheme = "http" if certificate is None else "https"
    site.url = f"{scheme}://127.0.0.1:{server.server_address[1]}"
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
