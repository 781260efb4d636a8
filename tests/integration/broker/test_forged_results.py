"""Results that somebody else wrote, read by a caller that waits, on a real Redis."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from threading import Thread
from typing import Any

import pytest
from celery.contrib.testing.worker import start_worker
from celery.exceptions import TimeoutError as CeleryTimeoutError
from kombu.utils import json

from spacer_tasks import results
from spacer_tasks.app import app
from spacer_tasks.broker.client import broker_client
from spacer_tasks.data_classes.job_state import JobState
from spacer_tasks.exceptions import ObjectNotFoundError, ResultRefusedError, TaskCancelledError
from spacer_tasks.jobs.celery_result import CeleryResult
from spacer_tasks.jobs.status import in_redis
from spacer_tasks.tasks import extract_features
from tests.support.messages.extraction import extraction
from tests.support.photos import photo
from tests.support.redis.celery_parts import backend_of
from tests.support.waiting import wait_until

KEY = "key-of-this-test"


@pytest.fixture
def task_id(queue: None) -> str:
    return str(uuid.uuid4())


@pytest.fixture
def signed(monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]) -> None:
    """This process signs, and takes only what is signed."""
    monkeypatch.setenv("SPACER_SIGNING_KEYS", KEY)
    monkeypatch.setenv("SPACER_REQUIRE_SIGNED_RESULTS", "true")
    settings_changed()


def forged(task_id: str, **changes: Any) -> str:
    meta: dict[str, Any] = {
        "status": "SUCCESS", "result": {"forged": True}, "traceback": None, "children": [],
        "date_done": "2026-01-01T00:00:00+00:00", "task_id": task_id,
    }  # fmt: skip
    return json.dumps({**meta, **changes})


def key_of(task_id: str) -> Any:
    return backend_of(app).get_key_for_task(task_id)


def put(task_id: str, text: str) -> None:
    broker_client().set(key_of(task_id), text)


@pytest.fixture
def publishing(task_id: str) -> Iterator[Callable[[str], None]]:
    """Says something in the task's channel, as soon as somebody listens and then."""
    threads: list[Thread] = []
    over: list[bool] = []

    def say(text: str) -> None:
        def run() -> None:
            while not over and not broker_client().publish(key_of(task_id).decode(), text):
                pass

        threads.append(Thread(target=run))
        threads[-1].start()

    yield say
    over.append(True)
    for thread in threads:
        thread.join()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("builtins", "SystemExit"),
        ("builtins", "KeyboardInterrupt"),
        ("builtins", "GeneratorExit"),
        ("builtins", "StopIteration"),
        ("builtins", "eval"),
        ("celery.exceptions", "WorkerShutdown"),
        ("celery.exceptions", "Ignore"),
        ("celery.exceptions", "Retry"),
        ("os", "system"),
        ("subprocess", "CalledProcessError"),
        ("asyncio.exceptions", "CancelledError"),
        ("spacer_tasks.exceptions", "Kind"),
        (None, "__class__"),
        ([], {}),
        ("x", "not an identifier\n"),
    ],
)
def test_an_exception_is_of_a_known_class_or_of_none_that_is_loaded(
    task_id: str, module: Any, name: Any
) -> None:
    result = {"exc_module": module, "exc_type": name, "exc_message": ["echo"]}
    put(task_id, forged(task_id, status="FAILURE", result=result))
    found = app.AsyncResult(task_id).get(timeout=10, propagate=False)
    assert type(found).__bases__ == (Exception,)
    assert type(found).__module__ == "spacer_tasks.broker.result_backend"
    assert found.args == ("echo",)


def test_our_own_errors_come_back_as_they_are(task_id: str) -> None:
    app.backend.store_result(task_id, TaskCancelledError("the text"), "FAILURE")
    with pytest.raises(TaskCancelledError, match="the text"):
        app.AsyncResult(task_id).get(timeout=10)


def test_a_result_that_names_another_task_is_refused(task_id: str) -> None:
    put(task_id, forged("another"))
    with pytest.raises(ResultRefusedError, match="it is of another task"):
        app.AsyncResult(task_id).get(timeout=10)
    assert in_redis(task_id).state is JobState.FAILED
    with pytest.raises(ValueError, match="another task"):
        CeleryResult.read(task_id, forged("another").encode())


