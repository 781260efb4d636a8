"""Tasks whose process did not get to answer: past the time limit, or killed.

Celery would fail such a task in Redis, which leaves no answer under the results prefix, and lets a
chord fail for one of its parts. Here the answer is stored, and the message goes back into its
queue: who takes it finds the answer, and all goes on as with any other task.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

from celery.exceptions import Reject, TimeLimitExceeded, WorkerLostError
from celery.worker import state
from celery.worker.request import Request as CeleryRequest
from redis.exceptions import RedisError

from spacer_tasks import results
from spacer_tasks.exceptions import SpacerError, TaskTimeoutError
from spacer_tasks.execution import lock
from spacer_tasks.execution.connection import worker_redis
from spacer_tasks.execution.storage_away import StorageAway
from spacer_tasks.execution.task import MessageTask
from spacer_tasks.results import TaskError
from spacer_tasks.worker.storage_watch import WATCH

logger = logging.getLogger(__name__)


class Request(CeleryRequest):
    """A task as the worker's main process sees it."""

    #: Celery's: before when it is to be begun
    _expires: Any

    def _success_was_stored(self) -> bool:
        """Whether a lost process's task need not be delivered again.

        Celery (5.7) says yes where its state in Redis is a success. But then a part of a batch may
        not be counted yet, and it would never be. Delivered again, it is answered from what is
        stored, and counts once.
        """
        return False

    def revoked(self) -> bool:
        """Whether it was revoked. One that expired is begun, and ends in an answer that says so
        (`execution/expiry.py`).
        """
        kept, self._expires = self._expires, None
        try:
            return bool(super().revoked())
        finally:
            self._expires = kept

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """Its process was ended at the time limit."""
        if soft or state.should_terminate:
            super().on_timeout(soft, timeout)
            return
        state.task_ready(self)
        # storing may take its time, and the main loop serves all others
        threading.Thread(target=_answer_overdue, args=(self, timeout), daemon=True).start()

    def on_failure(self, exc_info: Any, *args: Any, **kwargs: Any) -> Any:
        """It raised, or its process was killed."""
        error = getattr(exc_info.exception, "exc", exc_info.exception)
        if isinstance(error, TimeLimitExceeded) and not state.should_terminate:
            # said twice; answered in `on_timeout`
            return None
        # not in the type stubs
        reason = getattr(error, "reason", None)
        if isinstance(error, Reject) and isinstance(reason, StorageAway):
            # before the message goes back, or this worker would take it again
            WATCH.note(reason)
        if isinstance(error, WorkerLostError):
            try:
                lock.note_loss(worker_redis(), self.id, str(error))
                lock.let_go(worker_redis(), self.id)
            except (RedisError, OSError) as away:
                logger.warning("%s: what ended it is not kept: %s", self.id, away)
        return super().on_failure(exc_info, *args, **kwargs)


def answer_lost_tasks() -> None:
    """Let the worker of this process see the tasks that take a message as `Request` does.

    A client's process never does: its tasks name no module of a worker's.
    """
    MessageTask.Request = f"{__name__}:{Request.__name__}"


def _answer_overdue(request: Any, timeout: float) -> None:
    try:
        store_overdue(request.id, request.type, request.hostname, timeout)
        lock.let_go(worker_redis(), request.id)
    except (SpacerError, RedisError, OSError) as error:
        # it is delivered again, and given up after some times
        logger.warning("%s: past its time limit, and not answered: %s", request.id, error)
    request.reject(requeue=True)


def store_overdue(
    task_id: str, name: str, worker: str | None, limit: float, where: str = ""
) -> None:
    """Store the answer of a task that was ended at its time limit. Raises as `storage.store`."""
    error = TaskTimeoutError(
        f"{name} took longer than the time limit of {limit:g} seconds and was ended{where}"
    )
    logger.error("%s: %s", task_id, error)
    if results.find_answer(task_id) is None:
        results.store_answer(task_id, name, worker, error=TaskError.of(error))
