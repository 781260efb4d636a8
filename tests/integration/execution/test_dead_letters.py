"""A task that is given up: its answer, its dead letter, and what an operator does with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from celery.contrib.testing.worker import start_worker
from redis import Redis

from spacer_tasks import storage
from spacer_tasks.app import app
from spacer_tasks.coralnet import CeleryQueue
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import MessageError, TaskAbandonedError
from spacer_tasks.execution import dead_letters
from spacer_tasks.execution import lock as running_lock
from spacer_tasks.execution.connection import me
from spacer_tasks.results import load_answer
from spacer_tasks.tasks import extract_features
from spacer_tasks.workflows import extract_one
from tests.support.command_line import run
from tests.support.photos import photo


@pytest.fixture
def worker(queue: None) -> Iterator[None]:
    with start_worker(app, pool="threads", concurrency=2, perform_ping_check=False):
        yield


@pytest.fixture
def redis(redis_url: str) -> Redis:
    client = Redis.from_url(redis_url)
    # of the tests before, which share the server
    client.delete(dead_letters.LETTERS, dead_letters.TIMES)
    return client


@pytest.fixture
def message(bucket: str, settings_env: dict[str, str]) -> dict[str, Any]:
    image = DataLocation.parse(f"s3://{bucket}/a.png")
    storage.store(image, photo("sand", 1))
    return {
        "job_token": "1",
        "extractor": {"class_path": "dummy", "feature_dim": 8},
        "rowcols": [[3, 4]],
        "image_loc": image.model_dump(),
        "feature_loc": DataLocation.parse(f"s3://{bucket}/a.npz").model_dump(),
    }


def begun(redis: Redis, task_id: str, times: int) -> None:
    """As if workers died of it."""
    for _ in range(times):
        lock = running_lock.Running(task_id, f"{me()}/{times}")
        running_lock._begin(lock)
        running_lock.let_go(redis, task_id)


def given_up(redis: Redis, message: dict[str, Any], task_id: str) -> None:
    begun(redis, task_id, 3)
    with pytest.raises(TaskAbandonedError, match="begun 3 times"):
        extract_features.apply_async((message,), task_id=task_id).get(timeout=60)


@pytest.mark.usefixtures("worker")
def test_a_task_that_was_begun_twice_before_is_run(redis: Redis, message: dict[str, Any]) -> None:
    begun(redis, "begun-twice", 2)
    assert extract_features.apply_async((message,), task_id="begun-twice").get(timeout=60)
    # answered: were it sent again, it would start from none
    assert redis.keys("spacer-task:begun-twice*") == [b"spacer-task:begun-twice:ended"]


@pytest.mark.usefixtures("worker")
def test_a_task_that_was_given_up_is_shown_and_sent_again(
    redis: Redis, message: dict[str, Any]
) -> None:
    given_up(redis, message, "thrice")
    (letter,) = dead_letters.listed(redis)
    assert (letter.task_id, letter.queue, len(letter.starts)) == ("thrice", "features", 3)
    assert "thrice" in run("dead", "list").out
    shown = run("dead", "show", "thrice").out
    assert message["feature_loc"]["key"] in shown
    assert "start 3" in shown

    run("dead", "retry", "thrice")
    result = app.AsyncResult("thrice")
    assert result.get(timeout=60)["summary"]["runtime"] > 0
    assert load_answer("thrice")["runtime"] > 0
    assert "No task was given up" in run("dead", "list").err


@pytest.mark.usefixtures("worker")
def test_a_dead_letter_is_dropped_and_its_error_stays(
    redis: Redis, message: dict[str, Any]
) -> None:
    given_up(redis, message, "dropped")
    run("dead", "drop", "dropped")
    assert dead_letters.listed(redis) == []
    with pytest.raises(TaskAbandonedError):
        load_answer("dropped")
    again = run("dead", "retry", "dropped")
    assert again.code == 2
    assert "dropped is not among the tasks that were given up" in again.err
    with pytest.raises(MessageError):
        dead_letters.find(redis, "dropped")


@pytest.mark.usefixtures("worker")
def test_coralnet_is_handed_a_failed_job(redis: Redis, message: dict[str, Any]) -> None:
    queue = CeleryQueue()
    job = {"task_name": "extract_features", "tasks": [message]}
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("spacer_tasks.coralnet.uuid", lambda: "job-of-coralnet")
        begun(redis, "job-of-coralnet", 3)
        queue.submit_job(job, 7, "medium")
    with pytest.raises(TaskAbandonedError):
        app.AsyncResult("job-of-coralnet").get(timeout=60)
    mine = [each for each in queue.get_collectable_jobs() if each.job_id == 7]
    (returned,), statuses = queue.collect_jobs(mine)
    assert statuses == ["FAILED"]
    assert returned.ok is False
    assert "begun 3 times" in returned.error_message
    dead_letters.drop(redis, "job-of-coralnet")


@pytest.mark.usefixtures("worker")
def test_a_part_of_a_batch_that_was_given_up_does_not_fail_the_batch(
    redis: Redis, message: dict[str, Any]
) -> None:
    begun(redis, "a-part", 3)
    sent = extract_one.apply_async((message, "batch", 0, 1), task_id="a-part")
    part = sent.get(timeout=60)
    assert part["index"] == 0
    assert part["error"]["type"].endswith("TaskAbandonedError")
    dead_letters.drop(redis, "a-part")
