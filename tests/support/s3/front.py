"""The S3 proxy as a process of its own, and its control."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from spacer_tasks.demo.processes import process
from spacer_tasks.demo.services import S3Server, free_ports
from tests.support.checkout import CHECKOUT
from tests.support.s3.faults import S3Faults


@dataclass(frozen=True)
class S3Front:
    """A running proxy; `s3` is the server as seen through it."""

    s3: S3Server
    port: int

    def set(self, faults: S3Faults) -> None:
        """Let it do these from now on; `S3Faults()` is none."""
        self._ask("POST", "/-/faults", json.dumps(faults.to_json()))

    def met(self) -> dict[str, int]:
        """How many requests met each fault."""
        met: dict[str, int] = self._ask("GET", "/-/met")
        return met

    def writes(self) -> dict[str, int]:
        """How many different contents were stored at each answer's key."""
        writes: dict[str, int] = self._ask("GET", "/-/writes")
        return writes

    def _ask(self, method: str, path: str, body: str | None = None) -> Any:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()


@contextmanager
def s3_front(s3: S3Server, folder: Path) -> Iterator[S3Front]:
    """A proxy before this server, without faults at first."""
    (port,) = free_ports(1)
    front = S3Front(replace(s3, endpoint_url=f"http://127.0.0.1:{port}"), port)
    server_port = urlsplit(s3.endpoint_url).port
    with process(
        [sys.executable, "-m", "tests.support.s3.proxy", str(port), str(server_port)],
        log_path=folder / "s3-proxy.log",
        cwd=CHECKOUT,
        ready=lambda: front.met() == {},
        name="S3 proxy",
    ):
        yield front
