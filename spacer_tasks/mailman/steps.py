"""One job between its SQS message and its answer: what is done next, by what is known of it."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import NamedTuple
from uuid import uuid4

from spacer_tasks import retries, storage
from spacer_tasks.config.settings import get_settings
from spacer_tasks.data_classes.job_state import JobState
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import (
    BrokerUnavailableError,
    InputError,
    SQSError,
    StorageError,
    StorageUnavailableError,
)
from spacer_tasks.execution.payload import INLINE_BYTES
from spacer_tasks.jobs.answers import failed_job, job_return, why_unanswered
from spacer_tasks.jobs.outcomes import may_appear
from spacer_tasks.jobs.reading import load_job, read_job
from spacer_tasks.jobs.states import CONFIRM_SHARE, Seen
from spacer_tasks.mailman import ledger
from spacer_tasks.mailman.backoff import StoragePause
from spacer_tasks.mailman.ledger import Known
from spacer_tasks.mailman.sqs_queue import SQSMessage, SQSQueue
from spacer_tasks.messages.parsing import JsonDict, read_object
from spacer_tasks.messages.tasks import JobReturnMsg
from spacer_tasks.results import StoredAnswer, find_answer, results_location
from spacer_tasks.tasks import JOB_QUEUES, process_job

logger = logging.getLogger(__name__)

#: characters of the reason that goes with a message into the dead-letter queue
REASON_LENGTH = 1000


class Queues(NamedTuple):
    """Where jobs come from, where answers go to, and where messages go to that are no jobs."""

    jobs: SQSQueue
    results: SQSQueue
    dead_letters: SQSQueue


@dataclass
class JobInHand:
    """One message that was taken and not yet answered.

    Attributes
    ----------
    message
        Its latest delivery.
    handed_on
        It was in Celery's hands when it was last looked at.
    unsent
        Handing it to Celery failed.
    missing
        It was in Celery's hands, and was not found there when it was last looked at.
    answered
        It was answered, or put into the dead-letter queue.
    finished
        Nothing is left to do.
    failures, crashes
        In a row; crashes are those that are bugs.
    due
        When to look at it again, on the monotonic clock.
    """

    message: SQSMessage
    task_id: str
    handed_on: bool = False
    unsent: bool = False
    missing: bool = False
    answered: bool = False
    finished: bool = False
    failures: int = 0
    crashes: int = 0
    due: float = 0.0

    def __str__(self) -> str:
        return f"message {self.message.message_id} (task {self.task_id})"

    def wait(self, seconds: float) -> None:
        """Look at it again after so many seconds."""
        self.due = time.monotonic() + seconds

    def failed(self) -> None:
        """Look at it again after a pause that grows with each failure in a row."""
        self.wait(retries.MAILMAN.wait_s(self.failures))
        self.failures += 1


class Steps:
    """The steps of jobs from one set of queues."""

    def __init__(self, queues: Queues) -> None:
        self._queues = queues
        #: by which claims on answers are told apart
        self._mailman = str(uuid4())
        self._s3 = StoragePause()

    def next(self, job: JobInHand, known: Known) -> None:
        """Do what is next.

        Raises
        ------
        SpacerError
            Redis, S3 or SQS did not answer, or refused: the same step is to be tried again.
        """
        state = known.seen.state
        if job.answered:
            self._finish(job)
        elif known.answered:
            logger.info("%s was answered before: deleted", job)
            self._finish(job)
        elif state.finished:
            self._answer(job, self._returned(job, known.seen))
        elif state is JobState.MISSING:
            self._send_again(job)
        elif state is not JobState.QUEUED or (known.sent and not job.unsent):
            if not job.handed_on:
                logger.info("%s is in Celery's hands: %s", job, state.value.lower())
            job.handed_on, job.missing = True, False
        else:
            self._send(job)
        job.failures = job.crashes = 0

    def crashed(self, job: JobInHand, error: Exception) -> None:
        """Note a bug that a job met; after a few in a row its message goes to the dead letters.

        Raises
        ------
        SpacerError
            As `next`.
        """
        job.crashes += 1
        # one that was answered is only to be deleted
        if job.crashes >= retries.MAILMAN_CRASHES and not job.answered:
            name = type(error).__name__
            self._refuse(job, f"a bug, {job.crashes} times in a row; the last: {name}: {error}")

    def _send(self, job: JobInHand) -> None:
        """Hand over a job of which Redis knows nothing: a new one, or Redis was wiped."""
        if not job.handed_on and job.message.receive_count == 1:
            self._hand_on(job)
        elif not self._answered_from_storage(job):
            if job.handed_on:
                logger.warning("%s: Redis has forgotten it; it is sent again", job)
            self._hand_on(job)

    def _send_again(self, job: JobInHand) -> None:
        """Hand over a job that was in Celery's hands and cannot be found there."""
        if self._answered_from_storage(job):
            return
        if job.missing:
            logger.warning("%s is in no queue and at no worker; it is sent again", job)
            self._hand_on(job)
        else:
            job.missing = True
            job.wait(CONFIRM_SHARE * get_settings().lost_after_s)

    def _hand_on(self, job: JobInHand) -> None:
        try:
            wire = self._read(job)
        except InputError as error:
            self._refuse(job, str(error))
            return
        large = len(json.dumps(wire)) > INLINE_BYTES
        job.unsent = True
        name = wire["task_name"]
        # before it is sent: who finds the note and no task waits, and then sends it again
        ledger.note_sent(job.task_id, name, JOB_QUEUES[name])
        with ledger.answering_redis(), self._s3.asked() if large else nullcontext():
            process_job.apply_async((wire,), task_id=job.task_id)
        job.handed_on, job.unsent, job.missing = True, False, False
        logger.info("%s: %s was handed to Celery", job, name)

    def _answered_from_storage(self, job: JobInHand) -> bool:
        with self._s3.asked():
            stored = find_answer(job.task_id)
        if stored is not None:
            self._answer(job, self._of_stored(job, stored))
        return stored is not None

    def _returned(self, job: JobInHand, seen: Seen) -> JobReturnMsg:
        with self._s3.asked():
            stored = find_answer(job.task_id)
        if stored is not None:
            return self._of_stored(job, stored)
        if may_appear(seen):
            raise StorageUnavailableError(f"{job}: finished, but its answer is not to be seen yet")
        failure = why_unanswered(seen)
        return failed_job(self._original(job), failure.type, failure.message)

    def _of_stored(self, job: JobInHand, stored: StoredAnswer) -> JobReturnMsg:
        # only a task that failed before it could answer does not echo its job
        return job_return(stored, {} if stored.ok else self._original(job))

    def _answer(self, job: JobInHand, returned: JobReturnMsg) -> None:
        attributes = {"task_id": job.task_id, "job_message_id": job.message.message_id}
        text = json.dumps(returned.to_wire())
        body = self._fitting(self._queues.results, text, attributes, "returns", job)
        if not ledger.claim_answer(job.task_id, self._mailman):
            # another mailman is sending it, or died in doing so
            job.wait(ledger.CLAIM_S)
            return
        self._queues.results.send(body, job.task_id, attributes)
        job.answered = True
        logger.info("%s was answered: %s", job, "ok" if returned.ok else "not ok")
        try:
            ledger.note_answered(job.task_id)
        except BrokerUnavailableError as error:
            logger.warning("%s: that it was answered could not be noted: %s", job, error)
        self._finish(job)

    def _refuse(self, job: JobInHand, reason: str) -> None:
        attributes = {
            "reason": reason[:REASON_LENGTH],
            "source_queue": self._queues.jobs.url,
            "source_message_id": job.message.message_id,
        }
        queue = self._queues.dead_letters
        body = self._fitting(queue, job.message.body, attributes, "dead_letters", job)
        queue.send(body, job.task_id, attributes)
        job.answered = True
        # it quotes what came, in which half a character can be
        printable = reason.encode("utf-8", "backslashreplace").decode()
        logger.warning("%s went to the dead-letter queue: %s", job, printable)
        self._finish(job)

    def _finish(self, job: JobInHand) -> None:
        try:
            self._queues.jobs.delete(job.message.receipt)
        except SQSError as error:
            # it is in hand no more; should it come back, it is known to be answered
            logger.info("%s was not deleted: %s", job, error)
        job.finished = True

    def _fitting(
        self,
        queue: SQSQueue,
        text: str,
        attributes: Mapping[str, str],
        folder: str,
        job: JobInHand,
    ) -> str:
        """The text, or the JSON of where it is stored if the queue does not take so much."""
        if queue.fits(text, attributes):
            return text
        location = results_location().joined(folder, f"{job.task_id}.json")
        with self._s3.asked():
            storage.store(location, text.encode())
        return location.model_dump_json()

    def _original(self, job: JobInHand) -> JsonDict:
        """The job that was sent; where its location is gone by now, that location."""
        try:
            return self._read(job)
        except InputError:
            return read_object(job.message.body, str(job))

    def _read(self, job: JobInHand) -> JsonDict:
        return read_job(job.message.body, lambda location: self._load(job, location))

    def _load(self, job: JobInHand, location: DataLocation) -> JsonDict:
        """As `load_job`; a `StorageError` for a location that has not answered for long."""
        # this does not begin a pause: one bad location must not hold up all answers
        self._s3.check()
        try:
            found = load_job(location)
        except StorageUnavailableError as error:
            if ledger.unreadable_for(job.task_id) < retries.MAILMAN_UNREADABLE_S:
                raise
            raise StorageError(
                f"not read within {retries.MAILMAN_UNREADABLE_S} s: {error}"
            ) from error
        if job.failures:
            ledger.note_readable(job.task_id)
        return found
