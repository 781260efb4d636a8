"""What the task classes promise, with a real broker and S3 and a worker in this process."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any, cast

import celery.worker.request
import pytest
from celery import chord, signature
from celery.contrib.testing.worker import start_worker
from celery.result import GroupResult
from celery.utils import uuid
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from spacer_tasks import operations, results, retries, storage
from spacer_tasks.app import app
from spacer_tasks.broker.contract import CONTRACT, WAITS_AT_MOST_S
from spacer_tasks.config.settings import get_settings
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import (
    ConfigError,
    MessageError,
    RowColumnInvalidError,
    SpacerError,
    StorageUnavailableError,
    TaskCancelledError,
    UnknownExtractorError,
)
from spacer_tasks.execution.payload import INLINE_BYTES
from spacer_tasks.execution.progress import report_progress
from spacer_tasks.execution.task import MessageTask
from spacer_tasks.results import find_answer, load_answer
from spacer_tasks.retries import Schedule
from spacer_tasks.tasks import classify_features, extract_features, process_job
from spacer_tasks.worker import request
from spacer_tasks.workflows import extract_one, train_on_extracted
from tests.support.photos import photo
from tests.support.redis.celery_parts import backend_of, channel_of
from tests.support.waiting import wait_until


@pytest.fixture
def worker(queue: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # a second between tries is enough where the fault is ours
    monkeypatch.setattr(retries, "TASK", Schedule((1.0,)))
    with start_worker(app, pool="threads", concurrency=2, perform_ping_check=False):
        yield


@pytest.fixture
def message(bucket: str, settings_env: dict[str, str]) -> dict[str, Any]:
    image = DataLocation.parse(f"s3://{bucket}/a.png")
    storage.store(image, photo("sand", 1))
    return {
        "job_token": "1",
        "extractor": {"class_path": "dummy", "feature_dim": 8},
        "rowcols": [[3, 4], [5, 6]],
        "image_loc": image.model_dump(),
        "feature_loc": DataLocation.parse(f"s3://{bucket}/a.npz").model_dump(),
    }


@pytest.mark.usefixtures("worker")
def test_a_message_over_64_kib_goes_by_location_and_nobody_notices(
    message: dict[str, Any],
) -> None:
    large = {**message, "job_token": "x" * INLINE_BYTES}
    sent = extract_features.delay(large)
    assert storage.exists(results.message_location(sent.id))
    assert sent.get(timeout=60)["summary"]["runtime"] > 0


@pytest.mark.usefixtures("queue")
def test_what_is_in_redis_stays_small(message: dict[str, Any]) -> None:
    job = {"task_name": "extract_features", "tasks": [message] * 400}
    with app.connection_for_write() as connection:
        client = channel_of(connection).client
        process_job.delay(job)
        extract_features.delay(message)
        sizes = [len(item) for item in client.lrange("features", 0, -1)]
    assert len(sizes) == 2
    assert max(sizes) < 4096


@pytest.mark.usefixtures("worker")
def test_a_job_s_result_in_redis_is_small_whatever_it_echoes(message: dict[str, Any]) -> None:
    job = {"task_name": "extract_features", "tasks": [{**message, "job_token": "x" * INLINE_BYTES}]}
    result = process_job.delay(job).get(timeout=60)
    assert len(json.dumps(result)) < 1024
    assert result["summary"]["ok"]
    assert load_answer(result)["original_job"] == job


@pytest.mark.usefixtures("worker")
def test_a_transient_error_is_retried(
    message: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    real = operations.extract_features

    def fails_twice(msg: Any) -> Any:
        calls.append(msg)
        if len(calls) < 3:
            raise StorageUnavailableError("S3 answers 503")
        return real(msg)

    monkeypatch.setattr(operations, "extract_features", fails_twice)
    assert extract_features.delay(message).get(timeout=60)["summary"]["runtime"] > 0
    assert len(calls) == 3


@pytest.mark.usefixtures("worker")
def test_a_transient_error_that_stays_is_reported(
    message: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(msg: Any) -> Any:
        raise StorageUnavailableError("S3 answers 503")

    monkeypatch.setattr(operations, "extract_features", fails)
    monkeypatch.setattr(MessageTask, "max_retries", 1)
    sent = extract_features.delay(message)
    with pytest.raises(StorageUnavailableError, match="503"):
        sent.get(timeout=60)
    stored = find_answer(sent.id)
    assert stored is not None
    assert stored.error is not None
    assert stored.error.kind == "transient"


@pytest.mark.usefixtures("worker")
def test_a_bug_is_not_retried_and_keeps_its_traceback(
    message: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def breaks(msg: Any) -> Any:
        calls.append(msg)
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(operations, "extract_features", breaks)
    sent = extract_features.delay(message)
    with pytest.raises(SpacerError, match="ZeroDivisionError: a bug"):
        sent.get(timeout=60)
    stored = find_answer(sent.id)
    assert stored is not None
    assert stored.error is not None
    assert stored.error.kind == "bug"
    assert "in breaks" in (stored.error.traceback or "")

    assert len(calls) == 1


@pytest.mark.usefixtures("worker")
def test_an_input_error_comes_back_as_its_own_class(message: dict[str, Any]) -> None:
    sent = extract_features.delay({**message, "rowcols": [[3, 400]]})
    with pytest.raises(RowColumnInvalidError, match=r"a\.png.*400"):
        sent.get(timeout=60)
    with pytest.raises(RowColumnInvalidError, match=r"a\.png.*400"):
        load_answer(sent.id)


@pytest.mark.usefixtures("worker")
def test_finished_work_that_comes_again_is_answered_from_what_is_stored(
    message: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = extract_features.apply_async((message,), task_id="the-same").get(timeout=60)

    def runs_again(msg: Any) -> Any:
        raise AssertionError("it ran again")

    monkeypatch.setattr(operations, "extract_features", runs_again)
    # the broker delivers it once more; Redis lost the result meanwhile
    app.AsyncResult("the-same").forget()
    again = extract_features.apply_async((message,), task_id="the-same").get(timeout=60)
    assert again == first
    assert load_answer("the-same") == load_answer(first)


@pytest.mark.usefixtures("worker")
def test_an_unknown_extractor_is_refused_by_name(message: dict[str, Any]) -> None:
    evil = {**message, "extractor": {"class_path": "os.system"}}
    with pytest.raises(UnknownExtractorError, match=r"os\.system.*registered are"):
        extract_features.delay(evil).get(timeout=60)


@pytest.mark.usefixtures("queue")
def test_a_malformed_message_is_refused_before_it_is_sent(message: dict[str, Any]) -> None:
    with pytest.raises(MessageError, match="colour"):
        extract_features.delay({**message, "colour": 1})
    with pytest.raises(MessageError, match="expected one of extract_features"):
        process_job.delay({"task_name": "rm", "tasks": []})
    with app.connection_for_write() as connection:
        assert channel_of(connection).client.llen("features") == 0


@pytest.mark.usefixtures("worker")
def test_missing_objects_and_wrong_credentials_are_input_errors(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def message(uri: str) -> dict[str, Any]:
        return {
            "job_token": "1",
            "feature_loc": DataLocation.parse(uri).model_dump(),
            "classifier_loc": DataLocation.parse(f"s3://{bucket}/no-classifier").model_dump(),
        }

    for uri, error in (
        (f"s3://{bucket}/nothing", "ObjectNotFoundError"),
        ("s3://no-such-bucket/x", "NotFoundError"),
    ):
        sent = classify_features.delay(message(uri))
        with pytest.raises(SpacerError, match=uri):
            sent.get(timeout=60)
        stored = find_answer(sent.id)
        assert stored is not None
        assert stored.error is not None
        assert error in stored.error.type


def test_the_contract_speaks_json_only_and_leaves_no_queue_to_chance() -> None:
    assert CONTRACT["accept_content"] == CONTRACT["result_accept_content"] == ["json"]
    app.loader.import_default_modules()
    ours = {name for name in app.tasks if name.startswith("spacer_tasks.")}
    assert len(ours) > 10
    routed = set(CONTRACT["task_routes"]) | {"spacer_tasks.process_job"}
    assert ours <= routed


@pytest.mark.usefixtures("worker")
def test_small_results_expire_in_redis(message: dict[str, Any]) -> None:
    sent = extract_features.delay(message)
    sent.get(timeout=60)
    backend = backend_of(app)
    left_s = backend.client.ttl(backend.get_key_for_task(sent.id))
    assert 0 < left_s <= get_settings().results_expire_s


@pytest.mark.usefixtures("queue")
def test_the_count_of_a_batch_outlives_parts_that_wait_for_days(message: dict[str, Any]) -> None:
    backend: Any = app.backend
    parts = [extract_one.s(message, "batch", index, 2) for index in range(2)]
    sent = chord(parts, train_on_extracted.s({})).apply_async()
    header = sent.parent
    assert isinstance(header, GroupResult)
    assert header.results
    group = header.id
    size = backend.get_key_for_group(group, ".s")
    assert backend.client.ttl(size) > WAITS_AT_MOST_S - 60
    # the first part is back
    first = SimpleNamespace(id=header.results[0].id, group=group, group_index=0, chord=None)
    backend.on_chord_part_return(first, "SUCCESS", {"index": 0})
    results = backend.get_key_for_group(group, ".j")
    assert backend.client.zcard(results) == 1
    lasts = [backend.client.ttl(key) for key in backend.client.keys(f"*{group}*")]
    assert min(lasts) > WAITS_AT_MOST_S - 60


@pytest.mark.usefixtures("queue")
def test_a_redis_that_is_away_costs_progress_and_not_the_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    # not caplog: the workers of the tests before took over the logging
    monkeypatch.setattr(
        "spacer_tasks.execution.progress.logger.warning", lambda text, *_: said.append(text)
    )

    def away(*_: object, **__: object) -> None:
        raise RedisConnectionError("Connection refused")

    monkeypatch.setattr(app.backend, "store_result", away)
    monkeypatch.setattr("redis.client.Pipeline.execute", away)
    extract_one._count("batch", 0, 1)
    report_progress(extract_one, "batch", {"stage": "extract"})
    assert said == ["%s: progress not reported: %s"] * 2

    def wrong(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(app.backend, "store_result", wrong)
    with pytest.raises(ZeroDivisionError):
        report_progress(extract_one, "batch", {"stage": "extract"})


@pytest.mark.usefixtures("worker")
def test_a_task_that_is_delivered_again_calls_nobody_back_twice(
    message: dict[str, Any], redis_url: str
) -> None:
    heard = signature("caller.heard", queue="caller", app=app)
    first = extract_features.apply_async((message,), link=heard)
    answer = first.get(timeout=60)
    # as when its worker ended before Redis knew that the message was done with
    extract_features.apply_async((message,), task_id=first.id, link=heard)
    after = extract_features.apply_async((message,), link=heard)
    after.get(timeout=60)
    client = Redis.from_url(redis_url)
    wait_until(lambda: client.llen("caller") == 2, 60, "nobody was called back")
    # the worker takes two at a time: the repeat may end last
    wait_until(lambda: not client.hlen("unacked"), 60, "the repeat is still at the worker")
    texts = [json.loads(text) for text in cast("list[bytes]", client.lrange("caller", 0, -1))]
    told = [json.loads(base64.b64decode(text["body"]))[0][0]["task_id"] for text in texts]
    assert sorted(told) == sorted([first.id, after.id])
    assert first.get(timeout=60) == answer
    client.delete("caller")


def sent_raw(task_id: str, args: list[Any], named: dict[str, Any], **headers: Any) -> None:
    """As some client sends it, which does not ask whether the task takes these."""
    app.send_task(extract_features.name, args, named, task_id=task_id, **headers)


@pytest.mark.parametrize(
    ("args", "named", "given"),
    [
        ([], {}, "0 arguments"),
        ([{}, {}], {}, "2 arguments"),
        ([], {"b": 1, "a": 1}, "0 arguments, a=, b="),
    ],
)
def test_arguments_that_are_not_one_message_end_in_an_answer(
    worker: None, settings_env: dict[str, str], args: list[Any], named: dict[str, Any], given: str
) -> None:
    task_id = uuid()
    sent_raw(task_id, args, named)
    with pytest.raises(MessageError, match=f"was given {given}, expected one message"):
        app.AsyncResult(task_id).get(timeout=60)
    with pytest.raises(MessageError, match="expected one message"):
        load_answer(task_id)


@pytest.fixture
def expired(queue: None, message: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of a task that waits and has expired."""
    monkeypatch.setattr(MessageTask, "Request", f"{request.__name__}:{request.Request.__name__}")
    # Celery does not send one whose time is past; a message may wait for hours
    result = extract_features.apply_async(
        (message,),
        expires=1,
        link_error=signature("site.failed", queue="expired.failed", app=app),
    )
    past = time.monotonic() + 1.5
    wait_until(lambda: time.monotonic() > past, 60, "the time did not pass")
    return str(result.id)


