"""The parts of a chord that runs under one id: headers that never fail it, and bodies.

A batch starts as one task, which replaces itself by a chord; the chord's body takes the id of the
batch and may replace itself by the next chord. So a caller waits for one id, its `link` and
`link_error` belong to the whole batch, and an error anywhere is the batch's error.

Every header task's message carries the signature of the body, so a body is given the location of
the batch's plan, never the plan.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from celery import Task, chord, group
from celery.canvas import Signature
from celery.exceptions import TaskPredicate

from spacer_tasks import storage
from spacer_tasks.broker.contract import RUN, SENT_AT
from spacer_tasks.broker.outages import refuses_for_now
from spacer_tasks.data_classes.job_state import JobState
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.data_classes.task_ids import MAX_PART_LENGTH, checked_id
from spacer_tasks.exceptions import BrokerUnavailableError, TaskCancelledError
from spacer_tasks.execution import cancellation
from spacer_tasks.execution.once import claimed_run, forget_run, sent_before, sent_once
from spacer_tasks.execution.payload import pointer_to
from spacer_tasks.execution.progress import progress_only, report_progress
from spacer_tasks.execution.task import MessageTask, OperationTask
from spacer_tasks.messages.batches import BatchFailure
from spacer_tasks.messages.tasks import Message
from spacer_tasks.results import StoredAnswer, TaskError, results_location

if TYPE_CHECKING:
    from celery.result import AsyncResult
    from redis import Redis

logger = logging.getLogger(__name__)

#: seconds that a batch's count of finished parts is kept after the last of them
COUNT_EXPIRES_S = 86400


def count_key(batch_id: str, stage: str) -> str:
    """The set in Redis of the numbers of a stage's finished parts."""
    return f"spacer-batch-{batch_id}-{stage}"


def part_id(batch_id: str, header_name: str, index: int) -> str:
    """The id of a part: the same if its batch is begun again, so that a part done is found done."""
    return f"{batch_id}.{header_name.rpartition('.')[2]}.{index}"


def batch_location(batch_id: str, name: str) -> DataLocation:
    """Where a batch keeps something between its stages."""
    return results_location().joined("batches", checked_id(batch_id), name)


class HeaderTask(MessageTask):
    """One part of a batch. It answers with what happened, also when that is an error: a header
    that raises would end the whole chord. Its answer goes through Redis whole, so its return
    message holds counts, not content.
    """

    abstract = True
    #: what the parts do, for the batch's progress
    stage: str
    # which begins with the batch's own
    longest_id = MAX_PART_LENGTH

    def __call__(
        self, message: dict[str, Any], batch_id: str, index: int, total: int
    ) -> dict[str, Any]:
        try:
            stored = self.perform(message)
            answer, error = stored.answer or {}, stored.error
        except TaskPredicate:
            raise
        except Exception as caught:  # noqa: BLE001 -- the boundary of a part: see the class
            answer, error = {}, TaskError.of(caught)
        if error is None or JobState.of_error(error.type) is not JobState.CANCELLED:
            self._count(batch_id, index, total)
        if error is None:
            return {"index": index, "answer": answer}
        return {"index": index, "error": error.model_dump(exclude={"traceback"})}

    def cancelled_with(self) -> tuple[str, ...]:
        """Its own id, and its batch's."""
        batch_id = (self.request.args or ())[1:2]
        return (self.task_id, *map(str, batch_id))

    def _cancelled(self, error: TaskCancelledError) -> StoredAnswer:
        # not stored: a batch may have thousands of parts, and the batch's answer says it
        return StoredAnswer(
            task_id=self.task_id,
            task_name=self.name,
            finished_at=datetime.now(timezone.utc),
            worker=self.request.hostname,
            error=TaskError.of(error),
        )

    def _count(self, batch_id: str, index: int, total: int) -> None:
        redis: Redis = self.backend.client  # type: ignore[attr-defined]  # not in the stubs
        key = count_key(batch_id, self.stage)
        with progress_only(batch_id), redis.pipeline() as pipeline:
            # a set, since a part may be delivered twice
            pipeline.sadd(key, index)
            pipeline.scard(key)
            pipeline.expire(key, COUNT_EXPIRES_S)
            pipeline.exists(cancellation.mark_of(batch_id))
            _, done, _, cancelled = pipeline.execute()
            if not cancelled:
                progress = {"stage": self.stage, "done": done, "total": total}
                report_progress(self, batch_id, progress)


