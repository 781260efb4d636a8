"""How far a task is, for callers and for Flower."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Task

from spacer_tasks.broker.outages import refuses_for_now
from spacer_tasks.data_classes.job_state import PROGRESS

logger = logging.getLogger(__name__)


def report_progress(task: Task[..., Any], task_id: str, fields: dict[str, Any]) -> None:
    """Set the state PROGRESS on a task (this one, or the batch it belongs to).

    Flower learns it from an event; what it shows as the result meanwhile is the progress.
    """
    shown = ", ".join(f"{name} {value}" for name, value in fields.items())
    with progress_only(task_id):
        task.backend.store_result(task_id, fields, PROGRESS)
        with task.app.events.default_dispatcher(hostname=task.request.hostname) as dispatcher:
            dispatcher.send("task-progress", uuid=task_id, result=shown)


@contextmanager
def progress_only(task_id: str) -> Iterator[None]:
    """A Redis that is away for a moment costs a line of progress, never the work."""
    try:
        yield
    except Exception as error:
        if not refuses_for_now(error):
            raise
        logger.warning("%s: progress not reported: %s", task_id, error)
