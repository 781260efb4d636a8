"""Waiting for tasks that were sent, with progress bars."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import typer
from rich.progress import Progress, TaskID

from spacer_tasks.console import INTERRUPTED, progress_bar, say, short
from spacer_tasks.data_classes.job_state import JobState
from spacer_tasks.exceptions import BrokerUnavailableError
from spacer_tasks.jobs.status import (
    TaskState,
    note_of,
    stage_of,
)
from spacer_tasks.jobs.waiting import watched


def wait_for(tasks: Mapping[str, str], description: str) -> dict[str, TaskState]:
    """The final states of tasks, by id, after all have finished.

    Parameters
    ----------
    tasks
        Names by id.
    description
        What many tasks do; one task tells that by itself.

    Raises
    ------
    BrokerUnavailableError
        Redis was away for longer than `retries.REDIS_AWAY_S`. The tasks go on without this process.
    typer.Exit
        The wait was interrupted.
    """
    with progress_bar() as progress, _left_alone(progress, tasks):
        if len(tasks) == 1:
            return _one(next(iter(tasks)), progress)
        return _many(tasks, description, progress)


def _one(task_id: str, progress: Progress) -> dict[str, TaskState]:
    bar = progress.add_task("waiting for a worker", total=None, note="")
    stage = ""
    for states in watched([task_id]):
        state = states[task_id]
        now = stage_of(state.progress)
        if now is not None:
            if now[0] != stage:
                if stage:
                    _fill(progress, bar)
                    bar = progress.add_task("", total=now[2], note="")
                stage = now[0]
            progress.update(
                bar, description=stage, completed=now[1], total=now[2], note=note_of(state.progress)
            )
        elif state.state is JobState.RUNNING and not stage:
            progress.update(bar, description="running")
        if state.finished:
            if state.error is None:
                _fill(progress, bar)
            return states
    raise AssertionError("unreachable")


def _fill(progress: Progress, bar: TaskID) -> None:
    """The last report of a stage may come after the next one's first."""
    task = next(task for task in progress.tasks if task.id == bar)
    total = 1 if task.total is None else task.total
    progress.update(bar, completed=total, total=total)


def _many(tasks: Mapping[str, str], description: str, progress: Progress) -> dict[str, TaskState]:
    bar = progress.add_task(description, total=len(tasks), note="")
    finished: dict[str, TaskState] = {}
    for states in watched(list(tasks)):
        finished |= {task_id: state for task_id, state in states.items() if state.finished}
        running = [tasks[each] for each, state in states.items() if state.state is JobState.RUNNING]
        progress.update(bar, completed=len(finished), note=short(running[0]) if running else "")
        if len(finished) == len(tasks):
            break
    return finished


@contextmanager
def _left_alone(progress: Progress, tasks: Mapping[str, str]) -> Iterator[None]:
    """Say that tasks go on, when this process stops looking."""
    which = next(iter(tasks)) if len(tasks) == 1 else "ID"
    how = f"`spacer-tasks status {which}` shows how far"
    try:
        yield
    except KeyboardInterrupt:
        progress.stop()
        say(f"Not waiting any more; the workers go on, {how}", "yellow")
        raise typer.Exit(INTERRUPTED) from None
    except BrokerUnavailableError as error:
        raise BrokerUnavailableError(f"{error}; {how}") from error
