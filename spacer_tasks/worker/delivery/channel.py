"""What a worker has taken and not acknowledged: nothing lost on the way, or when Redis is.

Kombu (5.7) takes a message from its queue in one step and records it in the next: a worker that is
killed in between, or whose connection is cut, takes it with it. And when it loses Redis, Kombu
puts all of it back, also tasks that are running, which start a second time beside the first; and
with Redis still away it raises, in places where Celery takes that for a bug and ends the worker
("Unrecoverable error"). Here a message is taken and recorded in one step (`unacked.py`), one
whose task is running stays taken and is acknowledged when the task ends, by whatever connection
there is then, and all others are put back as soon as there is one.
"""

from __future__ import annotations

import logging
import re
import time
from queue import Empty
from typing import Any

from celery.worker import state
from kombu.transport.redis import Channel
from kombu.transport.redis import QoS as RedisQoS
from kombu.transport.virtual.base import QoS as BaseQoS
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import loads
from redis.exceptions import RedisError, ResponseError

from spacer_tasks.broker.whereabouts import Keys
from spacer_tasks.execution.connection import me
from spacer_tasks.retries import REDIS_REFUSES
from spacer_tasks.worker.delivery import unacked

logger = logging.getLogger(__name__)

#: seconds that an idle worker waits at its first queue before it looks at the others (those of
#: lower priority, and `.high`): what comes to the first is taken at once
WAIT_S = 0.5

#: how Redis says that it refuses for now; a script's error quotes it somewhere
_FULL_OR_BUSY = re.compile(r"\b(OOM|MISCONF|BUSY|NOREPLICAS)\b")

#: tags of messages that wait for a connection: whether to put each back or to acknowledge it.
#: Tags are unique, so one channel can do it for another.
_LATER: dict[str, bool] = {}
#: tags of all messages that this process has taken and not settled
_KNOWN: set[str] = set()


class Poll:
    """What a worker's channel asked Redis last, and when it was answered."""

    #: by the monotonic clock; the watchdog reads it
    answered_at = 0.0

    def __init__(self) -> None:
        self.queues: list[str] = []
        #: queues of this channel whose messages are not acknowledged
        self.unacknowledged: set[str] = set()
        #: "take", "wait", "refused", or "kombu" for what it asked itself
        self.asked = ""
        self.next = "take"


class QoS(RedisQoS):
    """Kombu's record of taken messages, one for each channel."""

    # not in Kombu's type stubs
    channel: Any
    _on_collect: Any
    _flush: Any

    def append(self, message: Any, delivery_tag: str) -> None:
        """Take note of a message: it is in Redis already if it was taken by `_take`."""
        if delivery_tag in _KNOWN:
            BaseQoS.append(self, message, delivery_tag)
        else:
            super().append(message, delivery_tag)

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
        """Give a message back, whoever holds it."""
        with self.channel.conn_or_acquire(client) as redis:
            if not unacked.give_back(redis, keys_of(self.channel), [tag], last=leftmost):
                # of a worker of an older version, or given back by now
                super().restore_by_tag(tag, client, leftmost)

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
        if put_back:
            self.restore_by_tag(tag, leftmost=last)
        else:
            with self.channel.conn_or_acquire() as redis:
                unacked.forget(redis, keys_of(self.channel), tag)
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


def known_tags() -> frozenset[str]:
    """The messages that this process knows it holds."""
    return frozenset(tuple(_KNOWN)) | frozenset(tuple(_LATER))


def polled_at() -> float:
    """When Redis last answered a question for messages; by the monotonic clock."""
    return Poll.answered_at


# not in Kombu's type stubs
_CHANNEL: Any = Channel
_kombu_start, _kombu_read = _CHANNEL._brpop_start, _CHANNEL._brpop_read
_kombu_consume = _CHANNEL.basic_consume


def _poll_of(channel: Any) -> Poll:
    found: Poll = channel.__dict__.setdefault("_poll", Poll())
    return found


def _consume(channel: Any, queue: str, no_ack: bool = False, **options: Any) -> Any:
    """Take from a queue; where nobody acknowledges, as for answers to `inspect`, in Kombu's way."""
    if no_ack:
        _poll_of(channel).unacknowledged.add(queue)
    return _kombu_consume(channel, queue, no_ack=no_ack, **options)


def _ask(channel: Any, timeout: float | None = None) -> None:
    """Ask for a message; in Kombu's place, which would take it without a record.

    When there is none, wait at the first queue. The move of its oldest message to where it was
    changes nothing, and is answered as soon as there is one: Redis has no other command that waits
    and leaves the message.
    """
    poll = _poll_of(channel)
    if poll.unacknowledged.intersection(channel.active_queues):
        poll.asked = "kombu"
        _kombu_start(channel, timeout)
        return
    queues = channel._queue_cycle.consume(len(channel.active_queues))
    if not queues:
        return
    listed = [
        (channel.global_keyprefix + channel._q_for_pri(queue, priority), queue)
        for priority in channel.priority_steps
        for queue in queues
    ]
    first = listed[0][0]
    poll.asked, poll.queues = poll.next, [queue for _, queue in listed]
    connection = channel.client.connection
    channel._in_poll = connection
    channel._brpop_sent_at = time.monotonic()
    if poll.asked == "take":
        taking = unacked.take_command(keys_of(channel), [key for key, _ in listed])
        connection.send_command(*taking)
    elif poll.asked == "wait":
        connection.send_command("BLMOVE", first, first, "RIGHT", "RIGHT", WAIT_S)
    else:
        # of a key that nobody writes: Redis takes this also when it refuses what needs memory
        connection.send_command("BRPOP", f"{first}.refused", REDIS_REFUSES.wait_s(0))


def _read(channel: Any, **options: Any) -> bool:
    """Read the answer, and hand on the message if it holds one."""
    poll = _poll_of(channel)
    if poll.asked == "kombu":
        return bool(_kombu_read(channel, **options))
    try:
        try:
            answer = channel.client.connection.read_response()
        except channel.connection_errors:
            channel.client.connection.disconnect()
            raise
        except ResponseError as error:
            if not _FULL_OR_BUSY.search(str(error)):
                # such as READONLY: another Redis is the master by now, so connect again
                channel.client.connection.disconnect()
                raise ConnectionError(str(error)) from error
            logger.warning("Redis refuses to hand out messages: %s", error)
            poll.next = "refused"
            raise Empty from None
        Poll.answered_at = time.monotonic()
        if poll.asked != "take" or not answer:
            poll.next = "wait" if poll.asked == "take" else "take"
            raise Empty
        poll.next = "take"
        number, raw = answer
        queue = poll.queues[number]
        channel._queue_cycle.rotate(queue)
        message = loads(bytes_to_str(raw))
        tag = message["properties"]["delivery_tag"]
        _KNOWN.add(tag)
        channel.connection._deliver(message, queue)
        if tag not in (channel.qos._delivered or ()):
            # thrown away (`envelopes.py`), or settled by now
            channel.qos._settle_now(tag, put_back=False)
        return True
    finally:
        channel._in_poll = None
        # since Kombu 5.7
        if flush := getattr(channel, "_flush_brpop_reauth", None):
            flush()


def _stopping() -> bool:
    return state.should_stop is not None or state.should_terminate is not None


def survive_lost_connections() -> None:
    """Let this process's Redis channels take and keep messages as above."""
    me()
    _CHANNEL.QoS = QoS
    _CHANNEL.basic_consume = _consume
    _CHANNEL._brpop_start = _ask
    _CHANNEL._brpop_read = _read
