"""How a worker asks Redis for messages: taken and recorded in one step.

Kombu (5.7) takes a message from its queue in one step and records it in the next: a worker that is
killed in between, or whose connection is cut, takes it with it. Here a message is taken and
recorded with its holder by one script (`unacked.py`), looked at (`gate.py`), and handed on. What
becomes of it then is in `qos.py`.
"""

from __future__ import annotations

import logging
import re
import time
from queue import Empty
from typing import Any

from celery.worker import state
from kombu.transport.redis import Channel as RedisChannel
from kombu.transport.redis import SentinelChannel as RedisSentinelChannel
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import dumps, loads
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, RedisError, ResponseError

from spacer_tasks.broker.outages import REFUSES
from spacer_tasks.broker.publishing import KnownQueues
from spacer_tasks.broker.refused import Reason
from spacer_tasks.execution import once
from spacer_tasks.retries import REDIS_REFUSES
from spacer_tasks.worker.delivery import intake, qos, unacked
from spacer_tasks.worker.delivery.gate import Fault, Gate
from spacer_tasks.worker.delivery.one_client import OneClient
from spacer_tasks.worker.delivery.qos import QoS, keys_of

logger = logging.getLogger(__name__)

#: seconds that an idle worker waits at its first queue before it looks at the others (those of
#: lower priority, and `.high`): what comes to the first is taken at once
WAIT_S = 0.5

#: how Redis says that it refuses for now; a script's error quotes it somewhere. redis-py cuts off a
#: code for which it has a class, where that comes first: since Redis 7 in a script's error, too
_FULL_OR_BUSY = re.compile(r"\b(OOM|MISCONF|BUSY|NOREPLICAS)\b")


class Poll:
    """What a worker's channel asked Redis last, and when it was answered."""

    #: by the monotonic clock; the watchdog reads it
    answered_at = 0.0

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.queues: list[str] = []
        #: queues of this channel whose messages are not acknowledged
        self.unacknowledged: set[str] = set()
        #: "take", "wait", "closed" while nothing may be taken, or "kombu" for what it asked itself
        self.asked = ""
        self.next = "take"
        #: by the monotonic clock; Redis refused, so nothing is asked until then
        self.paused_until = 0.0


class _Parts:
    """Of Kombu's channels, what is used below and is not in its type stubs."""

    active_queues: Any
    priority_steps: Any
    global_keyprefix: str
    client: Any
    connection: Any
    connection_errors: Any
    qos: Any
    _queue_cycle: Any
    _q_for_pri: Any
    _in_poll: Any
    _brpop_sent_at: Any


