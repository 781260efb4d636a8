"""What Redis knows of the jobs of SQS messages: that they were sent, run, finished, answered.

Kept beside the queues, so that a mailman that is started again, and another one beside it, know
what was done. Where Redis was wiped, the queues were too, and jobs without an answer are sent
again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

from redis.exceptions import RedisError

from spacer_tasks.broker.client import broker_client
from spacer_tasks.broker.contract import CLASSIFY
from spacer_tasks.exceptions import BrokerUnavailableError
from spacer_tasks.jobs import states
from spacer_tasks.jobs.records import JobRecord
from spacer_tasks.jobs.sent import MAILMAN
from spacer_tasks.jobs.states import Seen
from spacer_tasks.mailman.sqs_queue import LONGEST_REQUEST_S

ANSWERED = "spacer-mailman:answered:"
UNREADABLE = "spacer-mailman:unreadable:"
#: what an answered message's entry says; before that it names the mailman that answers
DONE = b"done"
#: seconds; SQS keeps no message for longer than two weeks
KEEP_SENT_S = 14 * 86400
#: seconds; a message that was not deleted after its answer comes back within SQS's 12 hours
KEEP_ANSWERED_S = 86400
#: seconds that one mailman has for sending an answer before another may; what is left over is for
#: noting in Redis that it was sent
CLAIM_S = LONGEST_REQUEST_S + 10
#: renews a claim if it is still one's own
RENEW = """
if redis.call('get', KEYS[1]) == ARGV[1] then
    return redis.call('expire', KEYS[1], ARGV[2])
end
return 0
"""


@dataclass(frozen=True)
class Known:
    """One job, now.

    Attributes
    ----------
    sent
        Whether it was handed to Celery, or was about to be.
    answered
        Whether its answer was sent to the result queue.
    seen
        Where it is, as Celery and its queue tell.
    """

    sent: bool
    answered: bool
    seen: Seen


def look(task_ids: Sequence[str]) -> dict[str, Known]:
    """What is known of each job, at two round trips for all of them.

    Raises
    ------
    BrokerUnavailableError
        Redis does not answer.
    """
    if not task_ids:
        return {}
    now = time.time()
    with answering_redis():
        keys = [prefix + task_id for prefix in (MAILMAN, ANSWERED) for task_id in task_ids]
        values = cast("list[bytes | None]", broker_client().mget(keys))
        sent, answered = values[: len(task_ids)], values[len(task_ids) :]
        records = [
            JobRecord.model_validate_json(value) if value else _unsent(task_id, now)
            for task_id, value in zip(task_ids, sent, strict=True)
        ]
        seen = states.look(records, now)
    return {
        task_id: Known(was_sent is not None, was_answered == DONE, each)
        for task_id, was_sent, was_answered, each in zip(
            task_ids, sent, answered, seen, strict=True
        )
    }


def _unsent(task_id: str, now: float) -> JobRecord:
    # one that was sent just now is never called missing, so that its queue does not matter
    return JobRecord(task_id=task_id, job_id=0, task_name="", queue=CLASSIFY, submitted_at=now)


def note_sent(task_id: str, task_name: str, queue: str) -> None:
    """Remember that a job is being handed to Celery. Raises as `look`."""
    record = JobRecord(
        task_id=task_id, job_id=0, task_name=task_name, queue=queue, submitted_at=time.time()
    )
    with answering_redis():
        broker_client().set(MAILMAN + task_id, record.model_dump_json(), ex=KEEP_SENT_S)


def claim_answer(task_id: str, mailman: str) -> bool:
    """Whether this mailman may send the answer within `CLAIM_S`, and no other. Raises as `look`."""
    key = ANSWERED + task_id
    with answering_redis():
        if broker_client().set(key, mailman, ex=CLAIM_S, nx=True):
            return True
        return bool(broker_client().eval(RENEW, 1, key, mailman, CLAIM_S))


def note_answered(task_id: str) -> None:
    """Remember that the answer was sent. Raises as `look`."""
    with answering_redis():
        broker_client().set(ANSWERED + task_id, DONE, ex=KEEP_ANSWERED_S)


def unreadable_for(task_id: str) -> float:
    """Seconds since this was first asked for a job, by any mailman. Raises as `look`."""
    key, now = UNREADABLE + task_id, time.time()
    with answering_redis():
        if broker_client().set(key, repr(now), ex=KEEP_SENT_S, nx=True):
            return 0.0
        since = cast("bytes | None", broker_client().get(key))
    return now - float(since) if since else 0.0


def note_readable(task_id: str) -> None:
    """Forget what `unreadable_for` remembers. Raises as `look`."""
    with answering_redis():
        broker_client().delete(UNREADABLE + task_id)


@contextmanager
def answering_redis() -> Iterator[None]:
    """Raise `BrokerUnavailableError` for what Redis does not do."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise BrokerUnavailableError(f"Redis does not answer: {error}") from error
