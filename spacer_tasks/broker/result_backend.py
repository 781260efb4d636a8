"""Where callers wait for results: Celery's Redis backend, whose consumer finds its way back.

Celery (5.7) tells a caller that waits by what Redis publishes. When Redis goes away meanwhile,
`.get()` raises, and leaves the consumer without a connection; asked again, it waits at none, for
ever, also for a task that is done. Here the consumer makes its subscriptions again, and looks at
the states that it missed.
"""

from __future__ import annotations

from typing import Any

from celery.backends import redis as celery_redis
from celery.backends.redis import RedisBackend, SentinelBackend

# not in Celery's type stubs
_CELERYS: Any = celery_redis.ResultConsumer  # type: ignore[attr-defined]


class ResultConsumer(_CELERYS):  # type: ignore[misc]  # as above
    """Celery's, which subscribes again after its connection was lost."""

    #: whether there was a connection before
    _began = False

    def start(self, initial_task_id: str, **options: Any) -> None:
        """Connect for the first time."""
        self._began = True
        super().start(initial_task_id, **options)

    def drain_events(self, timeout: float | None = None) -> None:
        """Wait for results. Raises as Celery's while Redis is away."""
        self._come_back()
        super().drain_events(timeout)

    def consume_from(self, task_id: str) -> None:
        """Wait for the result of one more task. Raises as Celery's while Redis is away."""
        self._come_back()
        super().consume_from(task_id)

    def _come_back(self) -> None:
        if not self._began or self._pubsub is not None:
            return
        for waited_for in self._pending_results:
            self.subscribed_to.update(map(self._get_key_for_task, tuple(waited_for)))
        if self.subscribed_to:
            self._ensure(self._reconnect_pubsub, ())


class Redis(RedisBackend):
    """For `redis://` and `rediss://`."""

    ResultConsumer = ResultConsumer


class Sentinel(SentinelBackend):
    """For `sentinel://`."""

    ResultConsumer = ResultConsumer
