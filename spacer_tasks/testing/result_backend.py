"""Celery's results in this process, and the commands that tasks and callers ask of Redis beside."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Mapping
from typing import Any

from celery.backends.base import KeyValueStoreBackend
from celery.states import READY_STATES

from spacer_tasks.broker.contract import PRIORITY_STEPS
from spacer_tasks.broker.queue_depths import SEPARATOR
from spacer_tasks.testing.broker import Wire


class MemoryRedis:
    """Of Redis's commands those that `cancel`, batches and `queue_depths` use. Nothing expires."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._values: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        return self._values.get(key)

    def mget(self, keys: list[str]) -> list[Any]:
        return [self.get(key) for key in keys]

    def set(self, key: str, value: Any, ex: int | None = None) -> None:
        self._values[key] = value

    def delete(self, *keys: str) -> None:
        for key in keys:
            self._values.pop(key, None)

    def exists(self, key: str) -> int:
        return int(key in self._values)

    def incr(self, key: str) -> int:
        self.set(key, (self.get(key) or 0) + 1)
        counted: int = self.get(key)
        return counted

    def expire(self, key: str, seconds: int) -> None:
        """Nothing to do: the process ends before."""

    def sadd(self, key: str, member: Any) -> None:
        self.set(key, {*(self.get(key) or ()), member})

    def scard(self, key: str) -> int:
        return len(self.get(key) or ())

    def llen(self, key: str) -> int:
        """Of the list of one queue and priority: what waits there."""
        queue, _, step = key.partition(SEPARATOR)
        lists = [(each.queue, _step(each.priority)) for each in self._wire.waiting]
        return lists.count((queue, int(step or 0)))

    def pipeline(self, transaction: bool = True) -> Pipeline:
        return Pipeline(self)


class Pipeline:
    """Commands that are run together, as redis-py's."""

    def __init__(self, redis: MemoryRedis) -> None:
        self._redis = redis
        self._commands: list[tuple[str, tuple[Any, ...]]] = []

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, *_: object) -> None:
        self._commands.clear()

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: self._commands.append((name, arguments))

    def execute(self) -> list[Any]:
        return [getattr(self._redis, name)(*arguments) for name, arguments in self._commands]


class MemoryBackend(KeyValueStoreBackend):
    """Results as Celery keeps them in Redis: encoded as JSON, chords counted."""

    key_t = str  # type: ignore[assignment]  # the stubs know bytes only
    thread_safe = True
    implements_incr = True
    supports_native_join = True

    def __init__(self, wire: Wire, **options: Any) -> None:
        super().__init__(**options)
        self.client = MemoryRedis(wire)

    def get(self, key: str) -> Any:
        return self.client.get(key)

    def mget(self, keys: list[str]) -> list[Any]:
        return self.client.mget(keys)

    def set(self, key: str, value: Any) -> None:
        self.client.set(key, value)

    def delete(self, key: str) -> None:
        self.client.delete(key)

    def incr(self, key: str) -> int:
        return self.client.incr(key)

    def wait_for(self, task_id: str, *_: Any, **__: Any) -> Mapping[str, Any]:
        """The result, which is there already or will never come: nobody works while one waits.

        Raises
        ------
        RuntimeError
            The task was not run yet.
        """
        meta: Mapping[str, Any] = self.get_task_meta(task_id)
        if meta["status"] not in READY_STATES:
            raise RuntimeError(
                f"the task {task_id} is {meta['status']}, and nothing runs it while this waits;"
                " call run() of the queue first"
            )
        return meta


def _step(priority: int) -> int:
    return PRIORITY_STEPS[max(0, bisect(PRIORITY_STEPS, priority) - 1)]
