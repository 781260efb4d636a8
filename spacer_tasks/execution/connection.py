"""The queue's Redis, for what a worker asks it beside the tasks: signs of life, locks, counts; and
the name by which a worker is known there.

It is reached as Celery reaches it (Sentinel and TLS included), by a connection that waits for an
answer for seconds only.
"""

from __future__ import annotations

import os
import secrets
import socket
from threading import Lock
from typing import TYPE_CHECKING, Any

from kombu import Connection

from spacer_tasks.app import app

if TYPE_CHECKING:
    from redis import Redis

#: seconds for an answer; a Redis that is there takes milliseconds
ANSWER_S = 5
CONNECT_S = 4
#: a thread asks for one at a time, and a feature worker may have many
MAX_CONNECTIONS = 1000

#: a forked child must not share its parent's sockets; the connection is kept with its client
_clients: dict[tuple[int, str], tuple[Connection, Redis]] = {}
_MAKING = Lock()

#: this process, as others know it; a worker's children are forked with its name
_me = ""


def me() -> str:
    """The name of this worker among all that ever were."""
    global _me
    if not _me:
        _me = f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"
    return _me


def worker_redis() -> Redis:
    """This process's client; threads share it.

    Raises
    ------
    redis.exceptions.RedisError, OSError
        Redis cannot be reached.
    """
    key = (os.getpid(), str(app.conf.broker_write_url))
    with _MAKING:
        if key not in _clients:
            _clients[key] = _made()
        return _clients[key][1]


def _made() -> tuple[Connection, Redis]:
    connection = app.connection_for_write(
        transport_options={
            "socket_timeout": ANSWER_S,
            "socket_connect_timeout": CONNECT_S,
            "max_connections": MAX_CONNECTIONS,
        }
    )
    channel: Any = connection.channel()
    client: Redis = channel._create_client()
    return connection, client


def _after_fork() -> None:
    # a thread of the parent may have held it
    global _MAKING
    _MAKING = Lock()


os.register_at_fork(after_in_child=_after_fork)
