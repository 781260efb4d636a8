"""A Celery task whose argument is a message and whose full answer is kept under the prefix.

Sending: a message object or its dict; over 64 KiB it is stored and its location is sent. Running:
a repeat of finished work is answered from what is stored; transient errors are retried; any other
error is stored and reported.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from celery.exceptions import Ignore, TaskPredicate
from celery.utils import uuid

from spacer_tasks import results
from spacer_tasks.broker.callbacks import with_queues
from spacer_tasks.broker.contract import SENT_AT
from spacer_tasks.broker.outages import refuses_for_now, unavailable_broker
from spacer_tasks.concurrency import device_watch
from spacer_tasks.concurrency.stopping import stopped_by
from spacer_tasks.config.settings import get_settings
from spacer_tasks.data_classes.job_state import JobState
from spacer_tasks.data_classes.task_ids import MAX_LENGTH, checked_id
from spacer_tasks.exceptions import (
    DeviceLostError,
    InputError,
    MessageError,
    ObjectNotFoundError,
    RunningElsewhere,
    StorageError,
    StorageUnavailableError,
    TaskAbandonedError,
    TaskCancelledError,
    TransientError,
)
from spacer_tasks.execution import cancellation
from spacer_tasks.execution.expiry import check_expiry
from spacer_tasks.execution.payload import packed, unpacked
from spacer_tasks.execution.progress import report_progress
from spacer_tasks.execution.retries import RetriedTask
from spacer_tasks.messages.parsing import parse
from spacer_tasks.messages.tasks import Message
from spacer_tasks.results import StoredAnswer, TaskError
from spacer_tasks.storage.fence import fenced_by
from spacer_tasks.storage.policy import permit_all

if TYPE_CHECKING:
    from celery.result import AsyncResult

    from spacer_tasks.execution.lock import Running
    from spacer_tasks.training.checkpoints import Checkpoints

logger = logging.getLogger(__name__)


class MessageTask(RetriedTask):
    """Base of the tasks that take one message. `message_class` says which."""

    abstract = True
    message_class: ClassVar[type[Message]]
    #: what Celery logs as a line, not as a crash with its traceback
    throws = (InputError, TransientError)
    #: Celery would check arguments against `run`, but they are what `__call__` takes
    typing = False
    #: characters of a task's id, at most
    longest_id: ClassVar[int] = MAX_LENGTH
    #: whether an object that is not there may be one that the batch has just written, and which S3
    #: does not show yet: it is looked for again
    reads_what_the_batch_wrote: ClassVar[bool] = False

    def apply_async(  # type: ignore[override]  # Celery's options go on to it unread
        self,
        args: Any = None,
        kwargs: Any = None,
        task_id: str | None = None,
        **options: Any,
    ) -> AsyncResult[Any]:
        """Send the task. The first argument is a message, or its dict.

        Raises
        ------
        MessageError, RowColumnInvalidError
            The message is malformed; the text names the field. Or the id that was given has other
            characters than letters, digits, `-`, `_` and `.`, or more than 255.
        StorageError, StorageUnavailableError
            The message is over 64 KiB and could not be stored.
        BrokerUnavailableError
            Redis is away; the task was not sent.
        """
        task_id = checked_id(uuid() if task_id is None else task_id, self.longest_id)
        message, *rest = tuple(args or ()) or (dict(kwargs or {}).get("message"),)
        # what is tried again was checked when it was first sent, and will be by its worker
        sent = message if "retries" in options else self._packed(message, task_id)
        for name in ("link", "link_error"):
            if options.get(name):
                options[name] = with_queues(options[name])
        # so that who looks at a queue can tell how long its oldest message has waited
        options["headers"] = {**(options.get("headers") or {}), SENT_AT: time.time()}
        with unavailable_broker(self.app):
            return super().apply_async((sent, *rest), None, task_id=task_id, **options)

    def _packed(self, message: Message | Mapping[str, Any], task_id: str) -> dict[str, Any]:
        if isinstance(message, Mapping) and "message_loc" in message:
            return dict(message)
        return packed(self.checked(message), task_id)

    @property
    def task_id(self) -> str:
        """The id of the task that runs."""
        return str(self.request.id)

    def checked(self, message: Message | Mapping[str, Any]) -> dict[str, Any]:
        """The message as JSON-ready data, after a check."""
        return parse(self.message_class, message).to_wire()

    def received(self, sent: dict[str, Any]) -> Any:
        """What `run` is given: the message, checked, and its locations too before any work.

        The caller checked it as well, which is no promise: what lies in Redis may be of a stranger,
        or of another version. `run` and the operations trust what this returns.
        """
        message = parse(self.message_class, unpacked(sent))
        permit_all(message)
        return message

    def perform(self, sent: dict[str, Any], *extra: Any) -> StoredAnswer:
        """Run the task on a message and keep what it came to, also when that is an error.

        `extra` is handed to `run` after the message.

        Raises
        ------
        celery.exceptions.TaskPredicate
            Retry after a transient error: the task will run again. Ignore after `replace`:
            another task goes on under this one's id. Reject where the storage is away: the message
            goes back into its queue, and no try is counted.
        """
        try:
            return self._performed(sent, *extra)
        except (StorageError, StorageUnavailableError) as error:
            # also the answer that the task came to could not be kept
            self.give_back_in_outage(error)
            raise

    def _performed(self, sent: dict[str, Any], *extra: Any) -> StoredAnswer:
        # imported here: who only sends has no use for it
        from spacer_tasks.execution import lock as running_lock

        task_id = self.task_id
        try:
            marks = cancellation.marks_beside(self.app, self.cancelled_with())
            if not marks:
                cancellation.check(self.app, *self.cancelled_with())
            # asked with the lock in hand: before, another might end the task in between
            find = partial(results.find_answer, task_id)
            with running_lock.running(task_id, marks, find) as lock:
                if lock.answer is None:
                    return self._run_once(lock, sent, *extra)
            return self._finished_before(lock.answer)
        except TaskPredicate:
            raise
        except RunningElsewhere as found:
            self.stand_aside(found)
        except TransientError as error:
            if isinstance(error, DeviceLostError):
                # the worker ends and gives the task back, which is no try of the task's own
                device_watch.wait_for_the_end()
            self.give_back_in_outage(error)
            self.retry_or_give_up(error)
            return self._kept(error=TaskError.of(error))
        except TaskCancelledError as error:
            return self._cancelled(error)
        except ObjectNotFoundError as error:
            if self.reads_what_the_batch_wrote:
                self.retry_or_give_up(error)
            return self._kept_or_again(error)
        except Exception as error:  # noqa: BLE001 -- the boundary: a task ends in an answer
            logger.warning("%s failed: %s: %s", task_id, type(error).__name__, error)
            return self._kept_or_again(error)
        raise Ignore

    def _finished_before(self, stored: StoredAnswer) -> StoredAnswer:
        logger.info("%s was finished before: answered from what is stored", self.task_id)
        self._was_answered()
        self._end_if_told()
        return stored

    def _run_once(self, lock: Running, sent: dict[str, Any], *extra: Any) -> StoredAnswer:
        if len(lock.starts) > get_settings().max_deliveries:
            return self._given_up(lock)
        check_expiry(self.request)
        try:
            with stopped_by(self.stop_if_cancelled), fenced_by(partial(self._check_own, lock)):
                message = self.received(sent)
                answer = self.run(message, *extra).to_wire()
            if incomplete := answer.get("incomplete"):
                source = getattr(message, "image_loc", None) or getattr(
                    message, "feature_loc", None
                )
                logger.warning("%s: the image is incomplete: %s", source, incomplete)
            self._check_own(lock)
            return self._kept(answer=answer)
        except (TaskPredicate, RunningElsewhere, TransientError, TaskCancelledError):
            raise
        except Exception as error:
            if isinstance(error, ObjectNotFoundError) and self.reads_what_the_batch_wrote:
                raise
            self._check_own(lock)
            logger.warning("%s failed: %s: %s", lock.task_id, type(error).__name__, error)
            return self._kept(error=TaskError.of(error))

    def _check_own(self, lock: Running) -> None:
        """Raise unless this worker may still store what the task made."""
        if not lock.check():
            # whoever cancelled it need not have met a lock
            cancellation.check(self.app, *self.cancelled_with())

    def _given_up(self, lock: Running) -> StoredAnswer:
        from spacer_tasks.execution import dead_letters
        from spacer_tasks.execution.connection import worker_redis

        *before, _ = lock.starts
        workers = ", ".join(str(start["worker"]) for start in before)
        error = TaskAbandonedError(
            f"{self.name} was begun {len(before)} time{'s' if len(before) > 1 else ''} and each"
            f" time its worker ended before it was done ({workers}); out of memory, perhaps."
            f" `spacer-tasks dead show {lock.task_id}` tells more"
        )
        logger.error("%s is given up: %s", lock.task_id, error)
        dead_letters.keep(worker_redis(), self.request, before, str(error))
        return self._kept(error=TaskError.of(error))

    def _end_if_told(self) -> None:
        """Raise `Ignore` if the caller has the result by now: callbacks are sent before it is kept.

        A part of a chord is counted after that, so it answers again; the count takes no part twice.
        """
        if self.request.chord:
            return
        try:
            told = JobState.of_celery(self.backend.get_state(self.task_id)).answered
        except Exception as error:
            if not refuses_for_now(error):
                raise
            return
        if told:
            raise Ignore

    def _was_answered(self) -> None:
        """The task has its answer from a start before."""

    def _cancelled(self, error: TaskCancelledError) -> StoredAnswer:
        """The answer of a task that was cancelled."""
        return self._kept_or_again(error)

    def _kept_or_again(self, error: Exception) -> StoredAnswer:
        try:
            return self._kept(error=TaskError.of(error))
        except TransientError as away:
            # run again, the task comes to the same error
            self.give_back_in_outage(away)
            self.retry_or_give_up(away)
            raise

    def _kept(
        self, answer: dict[str, Any] | None = None, error: TaskError | None = None
    ) -> StoredAnswer:
        return results.store_answer(
            self.task_id, self.name, self.request.hostname, answer=answer, error=error
        )

    def cancelled_with(self) -> tuple[str, ...]:
        """The ids whose cancellation ends this task: its own."""
        return (self.task_id,)

    def stop_if_cancelled(self) -> None:
        """Raise `TaskCancelledError` if a caller cancelled this task. Asks Redis once a second."""
        cancellation.check_now_and_then(self.app, *self.cancelled_with())

    def checkpoints(self) -> Checkpoints:
        """Where the task's trainings are kept between epochs."""
        from spacer_tasks.execution import lock as running_lock
        from spacer_tasks.training.checkpoints import Checkpoints

        loc = results.checkpoints_location(self.task_id)
        lock = running_lock.current()
        if lock is None:
            return Checkpoints(loc)
        return Checkpoints(loc, partial(self._check_own, lock), lock.progressed)

    def report_progress(self, **fields: Any) -> None:
        """Tell callers (as the state PROGRESS with `fields`) and Flower how far the task is.

        Raises
        ------
        TaskCancelledError
            A caller cancelled the task, and has been told so.
        """
        cancellation.check(self.app, *self.cancelled_with())
        report_progress(self, self.task_id, fields)


class OperationTask(MessageTask):
    """A task that a caller waits for: its result is the small answer, its failure the error."""

    abstract = True

    def __call__(self, *args: Any, **named: Any) -> dict[str, Any]:
        if len(args) == 1 and not named:
            stored = self.perform(*args)
        else:
            # Celery would fail it by a TypeError, and nothing would be stored
            given = f"{len(args)} arguments" + "".join(f", {name}=" for name in sorted(named))
            error = MessageError(f"{self.name} was given {given}, expected one message")
            stored = self._kept_or_again(error)
        if stored.error is not None:
            raise stored.error.as_exception()
        return stored.small()
