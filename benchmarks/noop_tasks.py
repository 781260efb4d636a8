"""Tasks that do next to nothing: one of plain Celery, and one of this project's kind.

Workers of `benchmarks.overhead` import them; `BENCH_WORK_MS` is how long each works.
"""

from __future__ import annotations

import os
import time
from typing import Any

from celery import Celery
from kombu import Queue

from spacer_tasks.app import app
from spacer_tasks.execution.task import OperationTask
from spacer_tasks.messages.tasks import ClassifyFeaturesMsg, ClassifyReturnMsg

PLAIN_QUEUE = "plain"
WORK_S = float(os.environ.get("BENCH_WORK_MS", "0")) / 1000

#: plain Celery, with the settings that any careful site has
plain = Celery("plain", broker=app.conf.broker_url, backend=app.conf.result_backend, fixups=[])
plain.conf.update(
    task_acks_late=True,
    task_queues=[Queue(PLAIN_QUEUE)],
    task_default_queue=PLAIN_QUEUE,
    task_track_started=True,
    worker_prefetch_multiplier=1,
    worker_send_task_events=True,
    task_send_sent_event=True,
    broker_connection_retry_on_startup=True,
)


def answer() -> ClassifyReturnMsg:
    """What a worker answers for an image of 25 points and five classes."""
    time.sleep(WORK_S)
    scores = [(row, row, [0.2] * 5) for row in range(25)]
    return ClassifyReturnMsg(runtime=0.1, scores=scores, classes=list("abcde"), valid_rowcol=True)


@plain.task(name="plain.noop")
def plain_noop(message: dict[str, Any]) -> dict[str, Any]:
    """The same work, without this project."""
    answer()
    return {"job_token": message["job_token"]}


@app.task(
    base=OperationTask,
    bind=True,
    shared=False,
    name="bench.noop",
    message_class=ClassifyFeaturesMsg,
)
def noop(self: OperationTask, msg: ClassifyFeaturesMsg) -> ClassifyReturnMsg:
    """The work as a task of this project: checked, answered, its answer stored."""
    return answer()


@app.task(shared=False, name="bench.body")
def body(parts: list[Any]) -> int:
    """The body of a chord."""
    return len(parts)
