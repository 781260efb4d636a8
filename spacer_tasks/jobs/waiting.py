"""Waiting for tasks, through restarts and wipes of Redis.

Celery's own `AsyncResult.get` listens to Redis and knows nothing else. Here Redis is asked again
and again, and where it is away or does not know a task, the results prefix is.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from redis.exceptions import NoPermissionError, RedisError

from spacer_tasks import retries
from spacer_tasks.broker import refused
from spacer_tasks.broker.client import broker_client
from spacer_tasks.broker.whereabouts import present
from spacer_tasks.config.settings import get_settings
from spacer_tasks.data_classes.job_state import JobState
from spacer_tasks.exceptions import (
    BrokerUnavailableError,
    JobLostError,
    ObjectNotFoundError,
    StorageUnavailableError,
)
from spacer_tasks.jobs.status import TaskState, in_redis, in_storage
from spacer_tasks.results import TaskError, load_answer

if TYPE_CHECKING:
    from celery.result import AsyncResult

logger = logging.getLogger(__name__)


def wait(
    task: AsyncResult[Any] | str,
    timeout: float | None = None,
    on_progress: Callable[[TaskState], None] | None = None,
) -> dict[str, Any]:
    """The answer of a task, when it has finished.

    Redis may be restarted or wiped meanwhile. It may be called again, from any process, with the
    task's id.

    Parameters
    ----------
    task
        What `delay` or `apply_async` returned, or the task's id.
    timeout
        Seconds; None waits as long as the task is known.
    on_progress
        Called with the state of the task at each look, some three times a second.

    Returns
    -------
    dict
        The whole answer, as `load_answer`; without a results prefix, what Redis has of it.

    Raises
    ------
    SpacerError
        The task failed: its error, of its own class where this package has it.
    TimeoutError
        It has not finished in time, and goes on; or it has, and its answer cannot be read yet.
    JobLostError
        For a minute Redis had no trace of it, and the results prefix no answer: send it again.
    BrokerUnavailableError
        Redis was away for ten minutes, and there was no answer.
    """
    task_id = task if isinstance(task, str) else str(task.id)
    end = None if timeout is None else time.monotonic() + timeout
    for states in watched([task_id], timeout):
        state = states[task_id]
        if on_progress is not None:
            on_progress(state)
    if state.error is not None:
        raise state.error.as_exception()
    if not get_settings().results_prefix:
        return state.answer or {}
    return _whole(task_id, end)


def _whole(task_id: str, end: float | None) -> dict[str, Any]:
    for wait_s in retries.ANSWER_READ.waits():
        try:
            return load_answer(task_id)
        except (ObjectNotFoundError, StorageUnavailableError) as error:
            # S3 may be away now, or not show it yet
            logger.warning("%s: finished, but its answer cannot be read: %s", task_id, error)
            left = wait_s if end is None else end - time.monotonic()
            if left <= 0:
                raise TimeoutError(
                    f"{task_id} has finished, and its answer cannot be read yet: {error}"
                ) from error
            time.sleep(min(wait_s, left))
    return load_answer(task_id)


def watched(
    task_ids: Sequence[str], timeout: float | None = None
) -> Iterator[dict[str, TaskState]]:
    """The states of the tasks that had not finished at the look before, again and again.

    It ends when all have finished. A task that is lost ends in a `JobLostError` of its own.

    Parameters
    ----------
    timeout
        Seconds, or None.

    Raises
    ------
    BrokerUnavailableError
        Redis was away for longer than `retries.REDIS_AWAY_S`, and some tasks have no answer.
    TimeoutError
        Some have not finished in time.
    """
    watch = _Watch(task_ids)
    end = None if timeout is None else time.monotonic() + timeout
    while watch.pending:
        yield watch.look()
        if watch.pending:
            if end is not None and time.monotonic() >= end:
                raise TimeoutError(f"after {timeout:g} s: {watch.described()}")
            time.sleep(retries.WAIT_POLL_S)


class _Watch:
    """What was seen of some tasks until now."""

    def __init__(self, task_ids: Sequence[str]) -> None:
        self.pending = list(dict.fromkeys(task_ids))
        self._states = {each: TaskState(each, JobState.UNKNOWN) for each in self.pending}
        #: by id, since when neither Redis nor the results prefix has known it
        self._nowhere: dict[str, float] = {}
        self._away_since: float | None = None
        self._next_search = time.monotonic() + retries.WAIT_SEARCH_S

    def look(self) -> dict[str, TaskState]:
        """The states of what has not finished."""
        away = self._ask_redis()
        if time.monotonic() >= self._next_search:
            began = time.monotonic()
            self._search(away)
            # many that wait are a look through whole queues
            took = time.monotonic() - began
            self._next_search = time.monotonic() + max(retries.WAIT_SEARCH_S, 4 * took)
        looked_at = {each: self._states[each] for each in self.pending}
        self.pending = [each for each in self.pending if not self._states[each].finished]
        if self.pending and away is not None:
            self._end_if_away_for_long(away)
        return looked_at

    def described(self) -> str:
        """What has not finished."""
        first = self._states[self.pending[0]]
        more = f" and {len(self.pending) - 1} more" if len(self.pending) > 1 else ""
        redis = "; Redis does not answer" if self._away_since is not None else ""
        return f"{first.task_id} ({first.state}){more} not finished{redis}"

    def _ask_redis(self) -> Exception | None:
        try:
            for task_id in self.pending:
                self._states[task_id] = in_redis(task_id)
        except (RedisError, OSError) as error:
            if self._away_since is None:
                self._away_since = time.monotonic()
                # what is stored is known meanwhile
                self._next_search = self._away_since
                logger.warning("Redis does not answer (%s); waiting for it", error)
            return error
        if self._away_since is not None:
            logger.warning("Redis answers again")
        self._away_since = None
        return None

    def _search(self, away: Exception | None) -> None:
        """Look for the answers of those that Redis does not know, and else for any trace."""
        unknown = [
            each
            for each in self.pending
            if away is not None or self._states[each].state is JobState.UNKNOWN
        ]
        for task_id in list(unknown):
            try:
                found = in_storage(task_id)
            except StorageUnavailableError as error:
                logger.warning("the results prefix cannot be read (%s)", error)
                # nobody knows whether there are answers
                self._nowhere.clear()
                return
            if found is not None:
                self._states[task_id] = found
                unknown.remove(task_id)
        if away is not None or not unknown:
            self._nowhere.clear()
            return
        try:
            there = present(broker_client(), set(unknown))
        except (RedisError, OSError):
            return
        now = time.monotonic()
        since = {each: self._nowhere.get(each, now) for each in unknown if each not in there}
        self._nowhere = since
        gone = [each for each, then in since.items() if now - then >= retries.NOWHERE_S]
        if not gone:
            return
        try:
            kept = {each: refused.of_task(broker_client(), each)[:1] for each in gone}
        except NoPermissionError:
            # a site's user need not see what others sent
            kept = {}
        except (RedisError, OSError):
            return
        for task_id in gone:
            why = _why_lost(task_id, now - since[task_id], *kept.get(task_id, ()))
            lost = JobLostError(why)
            self._states[task_id] = TaskState(task_id, JobState.LOST, error=TaskError.of(lost))

    def _end_if_away_for_long(self, error: Exception) -> None:
        away_s = time.monotonic() - (self._away_since or time.monotonic())
        if away_s >= retries.REDIS_AWAY_S:
            raise BrokerUnavailableError(
                f"Redis has been away for {away_s:.0f} s ({error}); {self.described()}. Tasks that"
                " were sent go on when it is back"
            ) from error


def _why_lost(task_id: str, seconds: float, kept: refused.Refused | None = None) -> str:
    if kept is not None:
        return (
            f"the message of the task {task_id} was refused ({kept.reason.value}: {kept.why}) and"
            f" is kept: `spacer-tasks refused show {kept.ref}` shows it, and `refused requeue` puts"
            " it back"
        )
    return (
        f"Redis has had no trace of the task {task_id} for {seconds:.0f} s, and there is no answer"
        " under the results prefix: Redis was wiped, or the task was never sent. Send it again"
    )
