"""CoralNet's queue class: `SPACER_QUEUE_CHOICE = "spacer_tasks.coralnet.CeleryQueue"`.

CoralNet makes an instance at each submission and at each collection; connections and records
outlive it. docs/coralnet.md says how a site moves here from AWS Batch, and back.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from celery.utils import uuid
from redis.exceptions import RedisError

from spacer_tasks import storage
from spacer_tasks.data_classes.job_state import JobState
from spacer_tasks.exceptions import AnswerDamagedError, BrokerUnavailableError
from spacer_tasks.execution.payload import INLINE_BYTES, pointer_to
from spacer_tasks.jobs.answers import failed_job
from spacer_tasks.jobs.outcomes import Outcome, outcomes
from spacer_tasks.jobs.records import JobRecord, JobRecords, outline
from spacer_tasks.jobs.redis_records import RedisRecords
from spacer_tasks.messages.tasks import JobReturnMsg
from spacer_tasks.results import TaskError, message_location
from spacer_tasks.tasks import HIGH_QUEUES, JOB_QUEUES, process_job

if TYPE_CHECKING:
    BaseQueue = object
else:
    try:
        from vision_backend.queues import BaseQueue
    except ImportError:
        # not a process of CoralNet's
        BaseQueue = object

logger = logging.getLogger(__name__)

#: of a job's specification level, as CoralNet's enum says it: needs workers with more memory
HIGH = "high"
#: hours that a job may be under way, CoralNet's own: three days, and eight of a high level
STUCK_H, HIGH_STUCK_H = 72.0, 192.0
#: jobs that this process could not send and whose records Redis may hold all the same
_REFUSED: set[str] = set()


class CeleryQueue(BaseQueue):
    """Sends CoralNet's jobs to the workers and collects their answers."""

    def __init__(self) -> None:
        self._records = job_records()

    def submit_job(self, job: Any, job_id: int, spec_level: Any) -> None:
        """Send a job. Its record is saved first, so that no job is sent without one.

        Parameters
        ----------
        job
            The reference's `JobMsg` (taken by its `serialize()`), or its dict.
        job_id
            CoralNet's number of the job.
        spec_level
            CoralNet's `SpacerJobSpec`: its value is "medium" or "high". A high one goes to
            `features.high` or `training.high`.

        Raises
        ------
        MessageError
            It is no job.
        StorageError, StorageUnavailableError
            A job over 64 KiB could not be stored.
        BrokerUnavailableError
            Redis is away. It is said within two seconds.
        """
        wire = process_job.checked(job)
        level = getattr(spec_level, "value", spec_level)
        queue = JOB_QUEUES[wire["task_name"]]
        if level == HIGH:
            queue = HIGH_QUEUES.get(queue, queue)
        record = JobRecord(
            task_id=uuid(),
            job_id=job_id,
            task_name=wire["task_name"],
            queue=queue,
            submitted_at=time.time(),
        )
        data = json.dumps(wire).encode()
        large = len(data) > INLINE_BYTES
        try:
            self._forget_refused()
            self._records.save(record, outline(wire) if large else data)
            if large:
                location = message_location(record.task_id)
                storage.store(location, data)
                # storing can take minutes, in which later jobs of other processes overtake it
                record = record.model_copy(update={"submitted_at": time.time()})
                self._records.save(record, outline(wire))
                wire = pointer_to(location, data)
            process_job.apply_async((wire,), task_id=record.task_id, queue=queue)
        # who is told that it failed does not wait for an answer. A Redis that hung may have kept
        # the record all the same; to ask it again now would take another second
        except RedisError as error:
            _REFUSED.add(record.task_id)
            raise BrokerUnavailableError(
                f"Redis cannot be reached, so job {job_id} was not sent: {error}"
            ) from error
        except BrokerUnavailableError:
            _REFUSED.add(record.task_id)
            raise
        except Exception:
            _REFUSED.add(record.task_id)
            # what is wrong with the records now says less than why it was not sent
            with suppress(Exception):
                self._forget_refused()
            raise

    def get_collectable_jobs(self) -> list[JobRecord]:
        """The jobs that are not collected yet, oldest first; none while Redis is away."""
        try:
            self._forget_refused()
            return list(self._records.waiting())
        except RedisError as error:
            logger.error("no jobs can be collected now: Redis does not answer: %s", error)  # noqa: TRY400 -- an outage, not a bug: its traceback tells nothing
            return []

    def collect_jobs(self, jobs: Sequence[JobRecord]) -> tuple[list[Any], list[str]]:
        """Take the answers of those jobs that have one, once.

        It does not raise: what cannot be told or read now stays for the next time, and the log
        says why.

        Parameters
        ----------
        jobs
            A slice of `get_collectable_jobs()`.

        Returns
        -------
        returned
            The reference's `JobReturnMsg` of each job that ended, well or not; ours where the
            reference is not installed.
        statuses
            A word for each job looked at: see `job_state.CORALNET_WORDS`. A job that another
            process collected in between is not among them. Empty while Redis is away.
        """
        try:
            return self._collect(jobs)
        except RedisError as error:
            logger.error("nothing was collected: Redis does not answer: %s", error)  # noqa: TRY400 -- as above
        except Exception:
            logger.exception("nothing was collected")
        return [], []

    def _outcomes(self, jobs: Sequence[JobRecord]) -> list[Outcome]:
        return outcomes(self._records, jobs)

    def _forget_refused(self) -> None:
        for task_id in tuple(_REFUSED):
            self._records.remove(task_id)
            _REFUSED.discard(task_id)

    def _collect(self, jobs: Sequence[JobRecord]) -> tuple[list[Any], list[str]]:
        ready: dict[str, tuple[Any, str]] = {}
        statuses = []
        for outcome in self._outcomes(jobs):
            if outcome.returned is None:
                statuses.append(outcome.state.coralnet_word)
                continue
            # before it is claimed: what cannot be handed out is not consumed
            handed_out = _handed_out(outcome)
            if handed_out is None:
                statuses.append(JobState.UNREADABLE.coralnet_word)
            else:
                ready[outcome.record.task_id] = handed_out
        if ready:
            claimed = self._records.claim(list(ready))
            mine = [pair for task_id, pair in ready.items() if task_id in claimed]
            statuses += [status for _, status in mine]
            return [returned for returned, _ in mine], statuses
        return [], statuses


