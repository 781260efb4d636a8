"""The transports of a worker: Kombu's for Redis and Sentinel, with this package's channels.

They stand for the schemes of broker URLs, in workers alone. Celery's `broker_transport` would do
for a first connection only: Kombu takes the scheme's transport when it goes on to the next Sentinel
of a URL.
"""

from __future__ import annotations

from typing import Any

from kombu import pools
from kombu import transport as kombu_transports
from kombu.transport.redis import SentinelTransport as RedisSentinelTransport
from kombu.transport.redis import Transport as RedisTransport

from spacer_tasks.app import app
from spacer_tasks.exceptions import ConfigError
from spacer_tasks.execution.connection import me
from spacer_tasks.worker.delivery import versions
from spacer_tasks.worker.delivery.channel import Channel, SentinelChannel, Taking
from spacer_tasks.worker.delivery.gate import Gate


class Transport(RedisTransport):
    """For `redis://` and `rediss://`."""

    Channel = Channel


class SentinelTransport(RedisSentinelTransport):
    """For `sentinel://`."""

    Channel = SentinelChannel


#: by the scheme of the broker's URL
TRANSPORTS: dict[str, type[Any]] = {
    "redis": Transport,
    "rediss": Transport,
    "sentinel": SentinelTransport,
}


def use(gate: Gate | None) -> None:
    """Let the connections of this worker process be of these transports.

    Parameters
    ----------
    gate
        What may go on to Celery.

    Raises
    ------
    ConfigError
        The versions that are installed were not tried, or Kombu would use another transport.
    """
    versions.check()
    # before a fork: children are known by their parent's name
    me()
    Taking.gate = gate
    # some of it is not in Kombu's type stubs, or wrong there
    known: Any = kombu_transports
    for scheme, ours in TRANSPORTS.items():
        known.TRANSPORT_ALIASES[scheme] = f"{__name__}:{ours.__name__}"
        # what was looked up before
        known._transport_cache.pop(scheme, None)
        if known.get_transport_cls(scheme) is not ours:
            raise ConfigError(f"Kombu does not use this package's transport for {scheme}://")
    _close_what_is_open()


def _close_what_is_open() -> None:
    """Connections that were opened before, such as for a ping, are of Kombu's own transports: what
    is to be sent once would be sent twice by them.
    """
    pools.reset()
    inside: Any = app
    inside._pool = None
    inside.amqp._producer_pool = None
    # it keeps a pool of its own
    app.__dict__.pop("control", None)
