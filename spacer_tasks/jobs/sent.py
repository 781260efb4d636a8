"""The record of one job that was sent, as somebody who looks at it wants it."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

from pydantic import ValidationError

from spacer_tasks.broker.client import broker_client
from spacer_tasks.jobs.records import JobRecord
from spacer_tasks.jobs.redis_records import COLLECTED, MISSING, RECORDS

logger = logging.getLogger(__name__)

#: by task id: the record of a job that a mailman handed on
MAILMAN = "spacer-mailman:sent:"


@dataclass(frozen=True)
class Sent:
    """The record of a job that was sent, with what has become of the record.

    Attributes
    ----------
    by_mailman
        Whether a mailman sent the job, not CoralNet's queue class.
    collected_at, missing_since
        Seconds since 1970, where it was collected, or found missing by a collection.
    """

    record: JobRecord
    by_mailman: bool = False
    collected_at: float | None = None
    missing_since: float | None = None


def find_sent(task_id: str) -> Sent | None:
    """The record of a task that was sent as a job, if there is one in Redis. Two round trips.

    Raises
    ------
    redis.exceptions.RedisError
        Redis does not answer.
    """
    with broker_client().pipeline(transaction=False) as pipe:
        pipe.hget(RECORDS, task_id)
        pipe.zscore(COLLECTED, task_id)
        pipe.hget(MISSING, task_id)
        pipe.get(MAILMAN + task_id)
        ours, collected_at, missing, mailmans = pipe.execute()
    try:
        if ours is not None:
            record = JobRecord.model_validate_json(ours)
            return Sent(record, False, collected_at, float(missing) if missing else None)
        if mailmans is not None:
            return Sent(JobRecord.model_validate_json(mailmans), by_mailman=True)
    except ValidationError as error:
        logger.error("%s: what is kept of it in Redis is no record: %s", task_id, error)  # noqa: TRY400 -- the text says it all
    return None


def newest_task_of(job_id: int) -> str | None:
    """The task that was sent last for a job of this number. Raises as `find_sent`."""
    found: list[tuple[float, str]] = []
    for value in cast("list[bytes]", broker_client().hvals(RECORDS)):
        with suppress(ValidationError):
            record = JobRecord.model_validate_json(value)
            if record.job_id == job_id:
                found.append((record.submitted_at, record.task_id))
    return max(found)[1] if found else None
