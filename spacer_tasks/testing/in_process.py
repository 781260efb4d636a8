"""A worker in this process: runs one message at a time, as a worker of its own would."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, cast

from celery import Celery, _state, signals
from celery.worker.request import Request

from spacer_tasks.app import app
from spacer_tasks.execution.lock import Running
from spacer_tasks.execution.task import MessageTask
from spacer_tasks.results import StoredAnswer

#: the worker's name in stored answers
HOSTNAME = "in-process"
#: how the names of this package's tasks begin
OURS = "spacer_tasks."


class InProcessWorker:
    """Runs the tasks of this package here, so that they compute: it needs what a worker needs.

    Callbacks of the site's own Celery applications run here too.
    """

    def doing(self, task: MessageTask) -> AbstractContextManager[object]:
        """What is around one task of this package."""
        return nullcontext()

    def work(self, message: Any) -> None:
        """Run the task of one message.

        Raises
        ------
        Exception
            What a callback of the site's raised. What a task of this package ends with is in its
            answer.
        LookupError
            No application of this process has the task.
        """
        name = message.headers["task"]
        if name.startswith(OURS):
            self._run(message)
        else:
            _call(message)

    def _run(self, message: Any) -> None:
        app.loader.import_default_modules()
        task = cast("MessageTask", app.tasks[message.headers["task"]])
        bugs: list[Exception] = []

        def internal_error(exception: Exception, **_: Any) -> None:
            bugs.append(exception)

        signals.task_internal_error.connect(internal_error)
        # the tracer that a task keeps knows the result backend that was there when it was made
        task.__trace__ = None
        try:
            with self.doing(task), _only_our_tasks():
                Request(message, app=app, task=task, hostname=HOSTNAME).execute()
        finally:
            task.__trace__ = None
            signals.task_internal_error.disconnect(internal_error)
        if bugs:
            raise bugs[0]


@contextmanager
def alone(
    task_id: str, _marks: Sequence[str], find_answer: Callable[[], StoredAnswer | None]
) -> Iterator[Running]:
    """In place of the lock of a running task: in one process nobody else is given it."""
    yield Running(
        task_id,
        HOSTNAME,
        starts=[{"worker": HOSTNAME}],
        answer=find_answer(),
        renewed_at=math.inf,
    )


def _call(message: Any) -> None:
    """Run a task of the site's, a callback mostly, and send what follows on it.

    By `apply`, so that its result backend, which may be a server's, is not asked.
    """
    name, task_id = message.headers["task"], message.headers["id"]
    args, kwargs, embed = message.payload
    value = _application_with(name).tasks[name].apply(args, kwargs, task_id=task_id, throw=True)
    for callback in embed.get("callbacks") or []:
        app.signature(callback).apply_async((value.result,))
    if following := embed.get("chain"):
        app.signature(following.pop()).apply_async((value.result,), chain=following)


def _application_with(name: str) -> Celery:
    # the current one first, to which a `shared_task` belongs
    for each in sorted(_others(), key=lambda other: other is not _state.get_current_app()):
        if name in each.tasks:
            return each
    raise LookupError(
        f"the task {name!r} was sent, a callback perhaps, but no Celery application in this process"
        " has it: import the module that defines it"
    )


@contextmanager
def _only_our_tasks() -> Iterator[None]:
    """A worker of ours knows no task of the site's. In a process of the site's, each `shared_task`
    is in our application too, and Celery would call a callback that it knows in another way.
    """
    theirs = {
        name: app.tasks.pop(name)
        for name in list(app.tasks)
        if any(name in other.tasks for other in _others()) and not name.startswith("celery.")
    }
    try:
        yield
    finally:
        app.tasks.update(theirs)


def _others() -> list[Celery]:
    active = _state._get_active_apps()  # type: ignore[attr-defined]  # not in the stubs
    return [each for each in active if each is not app]