def test_a_task_that_expired_ends_in_an_answer_and_its_callback_comes(
    expired: str, redis_url: str
) -> None:
    redis: Redis = Redis.from_url(redis_url)
    redis.delete("expired.failed")
    with (
        start_worker(app, pool="threads", concurrency=1, perform_ping_check=False),
        pytest.raises(TaskCancelledError, match="expired: it was to be begun before"),
    ):
        app.AsyncResult(expired).get(timeout=60)
    with pytest.raises(TaskCancelledError, match="expired"):
        load_answer(expired)
    assert redis.llen("expired.failed") == 1


def test_a_worker_whose_clock_is_ahead_lets_nothing_expire(
    queue: None, message: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MessageTask, "Request", f"{request.__name__}:{request.Request.__name__}")
    result = extract_features.apply_async((message,), expires=3600)
    ahead = datetime.now(timezone.utc) + timedelta(days=8)

    class Ahead(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return ahead

    monkeypatch.setattr(celery.worker.request, "datetime", Ahead)
    with start_worker(app, pool="threads", concurrency=1, perform_ping_check=False):
        assert result.get(timeout=60)["summary"]["runtime"] > 0


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis+cluster://127.0.0.1:6379/0", "it begins with redis\\+cluster://"),
        ("redis://127.0.0.1:1/0;redis://127.0.0.1:2/0", "expected one URL"),
    ],
)
def test_a_caller_with_a_url_that_is_not_spoken_is_told_so(
    message: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    settings_changed: Callable[[], None],
    url: str,
    said: str,
) -> None:
    monkeypatch.setenv("SPACER_BROKER_URL", url)
    settings_changed()
    with pytest.raises(ConfigError, match=said):
        extract_features.delay(message)