class _Stage(MessageTask):
    """A task under the batch's own id. With its answer, the batch's run is over."""

    abstract = True

    def _kept(
        self, answer: dict[str, Any] | None = None, error: TaskError | None = None
    ) -> StoredAnswer:
        stored = super()._kept(answer, error)
        self._forget_run()
        return stored

    def _was_answered(self) -> None:
        super()._was_answered()
        self._forget_run()

    def _forget_run(self) -> None:
        try:
            forget_run(self.task_id)
        except Exception as error:
            if not refuses_for_now(error):
                raise


class BatchTask(_Stage, OperationTask):
    """A task that replaces itself by a chord."""

    abstract = True

    def apply_async(  # type: ignore[override]  # as of MessageTask
        self,
        args: Any = None,
        kwargs: Any = None,
        task_id: str | None = None,
        **options: Any,
    ) -> AsyncResult[Any]:
        """Send the batch. See `MessageTask.apply_async`."""
        # a next try brings the one of the first
        options["headers"] = {RUN: uuid4().hex[:12], **(options.get("headers") or {})}
        return super().apply_async(args, kwargs, task_id=task_id, **options)


class BodyTask(_Stage):
    """The task after a chord's header: given what the parts answered and where the plan is."""

    abstract = True

    # a body's first argument is the header's results, which are no message to pack
    apply_async = Task.apply_async  # type: ignore[assignment]  # as of MessageTask

    def __call__(self, parts: list[dict[str, Any]], plan: dict[str, Any]) -> dict[str, Any]:
        stored = self.perform(plan, parts)
        if stored.error is not None:
            raise stored.error.as_exception()
        return stored.small()


def replace_by_chord(
    task: MessageTask,
    header: HeaderTask,
    messages: Iterable[Message],
    body: BodyTask,
    plan: Message,
) -> None:
    """Go on as a chord: `header` for each message, then `body`, under the id of `task`.

    Raises
    ------
    celery.exceptions.Ignore
        Always: the task that calls this has no result of its own.
    """
    batch_id = task.task_id
    location = batch_location(batch_id, f"{header.stage}.json")
    data = json.dumps(plan.to_wire()).encode()
    storage.store(location, data)
    parts = list(messages)
    signatures: list[Signature[Any]] = [
        # the message itself, not its JSON, which would be checked again on its way out
        header.s(message, batch_id, index, len(parts)).set(
            task_id=part_id(batch_id, header.name, index)
        )
        for index, message in enumerate(parts)
    ]
    report_progress(task, batch_id, {"stage": header.stage, "done": 0, "total": len(parts)})
    then = body.s(pointer_to(location, data))
    if priority := (task.request.delivery_info or {}).get("priority"):
        # a batch that can wait has parts that can
        for signature in (*signatures, then):
            signature.set(priority=priority)
    try:
        # the same if this is begun again, so that what was counted, and sent, stays so
        run = _run_of(task)
        then.set(headers={RUN: run})
        group_id = f"{batch_id}.{header.stage}.{run}"
        parts_then_body = chord(signatures, then)
        # afterwards: a chord that is given a group takes the tasks out of it, and forgets its id
        parts_then_body["kwargs"]["header"] = group(signatures, task_id=group_id)
        series = f"{group_id}:parts"
        known = sent_before(series)
        if known:
            logger.info("%d of %d parts of %s were sent before", known, len(parts), batch_id)
        with sent_once(series, known):
            task.replace(parts_then_body)
    except TaskPredicate:
        raise
    except Exception as error:
        if not refuses_for_now(error):
            raise
        # what was sent stays, and is sent again with the same ids
        raise BrokerUnavailableError(f"not all parts of the batch were sent: {error}") from error


def _run_of(task: MessageTask) -> str:
    """What tells this sending of a batch from another under the same id, long after."""
    headers = task.request.headers or {}
    run = str(headers.get(RUN) or "")
    if isinstance(task, BodyTask):
        # sent by the run itself
        return run
    return claimed_run(task.task_id, run, float(headers.get(SENT_AT) or 0))


def failures_of(parts: list[dict[str, Any]], names: list[str]) -> list[BatchFailure]:
    """The parts that failed, by name, in their order."""
    return [
        BatchFailure(name=names[part["index"]], **part["error"])
        for part in in_order(parts)
        if "error" in part
    ]


def in_order(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The parts in the order of their messages."""
    return sorted(parts, key=lambda part: part["index"])