class Taking(_Parts):
    """What both channels below do otherwise than Kombu's.

    A connection of a worker has several channels; those for events and for its commands listen to
    what is published, and never take from a queue.
    """

    # of Kombu's type in its stubs
    QoS: Any = QoS
    #: what may go on to Celery; all, where there is none
    gate: Gate | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # before Kombu's, which asks for what follows
        self._asking = Poll()
        super().__init__(*args, **kwargs)

    def basic_consume(self, queue: str, no_ack: bool = False, *args: Any, **options: Any) -> Any:
        """Take from a queue; where nobody acknowledges, as for answers to `inspect`, in Kombu's
        way.
        """
        if no_ack:
            self._asking.unacknowledged.add(queue)
        inherited: Any = super()
        return inherited.basic_consume(queue, no_ack, *args, **options)

    def _brpop_start(self, timeout: float | None = None) -> None:
        """Ask for a message; in Kombu's place, which would take it without a record.

        When there is none, wait at the first queue. The move of its oldest message to where it was
        changes nothing, and is answered as soon as there is one: Redis has no other command that
        waits and leaves the message.
        """
        poll = self._asking
        if poll.unacknowledged.intersection(self.active_queues):
            poll.asked = "kombu"
            inherited: Any = super()
            inherited._brpop_start(timeout)
            return
        if time.monotonic() < poll.paused_until:
            # the worker's loop comes back once a second at least
            return
        queues = self._queue_cycle.consume(len(self.active_queues))
        if not queues:
            return
        listed = [
            (self.global_keyprefix + self._q_for_pri(queue, priority), queue)
            for priority in self.priority_steps
            for queue in queues
        ]
        first = listed[0][0]
        poll.asked = "closed" if intake.closed() else poll.next
        poll.keys, poll.queues = [key for key, _ in listed], [queue for _, queue in listed]
        connection = self.client.connection
        self._in_poll = connection
        self._brpop_sent_at = time.monotonic()
        if poll.asked == "take":
            connection.send_command(*unacked.take_command(keys_of(self), poll.keys))
        elif poll.asked == "wait":
            connection.send_command("BLMOVE", first, first, "RIGHT", "RIGHT", WAIT_S)
        else:
            # of a key that nobody writes: the watchdog sees that Redis is asked and answers
            connection.send_command("BRPOP", f"{first}.closed", REDIS_REFUSES.wait_s(0))

    def _brpop_read(self, **options: Any) -> bool:
        """Read the answer, and hand on the message if it holds one."""
        poll = self._asking
        if poll.asked == "kombu":
            inherited: Any = super()
            return bool(self._guarded(lambda: inherited._brpop_read(**options)))
        try:
            answer = self._answer()
            Poll.answered_at = time.monotonic()
            if poll.asked != "take" or not answer:
                poll.next = "wait" if poll.asked == "take" else "take"
                raise Empty
            poll.next = "take"
            number, raw, tag = answer
            self._hand_on(raw, tag.decode(), poll.keys[number], poll.queues[number])
            return True
        finally:
            self._in_poll = None
            # since Kombu 5.7
            if flush := getattr(self, "_flush_brpop_reauth", None):
                flush()

    def _answer(self) -> Any:
        connection = self.client.connection
        try:
            return connection.read_response()
        except self.connection_errors:
            connection.disconnect()
            raise
        except ResponseError as error:
            full = isinstance(error, OutOfMemoryError)
            if not full and not _FULL_OR_BUSY.search(str(error)):
                # such as READONLY: another Redis is the master by now, so connect again
                connection.disconnect()
                raise ConnectionError(str(error)) from error
            logger.warning("Redis refuses to hand out messages: %s", error)
            # while it refuses what writes, it refuses at once what would wait there, too
            Poll.answered_at = time.monotonic()
            self._asking.paused_until = Poll.answered_at + REDIS_REFUSES.wait_s(0)
            self._asking.next = "take"
            raise Empty from None

    def _hand_on(self, raw: bytes, tag: str, key: str, queue: str) -> None:
        self._queue_cycle.rotate(queue)
        qos.taken(tag)
        if self.gate is None:
            message, fault = loads(bytes_to_str(raw)), None
        else:
            message, fault = self.gate.read(raw, tag)
        if fault is None:
            try:
                self.connection._deliver(message, queue)
            except self._lost:
                raise
            except Exception as error:
                if self.gate is None or _is_begun(tag):
                    raise
                logger.exception("a message made an error on its way to its task")
                why = f"Celery cannot take it: {type(error).__name__}: {error}"
                fault = Fault(Reason.UNREADABLE, why[:200])
        if fault is not None and self.gate is not None:
            self._refuse(raw, tag, key, self.gate, fault)
        elif tag not in (self.qos._delivered or ()) and not qos.waits(tag):
            # settled by now
            self.qos._settle_now(tag, put_back=False)

    def _refuse(self, raw: bytes, tag: str, key: str, gate: Gate, fault: Fault) -> None:
        entry = gate.refuse(raw, key, fault)
        (self.qos._delivered or {}).pop(tag, None)
        try:
            with self.conn_or_acquire() as redis:  # type: ignore[attr-defined]  # Kombu's
                unacked.refuse(redis, keys_of(self), tag, entry, fault.reason)
        except self._lost:
            # it is taken again, by whoever is there then
            qos.settle_later(tag, put_back=True)
            raise
        qos.settled(tag)

    def _receive(self) -> Any:
        """Read what was published: commands, and events of other workers."""
        inherited: Any = super()
        return self._guarded(inherited._receive)

    def _guarded(self, read: Any) -> Any:
        """Read what is not a task: nonsense in it is passed over."""
        try:
            return read()
        except Empty:
            raise
        except self._lost:
            raise
        except Exception:
            logger.exception("what was not understood is passed over: it is not a task")
            raise Empty from None

    @property
    def _lost(self) -> tuple[type[Exception], ...]:
        # Kombu's have KeyError among them, which a message makes as well
        errors = [error for error in self.connection_errors if error is not KeyError]
        return (*errors, RedisError)


class Once(_Parts):
    """How a worker's channel pushes a message.

    One that is sent once (`execution/once.py`) is pushed with its count. A Redis that refuses for
    now, because it is full or a replica, is tried again as one that is away: Celery would take its
    refusal of a callback for a failure of the task.
    """

    conn_or_acquire: Any
    _get_message_priority: Any

    def _put(self, queue: str, message: Any, **options: Any) -> None:
        try:
            self._push(queue, message, **options)
        except ResponseError as error:
            if not REFUSES.search(str(error)):
                raise
            raise RedisConnectionError(str(error)) from error

    def _push(self, queue: str, message: Any, **options: Any) -> None:
        with self.conn_or_acquire() as redis:
            key = self._q_for_pri(queue, self._get_message_priority(message, reverse=False))
            headers = message.get("headers")
            if once.push(redis, self.global_keyprefix, key, headers, dumps(message)):
                return
        super()._put(queue, message, **options)  # type: ignore[misc]  # of Kombu's channel


class Channel(Taking, Once, KnownQueues, OneClient, RedisChannel):
    """For `redis://` and `rediss://`."""


class SentinelChannel(Taking, Once, KnownQueues, OneClient, RedisSentinelChannel):
    """For `sentinel://`."""


def polled_at() -> float:
    """When Redis last answered a question for messages; by the monotonic clock."""
    return Poll.answered_at


def _is_begun(tag: str) -> bool:
    """Whether the task of a message is with the pool: it cannot be refused any more."""
    requests = (*state.reserved_requests, *state.active_requests)
    return any(request.message.delivery_tag == tag for request in requests)
