"""Where the message of a task is in Redis: waiting in a queue, or taken by a worker."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from spacer_tasks.broker.contract import (
    CLASSIFY,
    FEATURES,
    FEATURES_HIGH,
    PRIORITY_STEPS,
    QUEUES,
    SENT_AT,
    TRAINING,
    TRAINING_HIGH,
)
from spacer_tasks.broker.queue_depths import lists_of

if TYPE_CHECKING:
    from redis import Redis

#: messages read at once; of 2 KB mostly, and of 90 KB at most
PAGE = 200
#: which pool takes from a queue, by the queue that it is named for
POOL_OF = {
    FEATURES: FEATURES,
    FEATURES_HIGH: FEATURES,
    TRAINING: TRAINING,
    TRAINING_HIGH: TRAINING,
    CLASSIFY: CLASSIFY,
}


@dataclass(frozen=True)
class Keys:
    """The keys of what the workers of one pool have taken."""

    unacked: str
    index: str

    @classmethod
    def of(cls, pool: str) -> Keys:
        """By the queue that the pool is named for."""
        return cls(f"unacked.{pool}", f"unacked_index.{pool}")

    @property
    def holders(self) -> str:
        """Who holds what."""
        return f"{self.unacked}.holders"

    @property
    def alive(self) -> str:
        """When each worker was last heard of."""
        return f"{self.unacked}.alive"

    @property
    def held(self) -> str:
        """What each worker holds."""
        return f"{self.unacked}.held"

    def all(self) -> list[str]:
        """In the order of the scripts."""
        return [self.unacked, self.index, self.holders, self.alive, self.held]


@dataclass(frozen=True)
class TaskMessage:
    """A task's message as it is in Redis.

    Attributes
    ----------
    retries
        Tries after the first, this one included.
    sent_at
        Seconds since 1970, on the clock of whoever sent it; None of clients that do not say.
    not_before
        The same, for a task that must wait until then; its worker keeps it meanwhile.
    content
        The first argument, what the task is asked; None if it cannot be read.
    """

    task_name: str
    queue: str
    retries: int
    sent_at: float | None
    not_before: float | None
    content: dict[str, Any] | None


@dataclass(frozen=True)
class Waiting:
    """A message in its queue.

    Attributes
    ----------
    ahead
        Messages of this queue that workers take before it.
    """

    message: TaskMessage
    priority: int
    ahead: int


@dataclass(frozen=True)
class Taken:
    """A message that a worker has taken and not acknowledged.

    Attributes
    ----------
    worker
        Its name as in `execution.connection.me`; empty of a worker of an older version.
    since
        Seconds since 1970, on the worker's clock; None if it is not known.
    """

    message: TaskMessage
    worker: str
    since: float | None


def pages(redis: Redis, key: str) -> Iterator[list[bytes]]:
    """The messages of one of a queue's lists, some at a time, from the newest: what comes or goes
    meanwhile hides none that stays.
    """
    start = 0
    while page := cast("list[bytes]", redis.lrange(key, start, start + PAGE - 1)):
        yield page
        start += PAGE


def find_waiting(redis: Redis, task_id: str) -> Waiting | None:
    """The message of a task that waits. All queues are looked through.

    Raises
    ------
    redis.exceptions.RedisError
        Redis does not answer.
    """
    for queue in QUEUES:
        lists = lists_of(queue)
        with redis.pipeline(transaction=False) as pipe:
            for key in lists:
                pipe.llen(key)
            lengths: list[int] = pipe.execute()
        for place, key in enumerate(lists):
            if lengths[place] and (found := _in_list(redis, key, task_id, queue)):
                message, behind = found
                length = max(lengths[place], redis.llen(key))
                ahead = sum(lengths[:place]) + max(0, length - 1 - behind)
                return Waiting(message, PRIORITY_STEPS[place], ahead)
    return None


def present(redis: Redis, task_ids: set[str]) -> set[str]:
    """Those of the tasks that some message in a queue or at a worker names: its own, or one of a
    batch that it is of.

    Raises
    ------
    redis.exceptions.RedisError
        Redis does not answer.
    """
    marks = {task_id: task_id.encode() for task_id in task_ids}
    found: set[str] = set()

    def among(messages: list[bytes]) -> None:
        text = b"\n".join(messages)
        found.update(each for each in task_ids - found if marks[each] in text)

    # a message moves from its queue to a worker: looked for in this order, it is met on its way
    for queue in QUEUES:
        for key in lists_of(queue):
            for page in pages(redis, key):
                among(page)
                if found == task_ids:
                    return found
    for pool in dict.fromkeys(POOL_OF.values()):
        among(cast("list[bytes]", redis.hvals(Keys.of(pool).unacked)))
    return found


def _in_list(redis: Redis, key: str, task_id: str, queue: str) -> tuple[TaskMessage, int] | None:
    """A task's message, and how many messages of the list came later."""
    behind, mark = 0, task_id.encode()
    for page in pages(redis, key):
        for number, raw in enumerate(page):
            # most messages need not be read for it
            if mark in raw and (message := _read(raw, task_id, queue)):
                return message, behind + number
        behind += len(page)
    return None


def find_taken(redis: Redis, task_id: str) -> Taken | None:
    """The message of a task that a worker has. Raises as `find_waiting`."""
    mark = task_id.encode()
    for pool in dict.fromkeys(POOL_OF.values()):
        keys = Keys.of(pool)
        for tag, value in cast("dict[bytes, bytes]", redis.hgetall(keys.unacked)).items():
            if mark not in value:
                continue
            try:
                envelope, _, queue = json.loads(value)
            except ValueError:
                continue
            message = _read(envelope, task_id, str(queue) or pool)
            if message is None:
                continue
            with redis.pipeline(transaction=False) as pipe:
                pipe.zscore(keys.index, tag)
                pipe.hget(keys.holders, tag)
                since, holder = pipe.execute()
            return Taken(message, (holder or b"").decode().partition("\n")[0], since)
    return None


def last_beats(redis: Redis, queue: str) -> list[float]:
    """When each worker of the pool that takes from a queue was last heard of, in seconds since
    1970 on its own clock. Raises as `find_waiting`.
    """
    found = redis.zrange(Keys.of(POOL_OF.get(queue, queue)).alive, 0, -1, withscores=True)
    return [beat for _, beat in cast("list[tuple[bytes, float]]", found)]


def _read(raw: bytes | dict[str, Any], task_id: str, queue: str) -> TaskMessage | None:
    """A message in Kombu's form, if it is this task's: others may name its id too."""
    try:
        envelope = raw if isinstance(raw, dict) else json.loads(raw)
        headers = envelope["headers"]
        if headers["id"] != task_id:
            return None
        not_before = headers.get("eta")
        return TaskMessage(
            task_name=str(headers["task"]),
            queue=queue,
            retries=int(headers.get("retries") or 0),
            sent_at=headers.get(SENT_AT),
            not_before=datetime.fromisoformat(not_before).timestamp() if not_before else None,
            content=_content(envelope),
        )
    except (ValueError, TypeError, LookupError, AttributeError):
        # somebody else's, or damaged: `envelopes.py` throws it away
        return None


def _content(envelope: dict[str, Any]) -> dict[str, Any] | None:
    try:
        (content, *_), _, _ = json.loads(base64.b64decode(envelope["body"]))
    except (ValueError, TypeError, LookupError):
        return None
    return content if isinstance(content, dict) else None
