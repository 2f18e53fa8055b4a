"""The server behind ``ignet view``: local, read-only, serves nothing but the view and the report."""

import json
import threading
from collections.abc import Callable
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from ignet.errors import IgnetError, reason_of
from ignet.view.status import Status

HOST = "127.0.0.1"
REPORT = "report/index.html"


class View:
    """What the server answers, by path; reading is done by one request at a time."""

    def __init__(self, results: Path) -> None:
        self.results = results
        self._lock = threading.Lock()
        self.pages: dict[str, tuple[str, Callable[[], bytes]]] = {
            "/": ("text/html; charset=utf-8", lambda: self._page),
            "/plotly.js": ("text/javascript; charset=utf-8", lambda: self._plotly),
            "/status.json": ("application/json", lambda: self._json(self._status.read)),
            "/curves.json": ("application/json", lambda: self._json(self._status.curves)),
            "/report": ("text/html; charset=utf-8", lambda: (results / REPORT).read_bytes()),
        }

    @cached_property
    def _status(self) -> Status:
        return Status(self.results)

    @cached_property
    def _page(self) -> bytes:
        from ignet.view.page import page

        return page(self.results.name).encode()

    @cached_property
    def _plotly(self) -> bytes:
        from plotly.offline import get_plotlyjs

        return get_plotlyjs().encode()

    def _json(self, read: Callable[[], Any]) -> bytes:
        with self._lock:
            return json.dumps(read(), allow_nan=False).encode()


def make_server(results: Path, port: int = 0) -> ThreadingHTTPServer:
    """A server on this machine's own address; ``serve_forever`` runs it.

    Raises:
        IgnetError: the port is taken.
    """
    view = View(results)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            # a page from elsewhere that had its name point here could read the answers otherwise
            if (self.headers.get("Host") or "").rpartition(":")[0] not in (HOST, "localhost"):
                self._answer(403, "text/plain", b"only for this machine\n")
                return
            kind, read = view.pages.get(self.path.partition("?")[0], ("text/plain", None))
            if read is None:
                self._answer(404, "text/plain", b"no such page\n")
                return
            try:
                self._answer(200, kind, read())
            except FileNotFoundError:
                self._answer(404, "text/plain", b"not made yet\n")
            except IgnetError as error:
                self._answer(500, "text/plain; charset=utf-8", f"{error}\n".encode())

        def _answer(self, code: int, kind: str, body: bytes) -> None:
            self.send_response(code)
            for name, value in (
                ("Content-Type", kind),
                ("Content-Length", str(len(body))),
                ("Cache-Control", "no-store"),
            ):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing of each request."""

    try:
        server = ThreadingHTTPServer((HOST, port), Handler)
    except OSError as error:
        raise IgnetError(f"port {port}: {reason_of(error)}; leave --port out, and a free one is taken") from None
    server.daemon_threads = True
    return server
