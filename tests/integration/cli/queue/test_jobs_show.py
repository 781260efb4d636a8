"""`spacer-tasks jobs show`: what becomes of a task, told on one screen."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery.contrib.testing.worker import start_worker
from redis import Redis

from spacer_tasks import storage
from spacer_tasks.app import app
from spacer_tasks.broker import refused
from spacer_tasks.broker.refused import Reason
from spacer_tasks.data_classes.job_state import JobState
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import TaskAbandonedError
from spacer_tasks.execution import dead_letters
from spacer_tasks.execution import lock as running_lock
from spacer_tasks.execution.cancellation import cancel
from spacer_tasks.execution.connection import me
from spacer_tasks.results import answer_location
from spacer_tasks.tasks import extract_features
from tests.support.command_line import run
from tests.support.photos import photo

#: seconds; far more than a small task takes on a busy machine
ANSWER_S = 60


@pytest.fixture
def worker(queue: None) -> Iterator[None]:
    with start_worker(app, pool="threads", concurrency=1, perform_ping_check=False):
        yield


@pytest.fixture
def redis(redis_url: str, queue: None) -> Redis:
    client = Redis.from_url(redis_url)
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


def shown(task_id: str) -> str:
    """The screen, its white space made single."""
    ran = run("jobs", "show", task_id)
    assert ran.code == 0, ran.err
    return " ".join(ran.out.split())


def told(task_id: str) -> dict[str, Any]:
    ran = run("jobs", "show", "--json", task_id)
    assert ran.code == 0, ran.err
    found: dict[str, Any] = json.loads(ran.out)
    return found


def test_a_task_that_nobody_knows_is_an_error_that_says_where_was_looked(redis: Redis) -> None:
    ran = run("jobs", "show", "never-sent")
    assert ran.code == 1
    error = " ".join(ran.err.split())
    assert "nobody knows the task never-sent" in error
    assert "Redis has no trace of it" in error
    assert "answers/never-sent.json" in error
    assert "check the id" in error.lower()


def test_a_task_that_waits_says_what_is_before_it_and_that_no_worker_is_alive(
    redis: Redis, message: dict[str, Any]
) -> None:
    for task_id in ("first-in-line", "second-in-line"):
        extract_features.apply_async((message,), task_id=task_id)
    text = shown("second-in-line")
    assert "QUEUED" in text
    assert "1 task of its queue before it" in text
    assert "start a worker: none of its pool is alive" in text
    story = told("first-in-line")
    assert story["state"] == "QUEUED"
    assert story["queue"] == "features"
    assert story["waiting"]["ahead"] == 0


@pytest.mark.usefixtures("worker")
def test_a_task_that_was_answered_shows_its_answer(redis: Redis, message: dict[str, Any]) -> None:
    extract_features.apply_async((message,), task_id="answered").get(timeout=ANSWER_S)
    text = shown("answered")
    assert "SUCCEEDED" in text
    assert "answers/answered.json" in text
    assert told("answered")["answer"]["summary"]["runtime"] > 0


@pytest.mark.usefixtures("worker")
def test_a_task_whose_image_is_missing_shows_its_error_and_what_to_do(
    redis: Redis, message: dict[str, Any]
) -> None:
    message["image_loc"]["key"] = "nowhere.png"
    result = extract_features.apply_async((message,), task_id="no-image")
    with pytest.raises(Exception, match=r"nowhere\.png"):
        result.get(timeout=ANSWER_S)
    text = shown("no-image")
    assert "FAILED" in text
    assert "(input)" in text
    assert "nowhere.png" in text
    assert "correct what the error names" in text


@pytest.mark.usefixtures("worker")
def test_what_redis_forgot_is_told_from_the_results_prefix(
    redis: Redis, message: dict[str, Any]
) -> None:
    extract_features.apply_async((message,), task_id="kept").get(timeout=ANSWER_S)
    for key in redis.keys("*kept*"):
        redis.delete(key)
    assert told("kept")["state"] == "SUCCEEDED"


def test_a_task_that_was_cancelled_says_so(redis: Redis, message: dict[str, Any]) -> None:
    extract_features.apply_async((message,), task_id="cancelled")
    cancel("cancelled")
    text = shown("cancelled")
    assert "cancelled" in text
    assert told("cancelled")["cancelled_at"]


def test_a_task_that_runs_shows_who_has_its_lock_and_when_it_was_begun(
    redis: Redis, settings_env: dict[str, str]
) -> None:
    with running_lock.running("runs-here"):
        story = told("runs-here")
        assert story["state"] == "RUNNING"
        assert story["lock"]["worker"] == me()
        assert [start["worker"] for start in story["starts"]] == [me()]
        assert "cancel runs-here" in shown("runs-here")


@pytest.mark.usefixtures("worker")
def test_a_task_that_was_given_up_shows_each_start_and_how_to_send_it_again(
    redis: Redis, message: dict[str, Any]
) -> None:
    for times in range(3):
        lock = running_lock.Running("given-up", f"{me()}/{times}")
        running_lock._begin(lock)
        running_lock.let_go(redis, "given-up")
    with pytest.raises(TaskAbandonedError):
        extract_features.apply_async((message,), task_id="given-up").get(timeout=ANSWER_S)
    text = shown("given-up")
    assert "ABANDONED" in text
    assert "after 3 starts" in text
    assert "spacer-tasks dead retry given-up" in text


def test_an_answer_that_cannot_be_read_is_told_as_such(
    redis: Redis, settings_env: dict[str, str]
) -> None:
    storage.store(answer_location("damaged"), b"{not json")
    text = shown("damaged")
    assert "answers/damaged.json" in text
    assert told("damaged")["error"]["message"]


def test_where_redis_is_away_the_stored_answer_is_shown(
    redis: Redis,
    message: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    settings_changed: Callable[[], None],
    worker: None,
) -> None:
    extract_features.apply_async((message,), task_id="stored").get(timeout=ANSWER_S)
    away = RedisAway(monkeypatch)
    ran = run("jobs", "show", "stored")
    away.back()
    assert ran.code == 0, ran.err
    assert "this is the task's stored answer" in " ".join(ran.err.split())
    assert "SUCCEEDED" in ran.out


class RedisAway:
    """What reaches Redis finds nobody there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch.context()
        patch = self._patch.__enter__()

        def refused(*_: Any, **__: Any) -> Any:
            raise ConnectionRefusedError("nobody listens")

        patch.setattr("redis.connection.Connection._connect", refused)
        patch.setattr("redis.connection.ConnectionPool.get_connection", refused)

    def back(self) -> None:
        """Let it be reached again."""
        self._patch.__exit__(None, None, None)


@pytest.mark.parametrize("state", list(JobState))
def test_every_state_has_a_meaning(state: JobState) -> None:
    assert state.meaning


def test_a_task_whose_message_was_refused_says_so_and_how_it_is_put_back(
    redis: Redis, message: dict[str, Any]
) -> None:
    extract_features.apply_async((message,), task_id="a-refused-one")
    raw = redis.rpop("features")
    assert isinstance(raw, bytes)
    why = "its signature is by none of the keys, or it was changed on the way"
    entry = refused.entry_of(raw, Reason.SIGNATURE, why, "features", "host/1/x", 1e9)
    redis.lpush(refused.LIST, entry)
    text = shown("a-refused-one")
    ref = refused.ref_of(raw)
    assert "MISSING" in text
    assert f"{ref}, 2001-09-09" in text
    assert f"by host/1/x: {why} (signature)" in text
    assert f"`spacer-tasks refused requeue {ref}` puts it back" in text
    assert told("a-refused-one")["refused"]["reason"] == "signature"
    # and put back it waits as before
    assert run("refused", "requeue", ref).code == 0
    story = told("a-refused-one")
    assert story["state"] == "QUEUED"
    assert "refused" not in story
