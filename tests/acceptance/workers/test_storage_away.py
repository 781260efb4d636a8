"""S3 that is away, or refuses a worker's answers, costs no task a try, and no task its answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from celery.result import AsyncResult
from redis import Redis

from spacer_tasks import storage
from spacer_tasks.app import app
from spacer_tasks.broker.queue_depths import queue_depths
from spacer_tasks.data_classes.job_state import JobState
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.demo.services import S3Server
from spacer_tasks.exceptions import S3ObjectNotFoundError
from spacer_tasks.execution import dead_letters
from spacer_tasks.jobs.status import in_redis
from spacer_tasks.tasks import classify_features, extract_features
from tests.support.photos import photo
from tests.support.s3.buckets import fresh_bucket
from tests.support.s3.faults import S3Faults
from tests.support.s3.front import S3Front, s3_front
from tests.support.waiting import wait_until
from tests.support.workers import StartWorker, worker_starter

#: tasks that wait through the outage; `make soak` has a thousand, for ten minutes
TASKS = 30
#: one start is allowed: a try that was counted would end its task
ENV = {"SPACER_MAX_DELIVERIES": "1"}


@pytest.fixture
def start_worker(queue: None, tmp_path: Path) -> Iterator[StartWorker]:
    with ExitStack() as stack:
        yield worker_starter(stack, tmp_path / "logs")


@pytest.fixture
def front(s3: S3Server, tmp_path: Path) -> Iterator[S3Front]:
    with s3_front(s3, tmp_path) as running:
        yield running


@pytest.fixture
def message(bucket: str, queue: None) -> dict[str, Any]:
    app.control.purge()
    image = DataLocation.parse(f"s3://{bucket}/a.png")
    storage.store(image, photo("sand", 1))
    return {
        "job_token": "1",
        "extractor": {"class_path": "dummy", "feature_dim": 8},
        "rowcols": [[3, 4]],
        "image_loc": image.model_dump(),
    }


def takes(worker: str) -> bool:
    return not reason_of(worker)


def reason_of(worker: str) -> str:
    """Why a worker takes nothing; empty where it takes tasks."""
    answers = app.control.broadcast(
        "spacer_health", reply=True, destination=[f"{worker}@test"], timeout=2, limit=1
    )
    (health,) = (answers or [{"": {"takes_nothing": ""}}])[0].values()
    return health["takes_nothing"] or ""


def takes_nothing(worker: str) -> bool:
    return "results prefix" in reason_of(worker)


def in_queues(redis: Redis) -> int:
    return sum(depth.waiting for depth in queue_depths(redis).values())


def extract(bucket: str, message: dict[str, Any], index: int) -> AsyncResult[Any]:
    place = DataLocation.parse(f"s3://{bucket}/{index}.npz")
    return extract_features.delay({**message, "feature_loc": place.model_dump()})


def classify(bucket: str, _message: dict[str, Any], index: int) -> AsyncResult[Any]:
    """One that ends in an error of its own."""
    nowhere = DataLocation.parse(f"s3://{bucket}/nothing-{index}").model_dump()
    return classify_features.delay(
        {"job_token": "1", "feature_loc": nowhere, "classifier_loc": nowhere}
    )


@pytest.mark.parametrize(
    ("kind", "send"), [("feature", extract), ("classify", classify)], ids=["threads", "prefork"]
)
def test_an_outage_of_s3_makes_no_task_a_failure(
    start_worker: StartWorker,
    front: S3Front,
    message: dict[str, Any],
    bucket: str,
    redis_url: str,
    kind: str,
    send: Callable[[str, dict[str, Any], int], AsyncResult[Any]],
) -> None:
    redis = Redis.from_url(redis_url)
    env = {**ENV, "SPACER_S3_ENDPOINT_URL": front.s3.endpoint_url}
    for name in ("one", "two"):
        start_worker(kind, "--concurrency=2", name=name, **env)
    front.set(S3Faults(error_503=1))
    sent = [send(bucket, message, index) for index in range(TASKS)]
    for name in ("one", "two"):
        wait_until(partial(takes_nothing, name), 90, f"{name} goes on taking tasks")
    # all are back in their queue, and stay there
    wait_until(lambda: in_queues(redis) == TASKS, 120, "tasks are held by workers that cannot work")
    met = sum(front.met().values())
    wait_until(lambda: sum(front.met().values()) > met + 20, 120, "nobody asks S3 again")
    assert in_queues(redis) == TASKS
    states = {in_redis(each.id).state for each in sent}
    assert states <= {JobState.UNKNOWN, JobState.RETRYING}

    front.set(S3Faults())
    for each in sent:
        if kind == "feature":
            assert each.get(timeout=120)["summary"]["runtime"] >= 0
        else:
            with pytest.raises(S3ObjectNotFoundError):
                each.get(timeout=120)
    # other tests of this Redis leave some
    given_up = {each.task_id for each in dead_letters.listed(redis)}
    assert not given_up & {each.id for each in sent}
    # one may have answered all before the other asked again
    for name in ("one", "two"):
        wait_until(partial(takes, name), 90, f"{name} stays closed")


def test_a_worker_that_starts_while_s3_is_away_waits_for_it(
    start_worker: StartWorker, front: S3Front, message: dict[str, Any], bucket: str
) -> None:
    front.set(S3Faults(error_503=1))
    env = {**ENV, "SPACER_S3_ENDPOINT_URL": front.s3.endpoint_url}
    start_worker("feature", "--concurrency=1", name="early", **env)
    sent = extract(bucket, message, 0)
    assert "results prefix does not answer" in reason_of("early")
    front.set(S3Faults())
    assert sent.get(timeout=120)


def test_a_worker_whose_answers_are_refused_gives_back_and_goes_on_when_they_are_taken(
    start_worker: StartWorker, s3: S3Server, message: dict[str, Any], bucket: str, redis_url: str
) -> None:
    redis = Redis.from_url(redis_url)
    client = s3.client()
    with fresh_bucket(s3) as answers:
        prefix = f"s3://{answers}/results"
        start_worker(
            "feature", "--concurrency=1", name="refused", **ENV, SPACER_RESULTS_PREFIX=prefix
        )
        client.delete_bucket(Bucket=answers)
        sent = [extract(bucket, message, index) for index in range(3)]
        wait_until(lambda: "no bucket" in reason_of("refused"), 90, "the worker goes on")
        wait_until(lambda: in_queues(redis) == 3, 120, "tasks are not given back")
        assert not any(each.ready() for each in sent)
        client.create_bucket(Bucket=answers)
        for each in sent:
            location = each.get(timeout=120)["answer_loc"]
            assert json.loads(storage.load(DataLocation(**location)))["error"] is None
