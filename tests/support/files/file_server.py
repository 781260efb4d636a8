"""A web site of this machine, with files behind URLs."""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from spacer_tasks.data_classes.locations import DataLocation


class FileServer:
    """Files behind URLs, each with its ETag or without, and a list of the requests made."""

    def __init__(self) -> None:
        self.files: dict[str, tuple[bytes, str | None]] = {}
        self.requests: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer(with_body=True)

            def do_HEAD(self) -> None:
                self.answer(with_body=False)

            def answer(self, *, with_body: bool) -> None:
                outer.requests.append(self.command)
                if self.path not in outer.files:
                    self.send_error(404)
                    return
                data, etag = outer.files[self.path]
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                if etag:
                    self.send_header("ETag", etag)
                self.end_headers()
                if with_body:
                    self.wfile.write(data)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def put(self, path: str, data: bytes, etag: str | None = "from the content") -> DataLocation:
        """Let a path answer with this; an `etag` of None names no version."""
        if etag == "from the content":
            etag = f'"{hashlib.sha256(data).hexdigest()}"'
        self.files[path] = (data, etag)
        return self.at(path)

    def at(self, path: str) -> DataLocation:
        """Where it is."""
        port = self._server.server_address[1]
        return DataLocation(storage_type="url", key=f"http://127.0.0.1:{port}{path}")

    @property
    def downloads(self) -> int:
        """How many files were asked for whole."""
        return self.requests.count("GET")

    def close(self) -> None:
        """Answer nobody any more."""
        self._server.shutdown()
        self._server.server_close()
