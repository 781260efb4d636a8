"""A task that is given up: its answer, its dead letter, and what an operator does with it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery.app.task import Context
from celery.contrib.testing.worker import start_worker
from redis import Redis

from spacer_tasks import storage
from spacer_tasks.app import app
from spacer_tasks.broker import signing
from spacer_tasks.broker.contract import RUN
from spacer_tasks.broker.queue_depths import lists_of
from spacer_tasks.coralnet import CeleryQueue
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import MessageError, TaskAbandonedError, TrainingLabelsError
from spacer_tasks.execution import dead_letters
from spacer_tasks.execution import lock as running_lock
from spacer_tasks.execution.batch import part_id
from spacer_tasks.execution.connection import me
from spacer_tasks.results import find_answer, load_answer
from spacer_tasks.tasks import extract_features
from spacer_tasks.worker.delivery.envelopes import read
from spacer_tasks.worker.result_backend import BACKENDS
from spacer_tasks.workflows import extract_one, train_from_images
from tests.support.command_line import run
from tests.support.gate import Gate
from tests.support.photos import photo
from tests.support.sending import send_through
from tests.support.waiting import until

KEY = "a-key-of-this-site-alone"


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


@pytest.fixture
def signing_with(
    monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]
) -> Callable[[str], None]:
    def use(key: str) -> None:
        monkeypatch.setenv("SPACER_SIGNING_KEYS", key)
        settings_changed()

    return use


def sent_again(redis: Redis, task_id: str) -> dict[str, Any]:
    """The message that an operator put back, from the list that it should be in."""
    dead_letters.send_again(redis, task_id)
    assert dead_letters.listed(redis) == []
    (raw,) = redis.lrange(lists_of("features")[2], 0, -1)
    message, fault = read(raw)
    assert fault is None
    assert isinstance(message, dict)
    return message


def given_up_with_everything(redis: Redis, message: dict[str, Any], task_id: str) -> None:
    begun(redis, task_id, 3)
    with (
        start_worker(app, pool="threads", concurrency=1, perform_ping_check=False),
        pytest.raises(TaskAbandonedError),
    ):
        extract_features.apply_async(
            (message,),
            task_id=task_id,
            priority=6,
            time_limit=77,
            soft_time_limit=66,
            shadow="shown as this",
            headers={"site": "reef", RUN: "first"},
            link=app.signature("site.done", queue="site"),
            link_error=app.signature("site.failed", queue="site"),
            expires=3600,
        ).get(timeout=60)


def body_of(message: dict[str, Any]) -> Any:
    return json.loads(base64.b64decode(message["body"]))


@pytest.mark.usefixtures("queue")
def test_what_is_sent_again_is_what_was_sent(redis: Redis, message: dict[str, Any]) -> None:
    given_up_with_everything(redis, message, "whole")
    found = sent_again(redis, "whole")
    headers = found["headers"]
    assert (headers["timelimit"], headers["shadow"]) == ([77, 66], "shown as this")
    assert headers["site"] == "reef"
    # another run, or the parts that this one sent would not be sent again
    assert headers[RUN] not in ("first", "")
    # as if it was never begun, and whenever that is
    assert (headers["retries"], headers["expires"]) == (0, None)
    assert found["properties"]["priority"] == 6
    (sent,), named, following = body_of(found)
    assert (sent["feature_loc"], named) == (message["feature_loc"], {})
    assert [each["task"] for each in following["callbacks"]] == ["site.done"]
    assert [each["task"] for each in following["errbacks"]] == ["site.failed"]


@pytest.mark.usefixtures("queue")
def test_a_signed_one_is_signed_anew_or_keeps_its_signature(
    redis: Redis, message: dict[str, Any], signing_with: Callable[[str], None]
) -> None:
    for number, operators_key in enumerate((KEY, "")):
        signing_with(KEY)
        given_up_with_everything(redis, message, f"signed-{number}")
        signing_with(operators_key)
        found = sent_again(redis, f"signed-{number}")
        redis.delete(lists_of("features")[2])
        signing_with(KEY)
        assert signing.fault_of(body_of(found), found["headers"]) is None
        # what a signature covers stays with it
        assert (found["headers"]["expires"] is None) == bool(operators_key)


@pytest.mark.usefixtures("worker")
def test_a_letter_of_an_older_version_is_sent_again(redis: Redis, message: dict[str, Any]) -> None:
    given_up(redis, message, "older")
    (letter,) = dead_letters.listed(redis)
    older = letter.model_dump(exclude={"named", "following", "headers", "properties"})
    redis.hset(dead_letters.LETTERS, "older", json.dumps(older))
    dead_letters.send_again(redis, "older")
    assert app.AsyncResult("older").get(timeout=60)


def test_a_part_that_is_sent_again_counts_while_its_batch_waits(
    redis: Redis,
    redis_url: str,
    message: dict[str, Any],
    bucket: str,
    queue: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(app.loader, "override_backends", BACKENDS)
    send_through(redis_url)
    gate = Gate()
    images = [message["image_loc"], {"storage_type": "url", "key": gate.url}]
    batch = {
        "job_token": "1",
        "extractor": message["extractor"],
        "images": [
            {
                "image_loc": {"bucket_name": None, **image},
                "feature_loc": DataLocation.parse(f"s3://{bucket}/{number}.npz").model_dump(),
                "annotations": [[3, 4, "a"], [5, 6, "b"]],
            }
            for number, image in enumerate(images)
        ],
        "nbr_epochs": 1,
        "max_failed_share": 0,
        "model_loc": DataLocation.parse(f"s3://{bucket}/model").model_dump(),
        "valresult_loc": DataLocation.parse(f"s3://{bucket}/valresult.json").model_dump(),
    }
    part = part_id("counts-again", extract_one.name, 0)
    begun(redis, part, 3)
    try:
        with start_worker(app, pool="threads", concurrency=2, perform_ping_check=False):
            sent = train_from_images.apply_async((batch,), task_id="counts-again")
            # its state is there a moment earlier
            until(lambda: bool(redis.keys("*counts-again.extract.*.d")), "it is not counted")
            assert "error" in str(app.AsyncResult(part).result)
            dead_letters.send_again(redis, part)
            until(lambda: (it := find_answer(part)) is not None and it.ok, "it is not run again")
            gate.open()
            # it came to train on both, of which no part has failed; they have few labels for it
            with pytest.raises(TrainingLabelsError):
                sent.get(timeout=60)
    finally:
        gate.close()


def test_the_newest_are_kept_by_their_number_and_their_bytes(
    redis: Redis, message: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def kept() -> list[str]:
        return [letter.task_id for letter in dead_letters.listed(redis)]

    def keep(name: str) -> None:
        request = Context(id=name, task=extract_features.name, args=[message], kwargs={})
        dead_letters.keep(redis, request, [], "its workers ended")

    monkeypatch.setattr(dead_letters, "KEPT", 3)
    for number in range(5):
        keep(f"letter-{number}")
    assert kept() == ["letter-2", "letter-3", "letter-4"]
    size = redis.hstrlen(dead_letters.LETTERS, "letter-4")
    monkeypatch.setattr(dead_letters, "KEPT_BYTES", int(2.5 * size))
    keep("letter-5")
    assert kept() == ["letter-4", "letter-5"]
    # one is kept, however large it is
    monkeypatch.setattr(dead_letters, "KEPT_BYTES", 10)
    keep("letter-6")
    assert kept() == ["letter-6"]
    assert redis.hlen(dead_letters.LETTERS) == 1
