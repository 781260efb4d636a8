"""Messages that are sent once, whoever sends them again: the parts of a batch, and a chord's body.

Whoever sends them may be killed after any command, and another takes its task and sends again. So
a message goes into its queue in one step with the count of those that were sent before it, and one
that was counted is passed over. The count is kept beside the queue, in the broker's Redis.

A worker's channels ask here before they push (`worker/delivery/channel.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, cast

from redis import Redis

from spacer_tasks.broker.contract import WAITS_AT_MOST_S

PREFIX = "spacer-sent:"

PUSH = """
local sent = tonumber(redis.call('GET', KEYS[1]) or '0')
if tonumber(ARGV[1]) < sent then
    return 0
end
redis.call('LPUSH', KEYS[2], ARGV[2])
redis.call('SET', KEYS[1], ARGV[1] + 1, 'EX', ARGV[3])
return 1
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
        How many were sent before, as `count_of` tells.
    """
    token = _SENDING.set(_Sending(PREFIX + name, known))
    try:
        yield
    finally:
        _SENDING.reset(token)


def count_of(redis: Redis, name: str) -> int:
    """How many messages of a series were sent."""
    return int(cast("bytes | None", redis.get(PREFIX + name)) or 0)


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
