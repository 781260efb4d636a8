"""An image that comes when a test lets it."""

from __future__ import annotations

from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

from tests.support.photos import photo
from tests.support.waiting import PATIENCE_S


class Gate:
    """A web server whose one image comes when the gate is opened, and which counts who asked.

    So many requests as `refusals` says are first told to come back later.
    """

    def __init__(self, refusals: int = 0) -> None:
        self.asked = 0
        self.refusals = refusals
        self._open = Event()
        gate, image = self, photo("sand", 1)

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                if gate.refusals > 0:
                    gate.refusals -= 1
                    self.send_error(503)
                else:
                    self._begin()

            def do_GET(self) -> None:
                gate.asked += 1
                gate._open.wait(PATIENCE_S)
                # who asked may have been stopped meanwhile
                with suppress(OSError):
                    self._begin()
                    self.wfile.write(image)

            def _begin(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(image)))
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/image.png"
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def open(self) -> None:
        """Let the image come."""
        self._open.set()

    def close(self) -> None:
        """Stop the server."""
        self._open.set()
        self._server.shutdown()
        self._server.server_close()
