"""Messages that are sent once, whoever sends them again: the parts of a batch, and a chord's body.

Whoever sends them may be killed after any command, and another takes its task and sends again. So
a message goes into its queue in one step with the count of those that were sent before it, and one
that was counted is passed over. The count is kept beside the queue, in the broker's Redis.

A caller who was not told whether a batch was sent sends it again under its id. Both messages are
one run of the batch, whose parts are sent once.

A worker's channels ask here before they push (`worker/delivery/channel.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, cast

from spacer_tasks.broker.contract import WAITS_AT_MOST_S
from spacer_tasks.execution.connection import worker_redis

PREFIX = "spacer-sent:"
RUNS = "spacer-run:"
#: seconds between two sends of one batch that are the same wish; a later one is another, for who
#: deleted an answer may have it computed anew
SAME_RUN_S = 600

PUSH = """
local sent = tonumber(redis.call('GET', KEYS[1]) or '0')
if tonumber(ARGV[1]) < sent then
    return 0
end
redis.call('LPUSH', KEYS[2], ARGV[2])
redis.call('SET', KEYS[1], ARGV[1] + 1, 'EX', ARGV[3])
return 1
"""

#: the run of the batch that goes on, where it was sent at about the same time
CLAIM_RUN = """
local kept = redis.call('GET', KEYS[1])
local run, at = string.match(kept or '', '^(%S*) (%S+)$')
if not (run and math.abs(tonumber(at) - tonumber(ARGV[2])) <= tonumber(ARGV[3])) then
    run, at = ARGV[1], ARGV[2]
end
redis.call('SET', KEYS[1], run .. ' ' .. at, 'EX', ARGV[4])
return run
"""


@dataclass
class _Sending:
    """What is being sent by this thread.

    Attributes
    ----------
    key
        Of the count.
    known
        How many are known to be sent: these need not be asked for.
    """

    key: str
    known: int = 0


_SENDING: ContextVar[_Sending | None] = ContextVar("spacer_sending_once", default=None)


@contextmanager
def sent_once(name: str, known: int = 0) -> Iterator[None]:
    """Within the block, messages of this thread are of one series, sent in their order: each is
    pushed once.

    Parameters
    ----------
    name
        Of the series.
    known
        How many were sent before, as `sent_before` tells.
    """
    token = _SENDING.set(_Sending(PREFIX + name, known))
    try:
        yield
    finally:
        _SENDING.reset(token)


def sent_before(name: str) -> int:
    """How many messages of a series were sent. Raises what the Redis client raises."""
    return int(cast("bytes | None", worker_redis().get(PREFIX + name)) or 0)


def claimed_run(batch_id: str, run: str, sent_at: float) -> str:
    """The run that a batch's message is of: its own, or that of one sent at about the same time
    whose batch has no answer yet. Raises what the Redis client raises.
    """
    found = worker_redis().eval(
        CLAIM_RUN, 1, RUNS + batch_id, run, sent_at, SAME_RUN_S, WAITS_AT_MOST_S
    )
    return cast("bytes", found).decode()


def forget_run(batch_id: str) -> None:
    """The batch has its answer, or is to be begun anew. Raises what the Redis client raises."""
    worker_redis().delete(RUNS + batch_id)


def push(redis: Any, prefix: str, key: str, headers: Any, text: str) -> bool:
    """Push a message of a series, unless it was sent before. False: it is of no series.

    Parameters
    ----------
    redis
        A client of the broker's.
    prefix
        Of all keys.
    headers
        The message's; a part's place in its group is its place in the series.
    """
    sending = _SENDING.get()
    if sending is None:
        return False
    place = int((headers or {}).get("group_index") or 0)
    if place >= sending.known:
        keys = (prefix + sending.key, prefix + key)
        redis.eval(PUSH, 2, *keys, place, text, WAITS_AT_MOST_S)
    return True
