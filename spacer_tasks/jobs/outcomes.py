"""What became of jobs: their answers, read from storage side by side, or why there is none.

Records are asked from the caller's thread alone: they may be in a database, whose connections and
transactions belong to a thread.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from spacer_tasks import retries
from spacer_tasks.config.settings import get_settings
from spacer_tasks.data_classes.job_state import JobState
from spacer_tasks.exceptions import (
    AnswerDamagedError,
    InputError,
    JobLostError,
    MessageError,
    SpacerError,
)
from spacer_tasks.jobs.answers import failed_job, job_return, why_unanswered
from spacer_tasks.jobs.records import JobRecord, JobRecords, original_job
from spacer_tasks.jobs.states import CLOCKS_DIFFER_S, CONFIRM_SHARE, Seen, look
from spacer_tasks.messages.tasks import JobReturnMsg
from spacer_tasks.results import TaskError, find_answer

logger = logging.getLogger(__name__)

#: answers read at once; fewer than `s3_max_connections`
READERS = 16
#: jobs that this process found missing; seen again, they are no longer suspected
_MISSED: set[str] = set()


@dataclass(frozen=True)
class Outcome:
    """One job that was looked at.

    Attributes
    ----------
    state
        MISSING until that was so for long enough to call it LOST; UNREADABLE also if its answer is
        not to be seen yet.
    returned
        The answer to hand out; None while there is none.
    """

    record: JobRecord
    state: JobState
    returned: JobReturnMsg | None = None


@dataclass(frozen=True)
class _Found:
    """What is known of a job before it is echoed: `failure` needs the job as it was sent."""

    record: JobRecord
    state: JobState
    returned: JobReturnMsg | None = None
    failure: TaskError | None = None


def outcomes(
    records: JobRecords,
    looked_at: Sequence[JobRecord],
    look: Callable[[Sequence[JobRecord], float], list[Seen]] = look,
) -> list[Outcome]:
    """What is known of each job, in their order.

    Parameters
    ----------
    records
        Where the jobs are kept.
    looked_at
        The jobs.
    look
        Tells where each of them is, at a time in seconds since 1970.

    Raises
    ------
    redis.exceptions.RedisError
        Redis does not answer.
    """
    if not looked_at:
        return []
    seen = look(looked_at, time.time())
    with ThreadPoolExecutor(READERS, "answers") as readers:
        found = _with_lost(records, list(readers.map(_found, seen)))
        failed = [each.record.task_id for each in found if each.failure]
        jobs = records.jobs(failed) if failed else {}
        return list(readers.map(lambda each: _outcome(each, jobs), found))


def _found(job: Seen) -> _Found:
    if not job.state.finished and job.state is not JobState.MISSING:
        return _Found(job.record, job.state)
    try:
        stored = find_answer(job.record.task_id)
        # only a task that failed before it could answer does not echo its job
        if stored is not None and stored.error is None:
            returned = job_return(stored, {})
            return _Found(job.record, stored.state, returned)
    except (AnswerDamagedError, MessageError) as error:
        # it stays as it is: whoever waits is told
        return _Found(job.record, JobState.FAILED, failure=TaskError.of(error))
    except SpacerError as error:
        _log_unreadable(job.record, "its answer", error)
        return _Found(job.record, JobState.UNREADABLE)
    except Exception:
        # one job is not the others' trouble
        logger.exception("%s: its answer cannot be read", job.record)
        return _Found(job.record, JobState.UNREADABLE)
    if stored is not None:
        return _Found(job.record, stored.state, failure=stored.error)
    if job.state is JobState.MISSING:
        return _Found(job.record, JobState.MISSING)
    if may_appear(job):
        logger.warning("%s: finished, but its answer is not to be seen yet", job.record)
        return _Found(job.record, JobState.UNREADABLE)
    state = JobState.EXPIRED if job.state.answered else job.state
    return _Found(job.record, state, failure=why_unanswered(job))


def may_appear(job: Seen) -> bool:
    """Whether the answer of a job was stored so lately that S3 may not show it yet."""
    return job.state.answered and just_finished(job.finished_at)


def just_finished(finished_at: float) -> bool:
    """Whether an answer of that time, in seconds since 1970 on a worker's clock, may not be shown
    yet.
    """
    # the worker's clock may be behind, or far ahead
    age = abs(time.time() - finished_at)
    return age < retries.ANSWER_APPEARS_S + CLOCKS_DIFFER_S


def _with_lost(records: JobRecords, found: list[_Found]) -> list[_Found]:
    gone = [each.record.task_id for each in found if each.state is JobState.MISSING]
    there = [each.record.task_id for each in found if each.state is not JobState.MISSING]
    if not gone and _MISSED.isdisjoint(there):
        return found
    # of before: however long this look takes, it is one
    long_ago = time.time() - CONFIRM_SHARE * get_settings().lost_after_s
    since = records.missing(gone, there)
    _MISSED.difference_update(there)
    _MISSED.update(gone)
    return [
        _lost(each.record) if since.get(each.record.task_id, float("inf")) < long_ago else each
        for each in found
    ]


def _lost(record: JobRecord) -> _Found:
    error = JobLostError(
        f"job {record.job_id} (task {record.task_id}) is not in the queue {record.queue!r}, at no"
        " worker, and has no answer; Redis or a worker lost it"
    )
    return _Found(record, JobState.LOST, failure=TaskError.of(error))


def _outcome(found: _Found, jobs: Mapping[str, bytes]) -> Outcome:
    record, failure = found.record, found.failure
    if failure is None:
        return Outcome(record, found.state, found.returned)
    try:
        job = original_job(jobs.get(record.task_id), record.task_id)
    except SpacerError as error:
        _log_unreadable(record, "the job itself", error)
        return Outcome(record, JobState.UNREADABLE)
    except Exception:
        logger.exception("%s: the job itself cannot be read", record)
        return Outcome(record, JobState.UNREADABLE)
    returned = failed_job(job, failure.type, failure.message, failure.traceback)
    return Outcome(record, found.state, returned)


def _log_unreadable(record: JobRecord, what: str, error: SpacerError) -> None:
    # an input error (no access, no bucket) stays until an operator mends it
    log = logger.error if isinstance(error, InputError) else logger.warning
    log("%s: %s cannot be read now: %s", record, what, error)
