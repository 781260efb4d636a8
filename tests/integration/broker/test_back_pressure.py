"""Many tasks in the queues: what they cost, how many there are, and which goes first."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterator
from typing import Any, cast

import pytest
from celery.contrib.testing.worker import start_worker
from celery.signals import task_prerun
from redis import Redis

from spacer_tasks import storage
from spacer_tasks.app import app
from spacer_tasks.broker.client import broker_client
from spacer_tasks.broker.contract import QUEUES, Priority
from spacer_tasks.broker.queue_depths import lists_of, queue_depths
from spacer_tasks.data_classes.job_state import JobState
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.jobs import states
from spacer_tasks.jobs.records import JobRecord
from spacer_tasks.tasks import extract_features, process_job
from spacer_tasks.workflows import extract_one, train_from_images
from tests.support.messages.back_pressure import BYTES_A_TASK, measure_back_pressure
from tests.support.messages.work import Work
from tests.support.photos import DUMMY, photo

#: tasks that wait at a time; `make soak` measures with a hundred thousand
WAITING = int(os.environ.get("TEST_WAITING", "3000"))


@pytest.fixture
def redis(queue: None) -> Iterator[Redis]:
    """The broker, with nothing in it."""
    client = broker_client()
    client.flushdb()
    yield client
    client.flushdb()
    # a worker in this process that took from some queues only has set that for all after it
    queues: Any = app.amqp.queues
    queues._consume_from = None
    # results of a batch's parts, in circles, which say goodbye to this Redis
    gc.collect()


@pytest.fixture
def message(bucket: str, settings_env: dict[str, str]) -> dict[str, Any]:
    image = DataLocation.parse(f"s3://{bucket}/a.png")
    storage.store(image, photo("sand", 1))
    return {
        "job_token": "1",
        "extractor": DUMMY.model_dump(),
        "rowcols": [[3, 4], [5, 6]],
        "image_loc": image.model_dump(),
        "feature_loc": DataLocation.parse(f"s3://{bucket}/a.npz").model_dump(),
    }


@pytest.fixture
def begun(queue: None) -> Iterator[list[str]]:
    """The ids of tasks in the order in which workers of this process begin them."""
    order: list[str] = []

    def note(task_id: str, **_: Any) -> None:
        order.append(task_id)

    task_prerun.connect(note)
    yield order
    task_prerun.disconnect(note)


def test_a_waiting_task_takes_little_memory_and_the_depth_is_known(redis: Redis) -> None:
    found = measure_back_pressure(redis, WAITING)
    assert found.bytes_a_task < BYTES_A_TASK
    assert queue_depths()["features"].waiting == WAITING
    assert found.depth_seen == WAITING


def test_of_one_queue_the_more_urgent_goes_first(
    redis: Redis, message: dict[str, Any], begun: list[str]
) -> None:
    bulk = [extract_features.apply_async((message,), priority=Priority.BULK) for _ in range(3)]
    low = extract_features.apply_async((message,), priority=Priority.LOW)
    urgent = extract_features.delay(message)
    depth = queue_depths()["features"]
    assert depth.by_priority == {0: 1, 3: 1, 6: 3, 9: 0}
    assert depth.waiting == 5
    # plain Redis, and what looks at a queue's own list only, see one task
    assert redis.llen("features") == 1
    with start_worker(app, pool="solo", concurrency=1, perform_ping_check=False):
        for sent in (urgent, low, *bulk):
            sent.get(timeout=60)
    assert begun[:2] == [urgent.id, low.id]
    assert begun[2:] == [sent.id for sent in bulk]


def test_the_parts_of_a_batch_wait_as_the_batch_does(redis: Redis, bucket: str) -> None:
    work = Work(bucket)
    _, message, _ = work.made("train_from_images", "x")
    with start_worker(app, queues=["classify"], pool="solo", perform_ping_check=False):
        sent = train_from_images.apply_async((message,), priority=Priority.BULK)
        end = time.monotonic() + 60
        while time.monotonic() < end and not queue_depths()["features"].waiting:
            time.sleep(0.1)
    depths = queue_depths()
    assert depths["features"].by_priority[Priority.BULK] == 8
    assert depths["features"].waiting == 8
    # the parts can be taken, by name, from that list
    (part, *_) = cast("list[bytes]", redis.lrange(lists_of("features")[2], 0, 0))
    assert extract_one.name.encode() in part
    assert sent.id.encode() in part


def test_a_job_of_low_priority_is_not_taken_for_lost(
    redis: Redis, message: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = {"task_name": "extract_features", "tasks": [message]}
    sent = process_job.apply_async((job,), priority=Priority.BULK)
    record = JobRecord(
        task_id=sent.id, job_id=1, task_name="extract_features", queue="features", submitted_at=0.0
    )
    (seen,) = states.look([record], time.time())
    assert seen.state is JobState.QUEUED
    redis.delete(lists_of("features")[2])
    (seen,) = states.look([record], time.time())
    assert seen.state is JobState.MISSING


def test_every_queue_has_a_depth(redis: Redis) -> None:
    assert set(queue_depths()) == set(QUEUES)
    assert all(depth.waiting == 0 for depth in queue_depths().values())