def test_what_is_published_of_another_task_is_passed_over(
    task_id: str, publishing: Callable[[str], None]
) -> None:
    # who waits for it is told nothing in the channel of another
    other = str(uuid.uuid4())
    waiting = app.AsyncResult(other)
    backend: Any = app.backend
    backend.add_pending_result(waiting)
    publishing(forged(other))
    with pytest.raises(CeleryTimeoutError):
        app.AsyncResult(task_id).get(timeout=1)
    assert waiting.state == "PENDING"


@pytest.mark.usefixtures("signed")
def test_an_unsigned_result_that_is_published_is_passed_over(
    task_id: str, publishing: Callable[[str], None]
) -> None:
    publishing(forged(task_id))
    with pytest.raises(CeleryTimeoutError):
        app.AsyncResult(task_id).get(timeout=1)


@pytest.mark.usefixtures("signed")
@pytest.mark.parametrize("signature", [None, "", "1:1:x", "1:1:é", "2:1:" + 64 * "0", 5])
def test_a_stored_result_without_a_good_signature_is_refused(task_id: str, signature: Any) -> None:
    put(task_id, forged(task_id, spacer_signature=signature))
    with pytest.raises(ResultRefusedError, match="signature"):
        app.AsyncResult(task_id).get(timeout=10)
    with pytest.raises(ValueError, match="signature"):
        CeleryResult.read(task_id, forged(task_id, spacer_signature=signature).encode())


@pytest.mark.usefixtures("signed")
def test_a_signature_covers_each_field_and_the_task(task_id: str) -> None:
    app.backend.store_result(task_id, {"good": 1}, "SUCCESS")
    assert app.AsyncResult(task_id).get(timeout=10) == {"good": 1}
    kept = json.loads(broker_client().get(key_of(task_id)) or b"")
    changes: list[dict[str, Any]] = [
        {"result": {}}, {"status": "FAILURE"}, {"children": [1]}, {"more": 1},
    ]  # fmt: skip
    for change in changes:
        put(task_id, json.dumps({**kept, **change}))
        with pytest.raises(ResultRefusedError):
            app.AsyncResult(task_id).get(timeout=10)
    other = str(uuid.uuid4())
    put(other, json.dumps({**kept, "task_id": other}))
    with pytest.raises(ResultRefusedError):
        app.AsyncResult(other).get(timeout=10)


@pytest.mark.usefixtures("signed")
def test_what_was_forged_first_does_not_keep_a_worker_from_its_own(
    task_id: str, settings_env: dict[str, str], bucket: str
) -> None:
    put(task_id, forged(task_id))
    with start_worker(app, pool="threads", concurrency=1, perform_ping_check=False):
        sent = extract_features.apply_async(
            [extraction(bucket, "a", photo("sand", 1))], task_id=task_id
        )
        wait_until(lambda: app.AsyncResult(task_id).state == "SUCCESS", 60, "it was not answered")
        assert sent.get(timeout=60)["task_id"] == task_id


def test_an_answer_is_looked_for_by_the_id_and_not_where_a_result_says(
    settings_env: dict[str, str], bucket: str
) -> None:
    place = results.answer_location("1")
    elsewhere = {"storage_type": "s3", "bucket_name": "of-somebody", "key": "answer.json"}
    with pytest.raises(ObjectNotFoundError, match=r"answers/1\.json"):
        results.load_answer({"task_id": "1", "answer_loc": elsewhere, "summary": {}})
    results.store_answer("1", "x", None, answer={"ours": 1})
    assert results.load_answer({"task_id": "1", "answer_loc": elsewhere}) == {"ours": 1}
    assert place.key in place.uri


@pytest.mark.usefixtures("queue")
def test_a_table_of_queues_in_redis_sends_nothing_elsewhere() -> None:
    redis = broker_client()
    table = "_kombu.binding.features"
    redis.sadd(table, "\x06\x16".join(["features", "", "features.stolen"]))
    try:
        app.send_task("spacer_tasks.extract_features", args=[{}])
    finally:
        redis.delete(table)
    assert redis.llen("features.stolen") == 0
    assert redis.llen("features") == 1