def job_records() -> JobRecords:
    """Where this process keeps its jobs: in Django's database if `spacer_tasks.django` is among
    its installed apps, or else in Redis.
    """
    try:
        from django.apps import apps
    except ImportError:
        return RedisRecords()
    if apps.ready and apps.is_installed("spacer_tasks.django"):
        from spacer_tasks.django.records import DjangoRecords

        found: JobRecords = DjangoRecords()
        return found
    return RedisRecords()


def stuck_jobs(
    hours: float = STUCK_H, high_hours: float = HIGH_STUCK_H, report_every_h: float | None = None
) -> list[JobRecord]:
    """The jobs that were sent long ago and are not collected, oldest first.

    What CoralNet's `report_stuck_jobs` asks of AWS Batch's rows, of which this queue makes none;
    `JobRecord.job_id` is CoralNet's number of the job.

    Parameters
    ----------
    hours
        How long ago a job was sent.
    high_hours
        The same of a job of the level "high".
    report_every_h
        Leave out what a report that many hours ago told of already. Without it, every one is told.

    Raises
    ------
    RedisError
        Redis is away, and the records are there: it is not known whether a job is stuck.
    """
    now, found = time.time(), []
    for record in job_records().waiting():
        limit = high_hours if record.queue in HIGH_QUEUES.values() else hours
        over_h = (now - record.submitted_at) / 3600 - limit
        if over_h > 0 and (report_every_h is None or over_h <= report_every_h):
            found.append(record)
    return found


def _handed_out(outcome: Outcome) -> tuple[Any, str] | None:
    """An answer for CoralNet and its status, if the reference can read it, or at least its job."""
    answer = outcome.returned
    assert answer is not None
    try:
        return as_reference(answer), outcome.state.coralnet_word
    except Exception as error:
        logger.exception("%s: the reference cannot read its answer", outcome.record)
        text = f"the answer cannot be read by the reference that is installed here: {error!r}"
    unreadable = AnswerDamagedError(text)
    try:
        failed = failed_job(answer.original_job, TaskError.of(unreadable).type, text)
        return as_reference(failed), JobState.FAILED.coralnet_word
    except Exception:
        logger.exception("%s: nor its job", outcome.record)
        return None


def as_reference(returned: JobReturnMsg) -> Any:
    """An answer as the reference's `JobReturnMsg`; as it is where the reference is not installed.

    Raises whatever the reference raises at an answer that it cannot read.
    """
    try:
        from spacer.messages import JobReturnMsg as ReferenceReturnMsg
    except ModuleNotFoundError as error:
        # our images have a folder of that name, for AWS Batch, and nothing of the reference in it
        if error.name not in ("spacer", "spacer.messages"):
            raise
        return returned
    return ReferenceReturnMsg.deserialize(returned.to_wire())
