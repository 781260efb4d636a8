"""A door to a server that counts what goes through it: round trips, and requests of HTTP."""

from __future__ import annotations

import re
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress

HOST = "127.0.0.1"
_REQUEST = re.compile(rb"^(GET|HEAD|PUT|POST|DELETE) ", re.MULTILINE)


class Counted:
    """What went through.

    Attributes
    ----------
    port
        Of the door.
    trips
        How often a client said something after the server had the last word: what a client
        waits for. Many commands that are sent together are one.
    requests
        Of HTTP, by method.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.trips = 0
        self.requests: Counter[str] = Counter()
        self._guard = threading.Lock()

    def reset(self) -> None:
        """Count from none again."""
        with self._guard:
            self.trips = 0
            self.requests.clear()

    def said(self, data: bytes, *, anew: bool) -> None:
        """A client said this; `anew` where the server had the last word."""
        with self._guard:
            self.trips += anew
            if anew and (found := _REQUEST.match(data)):
                self.requests[found.group(1).decode()] += 1


@contextmanager
def counted(server_port: int) -> Iterator[Counted]:
    """Count what goes to a server of this machine through a port of its own."""
    with socket.create_server((HOST, 0)) as listening:
        door = Counted(listening.getsockname()[1])
        threading.Thread(target=_serve, args=(listening, server_port, door), daemon=True).start()
        yield door


def _serve(listening: socket.socket, port: int, door: Counted) -> None:
    # ends with the listening socket
    with suppress(OSError):
        while True:
            client, _ = listening.accept()
            server = socket.create_connection((HOST, port))
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            last = _Last()
            for source, sink, ours in ((client, server, True), (server, client, False)):
                threading.Thread(
                    target=_pass_on, args=(source, sink, last, ours, door), daemon=True
                ).start()


class _Last:
    """Who had the last word on a connection."""

    client = False


def _pass_on(
    source: socket.socket, sink: socket.socket, last: _Last, ours: bool, door: Counted
) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            if ours:
                door.said(data, anew=not last.client)
            last.client = ours
            sink.sendall(data)
    for each in (source, sink):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
