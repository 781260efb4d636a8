"""How a worker ends at once: what it has in hand goes to others, and is not held against it.

Celery's own ways wait for the tasks that run. They may take longer than whoever stops the worker
gives it, or never end.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from contextlib import suppress
from typing import Any, NoReturn

from celery.worker import state
from redis.exceptions import RedisError

from spacer_tasks.broker.whereabouts import Keys
from spacer_tasks.execution import lock
from spacer_tasks.execution.connection import worker_redis
from spacer_tasks.worker.delivery import heartbeat

logger = logging.getLogger(__name__)


def exit_at_once(worker: Any, keys: Keys, code: int) -> NoReturn:
    """End this process and its children; give back all that they have in hand.

    Parameters
    ----------
    worker
        Celery's `WorkController`.
    keys
        Of the pool's messages.
    code
        The exit code.
    """
    running = [request.id for request in tuple(state.active_requests)]
    try:
        redis = worker_redis()
        lock.take_back(redis, running)
        given = heartbeat.leave_nothing(redis, keys)
        logger.warning("%d task(s) are given back", len(given))
    except (RedisError, OSError) as error:
        logger.warning("others will see that this worker ended, Redis is away: %s", error)
    _kill_children(worker)
    with suppress(RedisError, OSError):
        for task_id in running:
            # a child may have renewed it meanwhile
            lock.let_go(worker_redis(), task_id)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _kill_children(worker: Any) -> None:
    # of a prefork pool; threads end with the process
    processes = getattr(getattr(worker.pool, "_pool", None), "_pool", None)
    for process in tuple(processes or ()):
        with suppress(ProcessLookupError, TypeError):
            os.kill(process.pid, signal.SIGKILL)
