"""Callbacks (`link`, `link_error`) that are tasks of the caller's own Celery application.

A worker of ours sends them when it is done, and it knows neither those tasks nor their routes. So
the caller, who does, writes down the queue of each.
"""

from __future__ import annotations

from typing import Any

from celery.canvas import Signature
from celery.utils.functional import maybe_list

#: by any of these a callback says itself where it goes
DESTINATIONS = ("queue", "exchange", "routing_key")


def with_queues(callbacks: Any) -> list[Any]:
    """The callbacks, each with the queue that its own application routes it to.

    What names a destination, or is a task of this package, stays as it is. So does a chain, group
    or chord: name the queue in each of its tasks (`.set(queue=…)`).

    Parameters
    ----------
    callbacks
        What Celery takes as `link`: a signature, several, or None.
    """
    return [_with_queue(callback) for callback in maybe_list(callbacks) or []]


def _with_queue(callback: Any) -> Any:
    # a dict is one that was sent before: the task is being retried
    if not isinstance(callback, Signature) or callback.get("subtask_type"):
        return callback
    name: str = callback["task"]
    if name.startswith("spacer_tasks.") or any(d in callback.options for d in DESTINATIONS):
        return callback
    its_app = callback.app
    queue = getattr(its_app.tasks.get(name), "queue", None)
    if queue is None:
        queue = its_app.amqp.router.route({}, name, callback.args, callback.kwargs)["queue"]
    return callback.clone().set(queue=getattr(queue, "name", queue))
