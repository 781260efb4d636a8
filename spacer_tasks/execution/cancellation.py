"""Cancel a task, a batch or a training: what waits is not begun, what runs stops soon.

Celery's own revoking is kept in the memory of the workers that are there at that moment, and knows
nothing of the parts of a batch. Here a mark in Redis, which outlives workers and Redis's restarts,
is looked at by every task before it begins, and while it runs: as feature files are read, and after
each mini-batch of a training. A batch's mark ends all its parts and its body. The answer of a
cancelled task says so.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from celery.states import FAILURE

from spacer_tasks.app import app as our_app
from spacer_tasks.broker.contract import WAITS_AT_MOST_S
from spacer_tasks.broker.outages import refuses_for_now, unavailable_broker
from spacer_tasks.data_classes.job_state import JobState
from spacer_tasks.exceptions import ConfigError, TaskCancelledError
from spacer_tasks.results import TaskError, store_answer

if TYPE_CHECKING:
    from celery import Celery

logger = logging.getLogger(__name__)

#: seconds between two looks of a task that runs
LOOK_EVERY_S = 1
#: on `time.monotonic()`, when tasks that run looked last, by their ids
_LOOKED: dict[tuple[str, ...], float] = {}
#: tasks remembered, at most; threads of one worker are far fewer
_LOOKED_MAX = 1000


def cancel(task_id: str) -> bool:
    """Cancel a task that waits or runs: a training, a batch with all its parts, or any other.

    Returns whether it was cancelled. False: it has an answer already, which stays.

    Callers that wait for it get `TaskCancelledError` at once, and so does whoever asks for its
    answer. A task that runs stops within seconds; an image that is being worked on is finished,
    but nothing follows.

    Raises
    ------
    BrokerUnavailableError
        Redis is away.
    ConfigError
        The user of Redis may not cancel. Nothing was changed.
    StorageError, StorageUnavailableError
        The answer could not be stored. The task is cancelled all the same.
    """
    error = TaskCancelledError(f"the task {task_id} was cancelled")
    # as in `broker.outages`: whoever imports the tasks need not load it
    from redis.exceptions import NoPermissionError

    backend = cast("Any", our_app.backend)
    try:
        with unavailable_broker(our_app):
            # first, so that no part of it reports progress after what follows
            backend.client.set(mark_of(task_id), int(time.time()), ex=WAITS_AT_MOST_S)
    except NoPermissionError as refusal:
        raise ConfigError(
            "the user in SPACER_BROKER_URL may not cancel tasks; see docs/security.md, Redis users"
        ) from refusal
    kept = store_answer(task_id, "", None, error=TaskError.of(error))
    if kept.state is not JobState.CANCELLED:
        backend.client.delete(mark_of(task_id))
        return False
    with unavailable_broker(our_app):
        backend.store_result(task_id, error, FAILURE)
    return True


def check(app: Celery, *task_ids: str) -> None:
    """Raise if one of these was cancelled. A Redis that is away says no.

    Raises
    ------
    TaskCancelledError
        One was.
    """
    try:
        marks = cast("Any", app.backend).client.mget([mark_of(task_id) for task_id in task_ids])
    except Exception as error:
        if not refuses_for_now(error):
            raise
        logger.warning("%s: not known whether it was cancelled: %s", task_ids[0], error)
        return
    for task_id, mark in zip(task_ids, marks, strict=True):
        if mark is not None:
            raise TaskCancelledError(f"the task {task_id} was cancelled")


def marks_beside(app: Celery, task_ids: Sequence[str]) -> list[str]:
    """The keys of the marks, where they are in the same Redis as the locks of tasks, so that one
    question answers both; none where they are not.
    """
    conf: Any = app.conf
    if str(conf.broker_write_url) != str(cast("Any", app.backend).url):
        return []
    if conf.broker_transport_options.get("global_keyprefix"):
        return []
    return [mark_of(task_id) for task_id in task_ids]


def check_now_and_then(app: Celery, *task_ids: str) -> None:
    """As `check`, but called more often than once a second it does nothing."""
    now = time.monotonic()
    if now - _LOOKED.get(task_ids, 0) < LOOK_EVERY_S:
        return
    if len(_LOOKED) >= _LOOKED_MAX:
        _LOOKED.clear()
    _LOOKED[task_ids] = now
    check(app, *task_ids)


def cancelled_at(task_id: str) -> float | None:
    """When a caller cancelled a task, in seconds since 1970; None if none did.

    Raises
    ------
    redis.exceptions.RedisError
        Redis does not answer.
    """
    mark = cast("Any", our_app.backend).client.get(mark_of(task_id))
    return None if mark is None else float(mark)


def mark_of(task_id: str) -> str:
    """The key of the mark."""
    return f"spacer-cancelled-{task_id}"
