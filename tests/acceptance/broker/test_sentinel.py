"""A primary dies, Sentinel promotes its replica: workers and callers go on there."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from spacer_tasks.app import app
from spacer_tasks.broker.queue_depths import queue_depths
from spacer_tasks.demo.services import S3Server
from spacer_tasks.exceptions import BrokerUnavailableError, TaskCancelledError
from spacer_tasks.execution import cancellation
from spacer_tasks.results import load_answer
from tests.support.messages.work import Work
from tests.support.redis.watched import MASTER, WatchedRedis, is_primary
from tests.support.s3.buckets import fresh_bucket
from tests.support.sending import empty_queues, sentinel_in_use
from tests.support.settings import forget_settings, settings_in_environment
from tests.support.waiting import wait_until
from tests.support.workers import worker_starter


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[WatchedRedis]:
    with ExitStack() as stack:
        yield WatchedRedis(stack, tmp_path)


def test_work_goes_on_at_the_replica_that_is_promoted(
    watched: WatchedRedis, s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPACER_SENTINEL_MASTER", MASTER)
    with ExitStack() as stack:
        bucket = stack.enter_context(fresh_bucket(s3))
        stack.enter_context(settings_in_environment(watched.url, s3, bucket))
        stack.enter_context(sentinel_in_use())
        stack.enter_context(empty_queues(watched.url))
        start_worker = worker_starter(stack, tmp_path / "logs")
        work = Work(bucket)
        waiting = [work.send(str(uuid.uuid4()), "extract").task_id for _ in range(20)]
        assert queue_depths()["features"].waiting == 20
        cancelled = work.send(str(uuid.uuid4()), "extract").task_id
        assert cancellation.cancel(cancelled)
        start_worker("feature", "--concurrency=1")
        app.AsyncResult(waiting[0]).get(timeout=120)
        wait_until(watched.in_step, 120, "the replica did not follow")

        watched.kill_primary()
        after: list[str] = []

        def sent() -> bool:
            started = time.monotonic()
            try:
                after.append(work.send(str(uuid.uuid4()), "extract").task_id)
            except BrokerUnavailableError:
                # told soon, not held up
                assert time.monotonic() - started < 10
                return False
            return True

        wait_until(sent, 120, "no send was taken after the primary's end")
        for task_id in (*waiting, *after):
            app.AsyncResult(task_id).get(timeout=120)
            load_answer(task_id)
        with pytest.raises(TaskCancelledError):
            load_answer(cancelled)
        assert is_primary(watched.replica_port)
        assert queue_depths()["features"].waiting == 0
    forget_settings()
