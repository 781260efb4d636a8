"""Sending tasks, and what came back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spacer_tasks.cli.incomplete import IncompleteImages
from spacer_tasks.cli.queue.broker import reached_redis
from spacer_tasks.console import INTERRUPTED, counted, out, reason, say
from spacer_tasks.exceptions import BrokerUnavailableError
from spacer_tasks.jobs.status import TaskState

if TYPE_CHECKING:
    from spacer_tasks.execution.task import MessageTask
    from spacer_tasks.messages.tasks import Message

Wait = Annotated[bool, typer.Option("--wait", help="Wait, with progress bars, for the result.")]
Sending = tuple["MessageTask", str, "Message"]


def send(sendings: Iterable[Sending]) -> dict[str, str]:
    """Send tasks and print their ids; their names by id.

    Raises
    ------
    BrokerUnavailableError
        Redis does not answer. What was sent before is printed.
    typer.Exit
        It was interrupted.
    MessageError, StorageError, StorageUnavailableError
        As the tasks' `apply_async`.
    """
    sent: dict[str, str] = {}
    with reached_redis():
        for task, name, message in sendings:
            try:
                task_id = task.delay(message).id
            except KeyboardInterrupt:
                say(f"Interrupted: {counted(len(sent), 'task')} sent; the workers go on", "yellow")
                raise typer.Exit(INTERRUPTED) from None
            except BrokerUnavailableError as error:
                raise BrokerUnavailableError(
                    f"{error} ({counted(len(sent), 'task')} went out before)"
                ) from error
            sent[task_id] = name
            out.print(f"{task_id}  {name}", soft_wrap=True, markup=False)
    return sent


def failures_of(states: Mapping[str, TaskState], names: Mapping[str, str]) -> dict[str, str]:
    """Why tasks failed, by their names."""
    return {
        names[task_id]: reason(state.error.message, names[task_id])
        for task_id, state in states.items()
        if state.error is not None
    }


def incomplete_of(states: Mapping[str, TaskState], names: Mapping[str, str]) -> IncompleteImages:
    """The tasks whose images were damaged or cut short, each warned of."""
    incomplete = IncompleteImages()
    for task_id, state in states.items():
        incomplete.add(names[task_id], (state.answer or {}).get("incomplete"))
    return incomplete


def answer_of(state: TaskState) -> dict[str, Any]:
    """The answer of a finished task. Raises the error that it failed with."""
    if state.error is not None:
        raise state.error.as_exception()
    return state.answer or {}


def needs_wait(output: str | None, wait: bool) -> None:
    """Refuse an output file that nobody waits to write."""
    if output and not wait:
        raise typer.BadParameter("predictions are there after --wait only", param_hint="--output")
