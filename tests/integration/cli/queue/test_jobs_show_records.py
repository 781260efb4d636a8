"""`spacer-tasks jobs show` for jobs that somebody keeps a record of, and for damaged traces."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery.contrib.testing.worker import start_worker
from redis import Redis

from spacer_tasks import results, storage
from spacer_tasks.app import app
from spacer_tasks.broker.client import broker_client
from spacer_tasks.broker.whereabouts import Keys, find_taken, find_waiting
from spacer_tasks.coralnet import CeleryQueue
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import StorageUnavailableError
from spacer_tasks.execution import lock as running_lock
from spacer_tasks.execution.cancellation import mark_of
from spacer_tasks.execution.connection import me
from spacer_tasks.jobs.records import JobRecord
from spacer_tasks.mailman.ledger import note_sent
from spacer_tasks.results import TaskError, store_answer
from spacer_tasks.tasks import extract_features
from spacer_tasks.worker.delivery import unacked
from tests.support.command_line import Ran, run
from tests.support.photos import photo
from tests.support.redis.celery_parts import backend_of
from tests.support.redis.configured import redis_with
from tests.support.sending import store_finished
from tests.support.waiting import wait_until

#: seconds after which an answer that is not to be seen is gone
EXPIRED_S = 200


@pytest.fixture
def worker(queue: None) -> Iterator[None]:
    with start_worker(app, pool="threads", concurrency=2, perform_ping_check=False):
        yield


@pytest.fixture(autouse=True)
def no_records(queue: None) -> Iterator[None]:
    yield
    if found := broker_client().keys("spacer-coralnet:*"):
        broker_client().delete(*found)


def extraction(bucket: str, name: str, row: int = 1) -> dict[str, Any]:
    image = DataLocation.parse(f"s3://{bucket}/{name}.png")
    storage.store(image, photo("sand", 1))
    return {
        "job_token": name,
        "extractor": {"class_path": "dummy", "feature_dim": 8},
        "rowcols": [[row, 1]],
        "image_loc": image.model_dump(),
        "feature_loc": DataLocation.parse(f"s3://{bucket}/{name}.npz").model_dump(),
    }


def submitted(bucket: str, job_id: int, row: int = 1) -> JobRecord:
    job = {"task_name": "extract_features", "tasks": [extraction(bucket, str(job_id), row)]}
    CeleryQueue().submit_job(job, job_id, "medium")
    (record,) = [each for each in CeleryQueue().get_collectable_jobs() if each.job_id == job_id]
    return record


def show(task_id: str) -> Ran:
    return run("jobs", "show", task_id)


def story(task_id: str) -> dict[str, Any]:
    ran = run("jobs", "show", task_id, "--json")
    assert ran.code == 0, ran.err
    found: dict[str, Any] = json.loads(ran.out)
    return found


# --- jobs ------------------------------------------------------------------------------------


def test_a_job_of_coralnet_s_is_found_by_its_number(bucket: str) -> None:
    record = submitted(bucket, 1001)
    found = story("1001")
    assert found == story(record.task_id) | {"workers": 0}
    assert found["state"] == "QUEUED"
    assert found["job"] == {"number": 1001, "kind": "extract_features", "sender": "CoralNet"}
    assert "1001, extract_features, sent by CoralNet" in show("1001").out
    # no job has this number, and no task this name
    assert show("1002").code == 1


def test_of_two_jobs_of_one_number_the_later_is_shown(bucket: str) -> None:
    submitted(bucket, 5)
    job = {"task_name": "extract_features", "tasks": [extraction(bucket, "again")]}
    CeleryQueue().submit_job(job, 5, "medium")
    *_, later = CeleryQueue().get_collectable_jobs()
    assert story("5")["task_id"] == later.task_id


@pytest.mark.usefixtures("worker")
def test_an_answer_waits_for_coralnet_and_is_collected(bucket: str) -> None:
    good, bad = submitted(bucket, 1), submitted(bucket, 2, row=4000)
    for record in (good, bad):
        app.AsyncResult(record.task_id).get(timeout=60)
    found = story("1")
    assert found["state"] == "SUCCEEDED"
    assert found["next"] == "nothing: CoralNet's next collection takes it"
    found = story("2")
    assert found["state"] == "NOT_OK"
    assert "4000" in found["answer"]["summary"]["error_message"]
    assert "error_message" in show("2").out
    CeleryQueue().collect_jobs([good, bad])
    found = story("1")
    assert found["job"]["collected_at"]
    assert found["next"] == "nothing"


@pytest.mark.usefixtures("worker")
def test_collected_jobs_are_put_back_and_the_exit_code_says_whether_all_were(bucket: str) -> None:
    jobs = [submitted(bucket, number) for number in (1, 2)]
    for record in jobs:
        app.AsyncResult(record.task_id).get(timeout=60)
    CeleryQueue().collect_jobs(jobs)
    ran = run("jobs", "again", "1", "77")
    assert ran.code == 1
    assert ran.err.count("will be collected again") == 1
    assert "not among the jobs collected in the last seven days: 77" in ran.err
    assert run("jobs", "again", "1", "77").code == 2
    assert run("jobs", "again", "2").code == 0
    assert sorted(job.job_id for job in CeleryQueue().get_collectable_jobs()) == [1, 2]


def test_a_job_that_is_nowhere_is_missing_and_then_lost(
    bucket: str, monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]
) -> None:
    monkeypatch.setenv("SPACER_LOST_AFTER_S", "1")
    settings_changed()
    record = submitted(bucket, 3)
    app.control.purge()
    found = story("3")
    assert found["state"] == "MISSING"
    assert "CoralNet's collection hands it out as lost" in found["next"]
    wait_until(lambda: time.time() > record.submitted_at + 1.1, 60, "it is young")
    assert CeleryQueue().collect_jobs([record]) == ([], ["MISSING"])
    assert story("3")["job"]["missing_since"]
    wait_until(lambda: story("3")["state"] == "LOST", 60, "it is not lost")
    # the same word
    assert CeleryQueue().collect_jobs([record])[1] == ["LOST"]


def test_a_finished_job_whose_answer_is_gone(bucket: str) -> None:
    record = submitted(bucket, 4)
    app.control.purge()
    store_finished(record.task_id, EXPIRED_S)
    found = story("4")
    assert (found["state"], found["next"]) == ("EXPIRED", "send it again")
    assert f"none at s3://{bucket}/results/answers" in show("4").out
    assert CeleryQueue().collect_jobs([record])[1] == ["EXPIRED"]


def test_a_finished_job_whose_answer_is_not_to_be_seen_yet(bucket: str) -> None:
    record = submitted(bucket, 6)
    app.control.purge()
    store_finished(record.task_id, 1)
    found = story("6")
    assert found["state"] == "UNREADABLE"
    assert "ask again in a minute" in found["next"]
    assert CeleryQueue().collect_jobs([record])[1] == ["UNREADABLE"]


def test_a_mailman_s_job_is_known_by_its_note(settings_env: dict[str, str]) -> None:
    note_sent("of-a-message", "classify_features", "classify")
    found = story("of-a-message")
    assert found["job"] == {"kind": "classify_features", "sender": "mailman"}
    assert (found["queue"], found["state"]) == ("classify", "MISSING")
    assert "its mailman sends it again" in found["next"]
    assert "sent by a mailman" in show("of-a-message").out
    broker_client().delete("spacer-mailman:sent:of-a-message")


def test_a_job_that_celery_revoked(bucket: str) -> None:
    record = submitted(bucket, 7)
    app.control.purge()
    app.backend.store_result(record.task_id, None, "REVOKED")
    assert story("7")["state"] == "CANCELLED"


# --- traces ----------------------------------------------------------------------------------


def test_a_message_that_went_back_while_its_worker_was_cut_off(bucket: str) -> None:
    sent = extract_features.delay(extraction(bucket, "cut-off"))
    with running_lock.running(sent.id):
        found = story(sent.id)
        assert (found["state"], len(found["starts"])) == ("QUEUED", 1)
        assert found["lock"]["worker"] == found["starts"][0]["worker"]
        # a worker is there, as far as Redis knows
        broker_client().zadd("unacked.features.alive", {"somebody": time.time()})
        assert "a worker that was cut off may still run it" in story(sent.id)["next"]
    broker_client().delete("unacked.features.alive")


def test_a_message_that_a_silent_worker_holds(bucket: str) -> None:
    sent = extract_features.delay(extraction(bucket, "silent"))
    keys = Keys.of("features")
    client: Any = broker_client()
    assert client.execute_command(*unacked.take_command(keys, ["features"]))
    try:
        found = story(sent.id)
        assert (found["state"], found["workers"]) == ("RUNNING", 1)
        assert found["taken"]["worker"] == me()
        broker_client().zadd(keys.alive, {me(): time.time() - 3600})
        found = story(sent.id)
        assert found["workers"] == 0
        assert "start a worker" in found["next"]
        # of a worker of before holders were noted
        broker_client().delete(keys.holders)
        assert "by a worker of an older version since" in show(sent.id).out
    finally:
        broker_client().delete(*keys.all())


def test_other_messages_that_name_the_id_are_not_taken_for_the_task(bucket: str) -> None:
    sent = extract_features.apply_async((extraction(bucket, "callback-of"),), task_id="the-batch")
    other = extract_features.apply_async(
        (extraction(bucket, "other"),), root_id="wanted", parent_id="wanted"
    )
    part = extract_features.apply_async((extraction(bucket, "part"),), task_id="wanted.extract.3")
    assert find_waiting(broker_client(), "wanted") is None
    assert find_taken(broker_client(), "wanted") is None
    assert show("wanted").code == 1
    for task_id, ahead in ((sent.id, 0), (other.id, 1), (part.id, 2)):
        assert story(task_id)["waiting"]["ahead"] == ahead
    assert story(part.id)["part_of"] == "wanted"


def test_a_message_in_the_midst_of_a_long_queue(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spacer_tasks.broker.whereabouts.PAGE", 2)
    message = extraction(bucket, "many")
    ids = [extract_features.delay(message).id for _ in range(7)]
    for ahead, task_id in enumerate(ids):
        assert story(task_id)["waiting"]["ahead"] == ahead


def test_damaged_traces_are_no_bug(bucket: str, redis_url: str) -> None:
    client = Redis.from_url(redis_url)
    for damage in (b"\xff", b"[]", b"{}", b'{"status": "SUCCESS", "result": 5}'):
        client.set(backend_of(app).get_key_for_task("damaged"), damage)
        client.lpush("features", b"no json damaged", b'{"headers": null, "x": "damaged"}')
        client.hset("unacked.features", "damaged", b"damaged")
        ran = show("damaged")
        assert ran.code in (0, 1), ran.err
        assert "Traceback" not in ran.out + ran.err
    client.delete("features", "unacked.features", backend_of(app).get_key_for_task("damaged"))


def test_a_damaged_answer_is_told(bucket: str, settings_env: dict[str, str]) -> None:
    storage.store(results.answer_location("unread"), b"no answer")
    found = story("unread")
    assert found["state"] == "FAILED"
    assert found["error"]["type"].endswith("AnswerDamagedError")
    assert "not a stored answer" in show("unread").out


def test_a_bug_s_traceback_is_in_the_json_alone(settings_env: dict[str, str]) -> None:
    try:
        _ = 1 / len(())
    except ZeroDivisionError as error:
        store_answer("a-bug", "spacer_tasks.extract_features", "w", error=TaskError.of(error))
    assert "Traceback" in story("a-bug")["error"]["traceback"]
    ran = show("a-bug")
    assert "Traceback" not in ran.out
    assert "ZeroDivisionError (bug): " in ran.out
    assert "--json prints" in ran.out


def test_a_cancellation_whose_answer_could_not_be_stored(redis_url: str) -> None:
    client = Redis.from_url(redis_url)
    client.set(mark_of("marked"), int(time.time()), ex=60)
    found = story("marked")
    assert (found["state"], found["answer"]["stored"]) == ("CANCELLED", False)
    client.delete(mark_of("marked"))


@pytest.mark.parametrize(
    "task_id",
    ["", " ", "*", "a/b", "../../etc/passwd", "%s", "a\nb", "é", "\udcff", "x" * 5000, "9" * 30,
     "[bold]", "-1", "²"],
)  # fmt: skip
@pytest.mark.usefixtures("settings_env")
def test_strange_ids_are_ids_that_nobody_knows(task_id: str) -> None:
    ran = run("jobs", "show", "--", task_id)
    assert ran.code in (1, 2)
    assert ran.err.startswith("error: ")
    assert "Traceback" not in ran.err


# --- what is away ----------------------------------------------------------------------------


def test_redis_tells_where_a_task_is_while_storage_is_away(
    bucket: str, monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]
) -> None:
    sent = extract_features.delay(extraction(bucket, "away"))
    for name, value in {
        "SPACER_S3_ENDPOINT_URL": "http://127.0.0.1:9",
        "SPACER_S3_CONNECT_TIMEOUT_S": "1",
    }.items():
        monkeypatch.setenv(name, value)
    settings_changed()
    found = story(sent.id)
    assert found["state"] == "QUEUED"
    assert "127.0.0.1:9" in found["answer"]["note"]
    app.backend.store_result(sent.id, {"summary": {}}, "SUCCESS")
    assert story(sent.id)["state"] == "UNREADABLE"
    # whether somebody knows it cannot be said
    ran = show("nobody")
    assert ran.code == 2
    assert "127.0.0.1:9" in ran.err
    with pytest.raises(StorageUnavailableError):
        results.find_answer("nobody")


def test_without_a_results_prefix_redis_tells_alone(
    bucket: str, monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]
) -> None:
    sent = extract_features.delay(extraction(bucket, "prefix"))
    monkeypatch.delenv("SPACER_RESULTS_PREFIX")
    settings_changed()
    assert "SPACER_RESULTS_PREFIX is not set" in story(sent.id)["answer"]["note"]
    app.control.purge()
    ran = show(sent.id)
    assert ran.code == 1
    assert "SPACER_RESULTS_PREFIX is not set" in ran.err


def test_a_user_of_redis_that_may_not_look_is_told_which_may(
    tmp_path: Path,
    settings_env: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    settings_changed: Callable[[], None],
) -> None:
    with redis_with(tmp_path / "redis", ["user site on >secret ~features* +@all"]) as (port, _):
        monkeypatch.setenv("SPACER_BROKER_URL", f"redis://site:secret@127.0.0.1:{port}/0")
        settings_changed()
        ran = show("any")
    assert ran.code == 2
    assert "may not look at tasks: take `operator`" in ran.err
    assert "secret" not in ran.err
