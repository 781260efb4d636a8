"""Celery and Kombu where they stand on Redis: their types know any transport and any backend."""

from __future__ import annotations

from celery import Celery
from celery.backends.redis import RedisBackend
from kombu import Connection
from kombu.transport.redis import Channel


def backend_of(app: Celery) -> RedisBackend:
    """The result backend, with its client and its keys."""
    backend = app.backend
    assert isinstance(backend, RedisBackend)
    return backend


def channel_of(connection: Connection) -> Channel:
    """The default channel of a connection, with its client and what it has taken."""
    channel = connection.default_channel
    assert isinstance(channel, Channel)
    return channel
