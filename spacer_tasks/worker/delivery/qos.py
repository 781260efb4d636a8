"""What a worker has taken and not acknowledged: settled when Redis is there, by any connection.

When Kombu (5.7) loses Redis it puts back all that it has taken, also tasks that are running, which
start a second time beside the first; and with Redis still away it raises, in places where Celery
takes that for a bug and ends the worker ("Unrecoverable error"). Here a message whose task is
running stays taken and is acknowledged when the task ends, by whatever connection there is then,
and all others are put back as soon as there is one.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from celery.worker import state
from kombu.transport.redis import QoS as RedisQoS
from kombu.transport.virtual.base import QoS as BaseQoS
from redis.exceptions import RedisError, ResponseError

from spacer_tasks.broker.outages import refuses_for_now
from spacer_tasks.broker.whereabouts import Keys
from spacer_tasks.execution.connection import me
from spacer_tasks.worker.delivery import unacked

logger = logging.getLogger(__name__)

#: tags of messages that wait for a connection: whether to put each back or to acknowledge it.
#: Tags are unique, so one channel can do it for another.
_LATER: dict[str, bool] = {}
#: tags of all messages that this process has taken and not settled
_KNOWN: set[str] = set()
#: tags of messages that this process has taken and nobody recorded; one is one too many
_UNRECORDED: set[str] = set()


class QoS(RedisQoS):
    """Kombu's record of taken messages, one for each channel."""

    # not in Kombu's type stubs
    channel: Any
    visibility_timeout: int
    _on_collect: Any
    _flush: Any

    def append(self, message: Any, delivery_tag: str) -> None:
        """Take note of a message: it is in Redis already if `channel.py` took it."""
        if delivery_tag not in _KNOWN:
            # Kombu took it by a way of its own: were this worker killed, nobody would give it back
            logger.critical("nobody recorded who holds a message: %s", delivery_tag)
            super().append(message, delivery_tag)
            _UNRECORDED.add(delivery_tag)
            return
        BaseQoS.append(self, message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """Let Redis forget a message, now or when it is back."""
        self._settle_one(delivery_tag, put_back=False, why="a finished task's message")

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Give a message back, or let Redis forget it, now or when it is back."""
        self._settle_one(delivery_tag, put_back=requeue, why="a message")

    def _settle_one(self, tag: str, put_back: bool, why: str) -> None:
        try:
            if self._usable:
                self._settle_now(tag, put_back, last=True)
                BaseQoS.ack(self, tag)
                return
        except self._errors as error:
            what = "given back" if put_back else "acknowledged"
            logger.warning("%s is %s later: %s", why, what, error)
        _LATER[tag] = put_back
        BaseQoS.ack(self, tag)

    def restore_by_tag(self, tag: str, client: Any = None, leftmost: bool = False) -> None:
        """Give back a message that somebody has held for longer than the visibility timeout; Kombu
        found it, and another may have taken it since.
        """
        keys = keys_of(self.channel)
        with self.channel.conn_or_acquire(client) as redis:
            before = time.time() - self.visibility_timeout
            given = unacked.give_back(redis, keys, [tag], before=before, last=leftmost)
            if not given and not redis.hexists(keys.holders, tag):
                # of a worker of an older version, or given back by now
                super().restore_by_tag(tag, client, leftmost)

    def restore_visible(self, *args: Any, **kwargs: Any) -> None:
        """Every few seconds of a connected worker: what waits for a connection, and what others
        have held for longer than the visibility timeout.
        """
        self._settle()
        try:
            super().restore_visible(*args, **kwargs)
        except ResponseError as error:
            if not refuses_for_now(error):
                raise
            logger.warning("what others hold for long is not looked at now: %s", error)

    def restore_unacked_once(self, stderr: Any = None) -> None:
        """When a channel closes: what it has taken goes back, except for tasks that run on."""
        self._on_collect.cancel()
        self._flush()
        running = (
            set()
            if _stopping()
            else {request.message.delivery_tag for request in tuple(state.active_requests)}
        )
        for tag in tuple(self._delivered or ()):
            if tag not in running:
                _LATER[tag] = True
        if self._delivered is not None:
            self._delivered.clear()
        if _stopping() and self._usable:
            try:
                self._settle()
            except self._errors as error:
                logger.warning(
                    "%d message(s) stay taken until another worker sees it: %s", len(_LATER), error
                )

    def _settle(self) -> None:
        while _LATER:
            tag, put_back = _LATER.popitem()
            try:
                self._settle_now(tag, put_back)
            except ResponseError as error:
                # read-only, or full: it is asked again in a few seconds
                _LATER[tag] = put_back
                logger.warning("%d message(s) cannot be settled now: %s", len(_LATER), error)
                return
            except self._errors:
                _LATER[tag] = put_back
                raise

    def _settle_now(self, tag: str, put_back: bool, last: bool = False) -> None:
        keys = keys_of(self.channel)
        with self.channel.conn_or_acquire() as redis:
            if not put_back:
                unacked.forget(redis, keys, tag)
            elif tag in _UNRECORDED:
                super().restore_by_tag(tag, redis, last)
            else:
                # it may have been given back meanwhile, and taken by another
                unacked.give_back(redis, keys, [tag], me(), last=last)
        _KNOWN.discard(tag)

    @property
    def _usable(self) -> bool:
        """Whether the channel is one of a connection that is not closed."""
        connection = self.channel.connection
        return connection is not None and connection.client is not None

    @property
    def _errors(self) -> tuple[type[BaseException], ...]:
        # Kombu's do not hold what a Redis says that is read-only or full: such a message stayed
        # with its worker until the visibility timeout, as if its task still ran
        return (*self.channel.connection_errors, RedisError)


def keys_of(channel: Any) -> Keys:
    """The keys of a channel's pool."""
    return Keys(channel.unacked_key, channel.unacked_index_key)


def waits(tag: str) -> bool:
    """Whether a message is put back, or acknowledged, when there is a connection."""
    return tag in _LATER


def known_tags() -> frozenset[str]:
    """The messages that this process knows it holds."""
    return frozenset(tuple(_KNOWN)) | frozenset(tuple(_LATER))


def taken(tag: str) -> None:
    """Take note of a message that Redis has recorded as this process's."""
    _KNOWN.add(tag)


def settle_later(tag: str, *, put_back: bool) -> None:
    """Give a message back, or acknowledge it, as soon as there is a connection."""
    _LATER[tag] = put_back


def settled(tag: str) -> None:
    """Forget a message that is somewhere else by now."""
    _KNOWN.discard(tag)


def unrecorded() -> frozenset[str]:
    """Messages that this process holds without a record: it cannot go on."""
    return frozenset(_UNRECORDED)


def _stopping() -> bool:
    return state.should_stop is not None or state.should_terminate is not None
