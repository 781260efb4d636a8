"""A way to Redis on which commands arrive and answers get lost."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass


@dataclass
class DeafProxy:
    """Passes everything on, but of the next `lost` answers to a script nothing.

    `asked` counts what was asked: a pipeline is one.
    """

    port: int
    lost: int = 0
    asked: int = 0


@contextmanager
def deaf_proxy(port: int) -> Iterator[DeafProxy]:
    """A proxy for a server of this machine."""
    listener = socket.create_server(("127.0.0.1", 0))
    proxy = DeafProxy(listener.getsockname()[1])

    def serve(client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", port)) as server, suppress(OSError):
            while asked := client.recv(65536):
                proxy.asked += 1
                server.sendall(asked)
                answer = server.recv(65536)
                if proxy.lost and b"EVAL" in asked:
                    proxy.lost -= 1
                    # as a connection that the network cut: the client sees no end of it
                    threading.Event().wait(5)
                    return
                client.sendall(answer)

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=serve, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield proxy
    finally:
        listener.close()
