"""A way to Redis on which commands arrive and answers get lost."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass


@dataclass
class DeafProxy:
    """Passes everything on, but of the next `lost` answers to a script nothing.

    Attributes
    ----------
    cuts
        The connection ends where an answer gets lost; if not, it stays, and nothing comes.
    asked
        What was asked: one for all that came before an answer, a pipeline is one.
    """

    port: int
    lost: int = 0
    cuts: bool = False
    asked: int = 0


@contextmanager
def deaf_proxy(port: int) -> Iterator[DeafProxy]:
    """A proxy for a server of this machine."""
    listener = socket.create_server(("127.0.0.1", 0))
    proxy = DeafProxy(listener.getsockname()[1])

    def serve(client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", port)) as server, suppress(OSError):
            _pass_on(client, server, proxy)

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=serve, args=(client,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        # to close it alone would leave it listening while the thread waits
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()


def _pass_on(client: socket.socket, server: socket.socket, proxy: DeafProxy) -> None:
    """Both ways, as it comes: neither a question nor an answer need be in one piece."""
    question, answering = b"", True
    while True:
        ready, _, _ = select.select([client, server], [], [])
        if client in ready:
            part = client.recv(65536)
            if not part:
                return
            if answering:
                proxy.asked += 1
                question, answering = b"", False
            question += part
            server.sendall(part)
        if server in ready:
            part = server.recv(65536)
            if not part:
                return
            if proxy.lost and b"EVAL" in question and not answering:
                proxy.lost -= 1
                if not proxy.cuts:
                    # as one that the network cut: the client sees no end of it, and gives up
                    while client.recv(65536):
                        pass
                return
            answering = True
            client.sendall(part)
