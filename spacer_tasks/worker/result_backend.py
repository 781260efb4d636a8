"""Where workers keep states and results: Celery's Redis backend, which loses no batch.

Celery tries again while Redis is away. But a Redis that refuses writes, because it is a replica or
out of memory, it takes for a bug, and its way to a chord's body (5.7) has places at which a worker
that dies takes the batch with it: it claims the body for minutes, and whoever is given the part
then finds the claim taken and leaves. Here a part is counted, and the body sent after the last,
without a claim: whoever is given a part of a complete chord sends the body, and it is pushed once
(`execution/once.py`).

Celery looks at a task's state before it writes another, and protects a success only. Here a state
of a task that goes on (begun, progress, tried again) is written in one step, where the task has not
ended: its worker may have been cut off while another ended it.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from celery.canvas import maybe_signature
from celery.exceptions import ChordError
from celery.states import READY_STATES
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ReadOnlyError, ResponseError

from spacer_tasks.broker import chord_count
from spacer_tasks.broker.contract import WAITS_AT_MOST_S
from spacer_tasks.broker.outages import REFUSES, refuses_for_now
from spacer_tasks.broker.result_backend import Redis, Sentinel
from spacer_tasks.config.settings import get_settings
from spacer_tasks.execution.once import sent_once
from spacer_tasks.retries import CHORD_COUNT

logger = logging.getLogger(__name__)

#: a state of a task that goes on, unless it has ended
GOES_ON = """
local read, kept = pcall(cjson.decode, redis.call('GET', KEYS[1]) or '')
if read and type(kept) == 'table' then
    for number = 3, #ARGV do
        if kept.status == ARGV[number] then
            return 0
        end
    end
end
if ARGV[2] == '0' then
    redis.call('SET', KEYS[1], ARGV[1])
else
    redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
end
redis.call('PUBLISH', KEYS[1], ARGV[1])
return 1
"""


class _Patient:
    """What both backends below add."""

    # of the backends
    app: Any
    client: Any
    connection_errors: tuple[type[BaseException], ...]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.connection_errors = (*self.connection_errors, ReadOnlyError, OutOfMemoryError)

    def exception_safe_to_retry(self, exc: Exception) -> bool:
        """Whether Celery tries again to keep a state, which it reads before: also where Redis
        refuses that for now. Its own way out, a failure that is kept instead, would raise as well,
        and leave the message at a worker that is done with it.
        """
        return refuses_for_now(exc) or bool(super().exception_safe_to_retry(exc))  # type: ignore[misc]

    def _set(self, *args: Any, **kwargs: Any) -> Any:
        """Keep a state. One that Redis refuses for now is tried again, like one that it missed."""
        try:
            return super()._set(*args, **kwargs)  # type: ignore[misc]
        except ResponseError as error:
            if not REFUSES.search(str(error)):
                raise
            raise RedisConnectionError(str(error)) from error

    def _set_with_state(self, key: Any, value: Any, state: str) -> Any:
        """Keep a state; one of a task that goes on gives way to the end of it."""
        if state in READY_STATES:
            return super()._set_with_state(key, value, state)  # type: ignore[misc]
        backend: Any = self
        return backend.ensure(self._set_unless_ended, (key, value))

    def _set_unless_ended(self, key: Any, value: Any) -> None:
        backend: Any = self
        try:
            self.client.eval(GOES_ON, 1, key, value, int(backend.expires or 0), *READY_STATES)
        except ResponseError as error:
            if not REFUSES.search(str(error)):
                raise
            raise RedisConnectionError(str(error)) from error

    def on_chord_part_return(
        self, request: Any, state: str, result: Any, propagate: Any = None, **kwargs: Any
    ) -> None:
        """Count a finished part of a chord, and send the body after the last, until Redis has both.

        Whatever is done twice, by this worker or by the next that is given the part, counts once.
        """
        if not request.group or not request.id:
            return
        for wait in CHORD_COUNT.waits():
            try:
                self._count(request, state, result, propagate, **kwargs)
            except Exception as error:
                if not refuses_for_now(error):
                    raise
                logger.warning("a part of a batch is counted again in a moment: %s", error)
            else:
                return
            time.sleep(wait)

    def _call_task_errbacks(self, request: Any, *args: Any) -> None:
        """Call or send what follows a failure.

        Celery calls some of these in this process. One that raises would leave the message at a
        worker that is done with it.
        """
        try:
            super()._call_task_errbacks(request, *args)  # type: ignore[misc]
        except Exception as error:
            if self.exception_safe_to_retry(error):
                raise
            logger.exception("%s: what follows its failure cannot be called", request.id)

    def set_chord_size(self, group_id: str, chord_size: int) -> None:
        """Note how many parts there are; Celery 5.6 would forget it before the last of them."""
        super().set_chord_size(group_id, chord_size)  # type: ignore[misc]
        backend: Any = self
        self.client.expire(backend.get_key_for_group(group_id, ".s"), _kept_s())

    def _count(self, request: Any, state: str, result: Any, propagate: Any, **kwargs: Any) -> None:
        backend: Any = self
        keys = chord_count.keys_of(backend, request.group)
        member = backend.encode([1, request.id, state, backend.encode_result(result, state)])
        place = "+inf" if request.group_index is None else request.group_index
        sent, counted, size = chord_count.count(
            self.client, keys, request.id, place, member, _kept_s()
        )
        if sent or counted != size:
            return
        if self.client.exists(keys[-1]):
            # of a group of groups, whose results have a form that Celery keeps there; none is ours
            super().on_chord_part_return(request, state, result, propagate, **kwargs)  # type: ignore[misc]
            return
        self._send_body(request, keys)

    def _send_body(self, request: Any, keys: list[Any]) -> None:
        backend: Any = self
        body: Any = maybe_signature(request.chord, app=self.app)
        # in the order of the group: its index is their score
        found = self.client.zrange(keys[0], 0, -1)
        if not found:
            # another has sent it since
            return
        try:
            parts = [backend._unpack_chord_result(each, backend.decode) for each in found]
        except ChordError as error:
            backend.chord_error_from_stack(body, error)
        else:
            # since Celery 5.7, for waits between its tries
            publish = getattr(self.app.amqp, "_retry_publish", lambda send, *args: send(*args))
            with sent_once(f"{request.group}:body"):
                publish(body.delay, parts)
        chord_count.clean(self.client, keys)


def _kept_s() -> int:
    """Seconds for which the count of a batch is kept: parts may wait as long."""
    return max(WAITS_AT_MOST_S, get_settings().results_expire_s)


class PatientRedis(_Patient, Redis):
    """For `redis://` and `rediss://`."""


class PatientSentinel(_Patient, Sentinel):
    """For `sentinel://`."""


#: Celery's `override_backends`
BACKENDS = {
    "redis": f"{__name__}:PatientRedis",
    "rediss": f"{__name__}:PatientRedis",
    "sentinel": f"{__name__}:PatientSentinel",
}
