"""`spacer-tasks cancel`: end tasks that wait or run."""

from __future__ import annotations

from typing import Annotated

import typer

from spacer_tasks.cli.queue.broker import reached_redis
from spacer_tasks.console import SOME_FAILED, say, warn


def cancel(
    task_ids: Annotated[list[str], typer.Argument(help="Tasks: trainings, batches, or any other.")],
) -> None:
    """Cancel tasks that wait or run; of a batch, all its parts. What is finished stays.

    Exits with 1 if one was finished before.
    """
    from spacer_tasks.execution import cancellation

    finished = []
    with reached_redis():
        for task_id in task_ids:
            if cancellation.cancel(task_id):
                say(f"cancelled: {task_id}")
            else:
                finished.append(task_id)
    for task_id in finished:
        warn(f"{task_id} was finished before: its answer stays")
    if finished:
        raise typer.Exit(SOME_FAILED)
