"""The thread that renews the locks of the tasks that a process runs."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import Protocol

from redis import Redis
from redis.exceptions import RedisError

from spacer_tasks.config.settings import get_settings
from spacer_tasks.execution.connection import worker_redis

logger = logging.getLogger(__name__)

#: renewals before a lock lapses: some may come late
RENEWALS = 4


class Renewable(Protocol):
    """What the thread knows of a lock."""

    task_id: str
    token: str
    lost: bool

    def renew(self, redis: Redis) -> None:
        """Say that the task still runs; set `lost` if another worker has it by now."""


class Keeper:
    """The thread, and the locks that it renews."""

    def __init__(self) -> None:
        self._locks: dict[str, Renewable] = {}
        self._guard = threading.Lock()
        self._some = threading.Event()
        threading.Thread(target=self._run, name="running-locks", daemon=True).start()

    def add(self, lock: Renewable) -> None:
        """Renew this one from now on."""
        with self._guard:
            self._locks[lock.token] = lock
            self._some.set()

    def remove(self, lock: Renewable) -> None:
        """Renew it no more."""
        with self._guard:
            self._locks.pop(lock.token, None)
            if not self._locks:
                self._some.clear()

    def _run(self) -> None:
        while True:
            self._some.wait()
            time.sleep(get_settings().worker_silent_s / RENEWALS)
            with self._guard:
                locks = [lock for lock in self._locks.values() if not lock.lost]
            try:
                for lock in locks:
                    lock.renew(worker_redis())
                    if lock.lost:
                        logger.warning("%s was taken over by another worker", lock.task_id)
            except (RedisError, OSError) as error:
                logger.warning("%d lock(s) cannot be renewed now: %s", len(locks), error)


_keepers: dict[int, Keeper] = {}
_MAKING = threading.Lock()


def keeper() -> Keeper:
    """This process's."""
    with _MAKING:
        # threads do not survive a fork
        process = os.getpid()
        if process not in _keepers:
            _keepers[process] = Keeper()
        return _keepers[process]


def _after_fork() -> None:
    global _MAKING
    _MAKING = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
