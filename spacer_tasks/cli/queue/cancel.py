"""`spacer-tasks cancel`: end tasks that wait or run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer
from redis import Redis
from redis.exceptions import NoPermissionError

from spacer_tasks.broker.whereabouts import present
from spacer_tasks.cli.queue.broker import reached_redis
from spacer_tasks.console import SOME_FAILED, say, warn
from spacer_tasks.data_classes.job_state import JobState
from spacer_tasks.data_classes.task_ids import checked_id
from spacer_tasks.jobs.status import known_state


def cancel(
    task_ids: Annotated[list[str], typer.Argument(help="Tasks: trainings, batches, or any other.")],
) -> None:
    """Cancel tasks that wait or run; of a batch, all its parts. What is finished stays.

    Exits with 1 if one was finished before, or if nothing knows one: a mistake in its id, mostly.
    """
    from spacer_tasks.execution import cancellation

    finished = []
    with reached_redis() as redis:
        strange = _unheard_of(redis, task_ids)
        for task_id in task_ids:
            if not cancellation.cancel(task_id):
                finished.append(task_id)
            elif task_id not in strange:
                say(f"cancelled: {task_id}")
    for task_id in sorted(strange - {*finished}):
        warn(
            f"{task_id}: no queue, no worker and no answer knows this id; look at it again. A task"
            " of this id that comes later is not begun"
        )
    for task_id in finished:
        warn(f"{task_id} was finished before: its answer stays")
    if finished or strange:
        raise typer.Exit(SOME_FAILED)


def _unheard_of(redis: Redis, task_ids: Iterable[str]) -> set[str]:
    """Those of which there is no state, no answer and no message."""
    silent = {
        each for each in map(checked_id, task_ids) if known_state(each).state is JobState.UNKNOWN
    }
    try:
        return silent - present(redis, silent) if silent else silent
    except NoPermissionError:
        # a site's user may not look into the queues
        return set()
