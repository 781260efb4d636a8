"""Newer clients and older workers, and the other way round, by what older versions recorded."""

from __future__ import annotations

import base64
import gc
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery.contrib.testing.worker import start_worker

from spacer_tasks import results, storage
from spacer_tasks.app import app
from spacer_tasks.broker.client import broker_client
from spacer_tasks.coralnet import CeleryQueue
from spacer_tasks.exceptions import MessageError, RowColumnInvalidError
from spacer_tasks.jobs.answers import job_return
from spacer_tasks.jobs.records import JobRecord
from spacer_tasks.jobs.redis_records import JOBS, KEYS, RECORDS, WAITING, RedisRecords
from spacer_tasks.messages import batches, tasks
from spacer_tasks.messages.parsing import parse
from spacer_tasks.messages.tasks import Message
from spacer_tasks.results import StoredAnswer, answer_location, load_answer
from tests.support.messages.wire import (
    RECORDED,
    TASKS,
    in_folder,
    put_image,
    recorded,
    send,
    sent,
    state_key,
    task_id,
)
from tests.support.redis.celery_parts import backend_of
from tests.support.waiting import wait_until

VERSIONS = sorted(path for path in RECORDED.iterdir() if path.is_dir())
ANSWERED = [name for name in TASKS if name != "failure"]
#: what a newer version may add to anything that it answers
ADDED = "added_by_a_newer_version"
each_version = pytest.mark.parametrize("version", VERSIONS, ids=lambda path: path.name)


@pytest.fixture
def folder(
    queue: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings_changed: Callable[[], None],
) -> Iterator[Path]:
    """Where the files of a recording are, and the answers."""
    monkeypatch.setenv("SPACER_RESULTS_PREFIX", str(tmp_path / "results"))
    settings_changed()
    states = [state_key(name) for name in TASKS]
    broker_client().delete(*KEYS, *states)
    yield tmp_path
    # Celery's results are in circles, and unsubscribe when they go: let them, while there is Redis
    gc.collect()
    broker_client().delete(*KEYS, *states)


def answer_class(name: str) -> type[Message]:
    """What a task answers."""
    task, _ = TASKS[name]
    answer = task.message_class.__name__.replace("Msg", "ReturnMsg")
    answer = answer.replace("ClassifyFeatures", "Classify").replace("ClassifyImage", "Classify")
    found: type[Message] = getattr(tasks, answer, None) or getattr(batches, answer)
    return found


def with_more(data: Any) -> Any:
    """The same with a field more in each object, but for what the reference reads: locations, and
    what is in the answer to a job.
    """
    if isinstance(data, list):
        return [with_more(each) for each in data]
    if not isinstance(data, dict) or "storage_type" in data:
        return data
    if "original_job" in data:
        return {**data, ADDED: 1}
    return {**{name: with_more(value) for name, value in data.items()}, ADDED: 1}


def fields(data: Any) -> set[str]:
    """The names of all fields, with where they are."""
    if isinstance(data, list):
        return {name for each in data for name in fields(each)}
    if not isinstance(data, dict):
        return set()
    below = {f"{key}.{name}" for key, value in data.items() for name in fields(value)}
    return {*data, *below}


@each_version
def test_workers_take_what_older_clients_send_and_answer_what_those_read(
    version: Path, folder: Path
) -> None:
    put_image(folder)
    with start_worker(app, pool="threads", concurrency=2, perform_ping_check=False):
        for name, envelope in recorded(version, "messages").items():
            state = send(name, envelope, folder)
            wait_until(state.ready, 60, f"{name} was not answered")
            small = json.loads(broker_client().get(state_key(name)) or b"")
            assert fields(recorded(version, "states")[name]) <= fields(small), name
            stored = json.loads(storage.load(results.answer_location(task_id(name))))
            assert fields(recorded(version, "answers")[name]) <= fields(stored), name
            assert state.state == ("FAILURE" if name == "failure" else "SUCCESS"), stored["error"]


@each_version
@pytest.mark.parametrize("newer", [False, True], ids=["as recorded", "with unknown fields"])
def test_clients_read_what_other_workers_answer(version: Path, newer: bool, folder: Path) -> None:
    states, answers = (in_folder(recorded(version, kind), folder) for kind in ("states", "answers"))
    for name in TASKS:
        state, answer = states[name], answers[name]
        if newer:
            answer = with_more(answer)
            if name != "failure":
                state = with_more(state)
        broker_client().set(state_key(name), json.dumps(state))
        storage.store(results.answer_location(task_id(name)), json.dumps(answer).encode())
    for name in ANSWERED:
        small = app.AsyncResult(task_id(name)).get(timeout=10)
        expected = answers[name]["answer"]
        for found in (load_answer(small), load_answer(task_id(name))):
            assert parse(answer_class(name), found).to_wire() == expected, name
    failed = app.AsyncResult(task_id("failure")).get(timeout=10, propagate=False)
    assert isinstance(failed, RowColumnInvalidError)
    assert "row 500" in str(failed)
    with pytest.raises(RowColumnInvalidError, match="row 500"):
        load_answer(task_id("failure"))


@each_version
@pytest.mark.parametrize("newer", [False, True], ids=["as recorded", "with unknown fields"])
def test_the_queue_class_collects_what_another_version_sent(
    version: Path, newer: bool, folder: Path
) -> None:
    kept = json.loads((version / "record.json").read_text())
    record = JobRecord.model_validate(kept["record"])
    state, answer = (
        in_folder(recorded(version, kind)["process_job"], folder) for kind in ("states", "answers")
    )
    changed = with_more if newer else lambda data: data
    redis = broker_client()
    redis.hset(RECORDS, record.task_id, json.dumps(changed(kept["record"])))
    redis.hset(JOBS, record.task_id, base64.b64decode(kept["job"]))
    redis.zadd(WAITING, {record.task_id: record.submitted_at})
    # they were recorded of two tasks
    state["task_id"] = record.task_id
    redis.set(backend_of(app).get_key_for_task(record.task_id), json.dumps(changed(state)))
    storage.store(answer_location(record.task_id), json.dumps(changed(answer)).encode())

    taken = CeleryQueue()
    (returned,), statuses = taken.collect_jobs(taken.get_collectable_jobs())
    assert statuses == ["SUCCEEDED"]
    assert returned == job_return(StoredAnswer.model_validate(answer), {})
    saved = RedisRecords().jobs([record.task_id])[record.task_id]
    assert in_folder(json.loads(saved), folder) == returned.original_job


def test_a_message_without_options_is_what_the_oldest_version_sends(folder: Path) -> None:
    for name, expected in recorded(VERSIONS[0], "messages").items():
        found = sent(name)
        # new optional fields are left out while they have their default: older workers refuse them
        assert found["body"] == expected["body"], name
        assert fields(found["body"]) == fields(expected["body"]), name
        for header in ("task", "id", "lang", "timelimit", "ignore_result"):
            assert found["headers"][header] == expected["headers"][header], (name, header)
        assert "sent_at" in found["headers"]


@pytest.mark.parametrize("name", [name for name in ANSWERED if name != "process_job"])
def test_a_worker_names_a_field_that_it_does_not_know(name: str) -> None:
    task, _ = TASKS[name]
    ((message,), _, _) = recorded(VERSIONS[0], "messages")[name]["body"]
    with pytest.raises(MessageError, match=ADDED):
        parse(task.message_class, {**message, ADDED: 1})
