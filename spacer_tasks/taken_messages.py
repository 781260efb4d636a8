"""What a worker has taken and not acknowledged, when it loses Redis.

Kombu (5.7) then puts all of it back, also tasks that are running, which start a second time beside
the first; and with Redis still away it raises, in places where Celery takes that for a bug and ends
the worker ("Unrecoverable error"). Here a message whose task is running stays taken and is
acknowledged when the task ends, by whatever connection there is then; all others are put back as
soon as there is one.
"""

from __future__ import annotations

import logging
from typing import Any

from celery.worker import state
from kombu.transport.redis import Channel
from kombu.transport.redis import QoS as RedisQoS
from kombu.transport.virtual.base import QoS as BaseQoS

logger = logging.getLogger(__name__)

#: tags of messages that wait for a connection: whether to put each back or to acknowledge it.
#: Tags are unique, so one channel can do it for another.
_LATER: dict[str, bool] = {}


class QoS(RedisQoS):
    """Kombu's record of taken messages, one for each channel."""

    # not in Kombu's type stubs
    channel: Any
    _on_collect: Any
    _flush: Any
    _remove_from_indices: Any

    def ack(self, delivery_tag: str) -> None:
        """Let Redis forget a message, now or when it is back."""
        try:
            if self._usable:
                super().ack(delivery_tag)
                return
        except self._errors as error:
            logger.warning("a finished task's message is acknowledged later: %s", error)
        _LATER[delivery_tag] = False
        BaseQoS.ack(self, delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Give a message back, or let Redis forget it, now or when it is back."""
        try:
            if self._usable:
                super().reject(delivery_tag, requeue)
                return
        except self._errors as error:
            logger.warning("a message is given back later: %s", error)
        _LATER[delivery_tag] = requeue
        BaseQoS.ack(self, delivery_tag)

    def restore_visible(self, *args: Any, **kwargs: Any) -> None:
        """Every few seconds of a connected worker: what waits for a connection, and what others
        have held for longer than the visibility timeout.
        """
        self._settle()
        super().restore_visible(*args, **kwargs)

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
                    "%d message(s) stay taken until the visibility timeout: %s", len(_LATER), error
                )

    def _settle(self) -> None:
        while _LATER:
            tag, put_back = _LATER.popitem()
            try:
                if put_back:
                    self.restore_by_tag(tag)
                else:
                    self._remove_from_indices(tag).execute()
            except self._errors:
                _LATER[tag] = put_back
                raise

    @property
    def _usable(self) -> bool:
        """Whether the channel is one of a connection that is not closed."""
        connection = self.channel.connection
        return connection is not None and connection.client is not None

    @property
    def _errors(self) -> tuple[type[BaseException], ...]:
        errors: tuple[type[BaseException], ...] = self.channel.connection_errors
        return errors


def _stopping() -> bool:
    return state.should_stop is not None or state.should_terminate is not None


def survive_lost_connections() -> None:
    """Let this process's Redis channels use the class above."""
    Channel.QoS = QoS
