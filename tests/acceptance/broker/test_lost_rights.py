"""A worker whose user of Redis loses a right for a while: no task is lost, failed or doubled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import pytest
from celery import signature
from redis import Redis

from spacer_tasks.app import app
from spacer_tasks.demo.services import S3Server
from spacer_tasks.results import find_answer
from spacer_tasks.tasks import extract_features
from tests.support.messages.extraction import extraction
from tests.support.photos import photo
from tests.support.redis.own import own_redis
from tests.support.waiting import until
from tests.support.workers import StartWorker, worker_starter

TASKS = 4
DONE, FAILED = "rights.done", "rights.failed"


@pytest.fixture(scope="module")
def redis(s3: S3Server, bucket: str) -> Iterator[Redis]:
    """A server of its own, with a user for the worker."""
    with own_redis(s3, bucket) as client:
        allowed(client, "on", ">secret", "~*", "&*", "+@all")
        yield client


@pytest.fixture(scope="module")
def start(redis: Redis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartWorker]:
    at = redis.connection_pool.connection_kwargs
    url = f"redis://worker:secret@127.0.0.1:{at['port']}/{at.get('db', 0)}"
    with ExitStack() as stack:
        start = worker_starter(stack, tmp_path_factory.mktemp("workers"))
        start("feature", "--concurrency=2", SPACER_BROKER_URL=url, SPACER_WORKER_SILENT_S="4")
        yield start


def allowed(redis: Redis, *rules: str) -> None:
    # untyped in redis-py
    ask: Any = redis.execute_command
    ask("ACL", "SETUSER", "worker", *rules)


def refusals(redis: Redis) -> int:
    """How often the worker was refused a command, since this was forgotten."""
    entries: Any = redis.acl_log()
    return sum(int(each["count"]) for each in entries)


@pytest.mark.parametrize(
    "rules",
    [
        ("-set", "-setex"),
        ("-get", "-mget"),
        ("-lpush",),
        # of a script, after it has looked and before it has written
        ("-hset", "-hget"),
        ("-@scripting",),
        ("-@all",),
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("start")
def test_a_right_that_is_taken_away_for_a_while_costs_nothing(
    redis: Redis, bucket: str, rules: tuple[str, ...]
) -> None:
    redis.delete(DONE, FAILED)
    redis.acl_log_reset()
    # those that are sent meet the worker before it knows, and while it may not
    allowed(redis, *rules)
    message = extraction(bucket, "rights", photo("sand", 1))
    ids = [uuid4().hex for _ in range(TASKS)]
    for task_id in ids:
        extract_features.apply_async(
            (message,),
            task_id=task_id,
            link=signature("site.done", queue=DONE, app=app),
            link_error=signature("site.failed", queue=FAILED, app=app),
        )
    until(lambda: refusals(redis) > 2, "the worker was refused nothing")
    allowed(redis, "+@all")
    until(lambda: redis.llen(DONE) + redis.llen(FAILED) >= TASKS, "some callbacks do not come")
    until(lambda: not redis.hlen("unacked.features"), "the worker keeps some")
    assert (redis.llen(DONE), redis.llen(FAILED)) == (TASKS, 0)
    for task_id in ids:
        answer = find_answer(task_id)
        assert answer is not None
        assert answer.error is None
        assert app.AsyncResult(task_id).state == "SUCCESS"
