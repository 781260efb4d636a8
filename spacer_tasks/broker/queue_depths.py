"""What waits in the queues, by priority.

Within a queue, a task of a lower number goes first. Kombu keeps a list for each: `features`, and
`features\\x06\\x163` for priority 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from spacer_tasks.broker.client import broker_client
from spacer_tasks.broker.contract import PRIORITY_STEPS, QUEUES

if TYPE_CHECKING:
    from redis import Redis

#: what Kombu writes between a queue's name and a priority
SEPARATOR = "\x06\x16"


@dataclass(frozen=True)
class QueueDepth:
    """The tasks that wait in one queue, by their priority."""

    by_priority: dict[int, int]

    @property
    def waiting(self) -> int:
        """All of them."""
        return sum(self.by_priority.values())


def lists_of(queue: str) -> list[str]:
    """The keys of a queue's lists, in the order in which workers take from them."""
    return [f"{queue}{SEPARATOR}{step}" if step else queue for step in PRIORITY_STEPS]


def queue_depths(redis: Redis | None = None) -> dict[str, QueueDepth]:
    """How many tasks wait in each queue; in one round trip.

    What workers have taken is not among them.

    Parameters
    ----------
    redis
        The Redis that carries the tasks; that of the settings where not given.

    Raises
    ------
    redis.exceptions.RedisError
        Redis does not answer.
    ConfigError
        The broker's URL is not one that Celery and redis-py take.
    """
    with (redis or broker_client()).pipeline(transaction=False) as pipe:
        for queue in QUEUES:
            for key in lists_of(queue):
                pipe.llen(key)
        counts = iter(cast("list[int]", pipe.execute()))
    return {queue: QueueDepth({step: next(counts) for step in PRIORITY_STEPS}) for queue in QUEUES}
