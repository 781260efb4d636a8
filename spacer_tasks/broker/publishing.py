"""How messages of this package's application get into their queues.

Kombu asks Redis which queues an exchange is bound to, and enters the queue that it sends to. Who
can write these tables decides where the messages of all others go. Here the queues of the contract
are known without asking, and a client enters none of them. Where a client may not publish events,
as the user `caller` of deploy/redis-users.acl, its tasks are sent without.

A site's own Celery application keeps Kombu's connections: these are of ours alone.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from celery.app.amqp import AMQP as CELERYS
from kombu import Connection as KombuConnection
from kombu.connection import ConnectionPool
from kombu.transport.redis import Channel as RedisChannel
from kombu.transport.redis import SentinelChannel as RedisSentinelChannel
from kombu.transport.redis import SentinelTransport as RedisSentinelTransport
from kombu.transport.redis import Transport as RedisTransport
from kombu.utils.collections import HashedSeq
from redis.exceptions import NoPermissionError

from spacer_tasks.broker.contract import QUEUES

logger = logging.getLogger(__name__)

#: Celery's exchange of events
EVENTS = "celeryev"


class KnownQueues:
    """Of a channel: the queues of the contract, each by an exchange of its name."""

    def get_table(self, exchange: str) -> Any:
        """Routing key, pattern and queue of all that is bound to an exchange."""
        if exchange in QUEUES:
            return [(exchange, "", exchange)]
        return super().get_table(exchange)  # type: ignore[misc]  # Kombu's


class Sending(KnownQueues):
    """What both channels of clients do otherwise than Kombu's."""

    #: whether this process was told that it may not publish events
    _no_events = False

    def _queue_bind(self, exchange: str, *args: Any) -> None:
        if exchange not in QUEUES:
            super()._queue_bind(exchange, *args)  # type: ignore[misc]  # Kombu's

    def _put_fanout(self, exchange: str, *args: Any, **options: Any) -> None:
        if exchange == EVENTS and Sending._no_events:
            return
        try:
            super()._put_fanout(exchange, *args, **options)  # type: ignore[misc]  # Kombu's
        except NoPermissionError:
            if exchange != EVENTS:
                raise
            Sending._no_events = True
            logger.info("this user of Redis may not publish events: tasks are sent without")


class Channel(Sending, RedisChannel):
    """For `redis://` and `rediss://`."""


class SentinelChannel(Sending, RedisSentinelChannel):
    """For `sentinel://`."""


class Transport(RedisTransport):
    """For `redis://` and `rediss://`."""

    Channel = Channel


class SentinelTransport(RedisSentinelTransport):
    """For `sentinel://`."""

    Channel = SentinelChannel


#: in the place of Kombu's own; workers have others
TRANSPORTS: dict[type[Any], type[Any]] = {
    RedisTransport: Transport,
    RedisSentinelTransport: SentinelTransport,
}


def transport_of(connection: KombuConnection) -> Any:
    """The class of a connection's transport, whichever its URL names now."""
    kombus: Any = KombuConnection.get_transport_cls(connection)
    return TRANSPORTS.get(kombus, kombus)


class Pool(ConnectionPool):
    """Kombu's, whose connections (since 5.7 of a class of their own) have these transports too."""

    def new(self) -> Any:
        """One more connection."""
        made: Any = super().new()
        made.get_transport_cls = partial(transport_of, made)
        return made


class Connection(KombuConnection):
    """Kombu's, with these transports."""

    def get_transport_cls(self) -> Any:
        """The class of the transport."""
        return transport_of(self)

    def Pool(self, limit: int | None = None, **options: Any) -> Any:  # noqa: N802 -- Kombu's name
        """A pool of such connections."""
        return Pool(self, limit, **options)

    def __eqhash__(self) -> Any:
        """What tells apart the pools of connections, which a process's applications share."""
        return HashedSeq(__name__, *super().__eqhash__())


class AMQP(CELERYS):
    """Celery's, with these connections."""

    Connection = Connection
