"""Where jobs are: in their queue, at a worker, finished, or nowhere to be found.

Celery calls a task that Redis knows nothing of PENDING, whether it waits or is lost. Here the two
are told apart. A queue is first in, first out, so a job is hardly in it if it is empty, or if its
oldest message was sent later. Hardly, because a job that is tried again goes to the end, and clocks
differ, and jobs of a lower priority are in lists of their own: so before a job is called missing,
its whole queue is looked through.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from spacer_tasks.app import app
from spacer_tasks.broker.client import broker_client, results_client
from spacer_tasks.broker.contract import SENT_AT
from spacer_tasks.broker.queue_depths import lists_of
from spacer_tasks.broker.whereabouts import POOL_OF, Keys, pages
from spacer_tasks.config.settings import get_settings
from spacer_tasks.data_classes.job_state import JobState
from spacer_tasks.jobs.celery_result import CeleryResult
from spacer_tasks.jobs.records import JobRecord

logger = logging.getLogger(__name__)

#: seconds by which the clocks of two callers may differ
CLOCKS_DIFFER_S = 60
#: part of `SPACER_LOST_AFTER_S`; a job must be missing in two looks that lie this far apart, since
#: one look can fall into the moment in which a message is between its queue and a worker
CONFIRM_SHARE = 0.1


@dataclass(frozen=True)
class Seen:
    """One job, now, as far as Redis knows: nobody has looked for its answer yet.

    Attributes
    ----------
    finished_at
        Seconds since 1970, on the worker's clock, when it was answered; 0 if that is not known.
    error_type, error_text
        What it failed of, where Celery says so.
    """

    record: JobRecord
    state: JobState
    finished_at: float = 0
    error_type: str = ""
    error_text: str = ""


def look(records: Sequence[JobRecord], now: float) -> list[Seen]:
    """Where each job is: one round trip for all of them, and several more if some seem missing.

    A job is called missing only when it is older than `SPACER_LOST_AFTER_S` and neither in its
    queue nor at a worker; whether it has an answer is for the caller to look up.

    Parameters
    ----------
    now
        Seconds since 1970.

    Raises
    ------
    redis.exceptions.RedisError
        Redis does not answer.
    """
    queues = sorted({record.queue for record in records})
    metas, oldest = _ask(records, queues)
    seen = [_seen(record, meta) for record, meta in zip(records, metas, strict=True)]
    old = now - get_settings().lost_after_s
    suspects = {
        each.record.task_id
        for each in seen
        if not each.state.finished
        and each.record.submitted_at < old
        and not _may_wait(each, oldest[each.record.queue])
    }
    if not suspects:
        return seen
    # a job moves from its queue to a worker: looked for in this order, it is met on its way
    for queue in sorted({each.record.queue for each in seen if each.record.task_id in suspects}):
        suspects -= _among(suspects, _messages(queue))
    pools = dict.fromkeys(POOL_OF.values())
    taken = (b"\n".join(_values(Keys.of(pool).unacked)) for pool in pools)
    missing = suspects - _among(suspects, taken)
    return [
        Seen(each.record, JobState.MISSING) if each.record.task_id in missing else each
        for each in seen
    ]


def _among(task_ids: set[str], texts: Iterable[bytes]) -> set[str]:
    """Those that stand in one of the texts."""
    found: set[str] = set()
    for text in texts:
        found |= {task_id for task_id in task_ids - found if task_id.encode() in text}
        if found == task_ids:
            break
    return found


def _messages(queue: str) -> Iterator[bytes]:
    """A queue's messages, some at a time."""
    for key in lists_of(queue):
        for page in pages(broker_client(), key):
            yield b"\n".join(page)


def _values(key: str) -> list[bytes]:
    return cast("list[bytes]", broker_client().hvals(key))


def _ask(
    records: Sequence[JobRecord], queues: Sequence[str]
) -> tuple[list[bytes | None], dict[str, bytes | None]]:
    """The jobs' results in Redis, and the oldest message of each queue."""
    backend: Any = app.backend  # its type stubs are those of the general class
    keys = [backend.get_key_for_task(record.task_id) for record in records]
    broker, results = broker_client(), results_client()
    pipe = broker.pipeline(transaction=False)
    # the queues first: a job that moves on in between is seen where it arrives
    for queue in queues:
        pipe.lindex(queue, -1)
    if broker is results:
        pipe.mget(keys)
        *oldest, metas = pipe.execute()
    else:
        oldest = pipe.execute()
        metas = results.mget(keys)
    return metas, dict(zip(queues, oldest, strict=True))


def _seen(record: JobRecord, meta: bytes | None) -> Seen:
    if meta is None:
        return Seen(record, JobState.QUEUED)
    try:
        found = CeleryResult.read(record.task_id, meta)
    except (ValueError, TypeError, LookupError) as error:
        # one damaged state is not the others' trouble; its answer is looked for when it is old
        logger.warning("%s: its state in Redis is none: %s", record, error)
        return Seen(record, JobState.QUEUED)
    return Seen(record, found.state, found.finished_at, found.error_type, found.error_text)


def _may_wait(job: Seen, oldest: bytes | None) -> bool:
    """Whether a job may be in its queue, by the queue's oldest message."""
    if oldest is None:
        return False
    if job.state is not JobState.QUEUED or job.record.task_id.encode() in oldest:
        return True
    sent_at = re.search(rb'"%s": ?([0-9.]+)' % SENT_AT.encode(), oldest)
    # a message of another client, which does not say
    if sent_at is None:
        return True
    return float(sent_at.group(1)) < job.record.submitted_at + CLOCKS_DIFFER_S
