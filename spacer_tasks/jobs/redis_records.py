"""Records of jobs in the Redis that carries the tasks, so that a site needs no table for them."""

from __future__ import annotations

import logging
import time
import zlib
from collections.abc import Iterable, Sequence
from typing import Any, cast

from pydantic import ValidationError
from redis import Redis
from redis.exceptions import RedisError

from spacer_tasks import retries
from spacer_tasks.broker.client import broker_client
from spacer_tasks.jobs.records import KEEP_COLLECTED_S, JobRecord

logger = logging.getLogger(__name__)

PREFIX = "spacer-coralnet:"
#: sorted set: task ids by time of submission
WAITING = PREFIX + "waiting"
#: sorted set: task ids by time of collection
COLLECTED = PREFIX + "collected"
#: hashes by task id: the record, the compressed job, since when it has been missing
RECORDS, JOBS, MISSING = PREFIX + "records", PREFIX + "jobs", PREFIX + "missing"

#: one step, so that neither a crash nor another collector comes between. The time of the call says
#: whose claim it was, when it is made again because its answer did not come
CLAIM = """
local claimed = {}
for i = 2, #ARGV do
    local id = ARGV[i]
    if redis.call('ZREM', KEYS[1], id) == 1 then
        redis.call('ZADD', KEYS[2], ARGV[1], id)
        redis.call('HDEL', KEYS[5], id)
        claimed[#claimed + 1] = id
    elseif tonumber(redis.call('ZSCORE', KEYS[2], id) or 0) == tonumber(ARGV[1]) then
        claimed[#claimed + 1] = id
    end
end
return claimed
"""
#: what was claimed at one time waits again
UNCLAIM = """
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], ARGV[1], ARGV[1])) do
    local record = redis.call('HGET', KEYS[3], id)
    if record then
        redis.call('ZADD', KEYS[1], cjson.decode(record).submitted_at, id)
    end
    redis.call('ZREM', KEYS[2], id)
end
"""
#: what was collected long ago, a part at a time
FORGET = """
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1], 'LIMIT', 0, 1000)) do
    redis.call('ZREM', KEYS[2], id)
    redis.call('HDEL', KEYS[3], id)
    redis.call('HDEL', KEYS[4], id)
end
"""
KEYS = [WAITING, COLLECTED, RECORDS, JOBS, MISSING]

#: times of claims of this process that Redis did not answer, as it was told them
_UNANSWERED: set[str] = set()


class RedisRecords:
    """Records in the Redis that carries the tasks. Every method raises what its client raises."""

    def save(self, record: JobRecord, job: bytes | None) -> None:
        """See `JobRecords`."""
        pipe = self._redis.pipeline(transaction=True)
        pipe.hset(RECORDS, record.task_id, record.model_dump_json())
        if job is not None:
            pipe.hset(JOBS, record.task_id, zlib.compress(job, 1))
        pipe.zadd(WAITING, {record.task_id: record.submitted_at})
        pipe.execute()

    def remove(self, task_id: str) -> None:
        """See `JobRecords`."""
        pipe = self._redis.pipeline(transaction=True)
        pipe.zrem(WAITING, task_id)
        for key in (RECORDS, JOBS, MISSING):
            pipe.hdel(key, task_id)
        pipe.execute()

    def waiting(self) -> list[JobRecord]:
        """See `JobRecords`; two round trips."""
        for claimed_at in sorted(_UNANSWERED):
            self._redis.eval(UNCLAIM, len(KEYS), *KEYS, claimed_at)
            _UNANSWERED.discard(claimed_at)
        return self._read(cast("list[bytes]", self._redis.zrange(WAITING, 0, -1)))

    def claim(self, task_ids: Sequence[str]) -> set[str]:
        """See `JobRecords`.

        A claim that Redis does not answer is taken back at the next call of `waiting`: nobody was
        given those answers.
        """
        now = time.time()
        for left in reversed(range(1 + retries.CLAIM_RETRIES)):
            pipe = self._redis.pipeline(transaction=True)
            pipe.eval(CLAIM, len(KEYS), *KEYS, repr(now), *task_ids)
            pipe.eval(FORGET, len(KEYS), *KEYS, repr(now - KEEP_COLLECTED_S))
            try:
                claimed = pipe.execute()[0]
            except RedisError:
                if not left:
                    _UNANSWERED.add(repr(now))
                    raise
            else:
                break
        return {task_id.decode() for task_id in claimed}

    def put_back(self, job_ids: Iterable[int]) -> list[JobRecord]:
        """See `JobRecords`; three round trips."""
        wanted = set(job_ids)
        collected = self._read(cast("list[bytes]", self._redis.zrange(COLLECTED, 0, -1)))
        found = [record for record in collected if record.job_id in wanted]
        pipe = self._redis.pipeline(transaction=True)
        for record in found:
            pipe.zrem(COLLECTED, record.task_id)
            pipe.zadd(WAITING, {record.task_id: record.submitted_at})
        pipe.execute()
        return found

    def missing(self, task_ids: Sequence[str], seen: Sequence[str]) -> dict[str, float]:
        """See `JobRecords`."""
        pipe = self._redis.pipeline(transaction=True)
        if seen:
            pipe.hdel(MISSING, *seen)
        for task_id in task_ids:
            pipe.hsetnx(MISSING, task_id, str(time.time()))
        if task_ids:
            pipe.hmget(MISSING, list(task_ids))
        done = pipe.execute()
        since = done[-1] if task_ids else []
        return {name: float(value) for name, value in zip(task_ids, since, strict=True)}

    def jobs(self, task_ids: Sequence[str]) -> dict[str, bytes]:
        """See `JobRecords`."""
        if not task_ids:
            return {}
        values = cast("list[bytes | None]", self._redis.hmget(JOBS, list(task_ids)))
        found = {}
        for task_id, data in zip(task_ids, values, strict=True):
            if data is None:
                continue
            try:
                found[task_id] = zlib.decompress(data)
            except zlib.error as error:
                # one damaged job is not the others' trouble
                logger.error("%s in Redis's %s is no job: %s", task_id, JOBS, error)  # noqa: TRY400 -- the text says it all
        return found

    @property
    def _redis(self) -> Redis:
        return broker_client()

    def _read(self, task_ids: list[bytes]) -> list[JobRecord]:
        if not task_ids:
            return []
        values: list[Any] = cast("list[Any]", self._redis.hmget(RECORDS, task_ids))
        found = []
        for task_id, value in zip(task_ids, values, strict=True):
            try:
                found.append(JobRecord.model_validate_json(value))
            except ValidationError as error:
                # one damaged record is not the others' trouble
                logger.error("%s in Redis's %s is no record: %s", task_id.decode(), RECORDS, error)  # noqa: TRY400 -- the text says it all
        return found
