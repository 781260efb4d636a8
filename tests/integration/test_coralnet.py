"""CoralNet's queue class against a real Redis and S3, with a worker in this process or none."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery.contrib.testing.worker import start_worker
from typer.testing import CliRunner

from spacer_tasks import results, storage
from spacer_tasks.app import app
from spacer_tasks.broker import client
from spacer_tasks.broker.client import broker_client
from spacer_tasks.broker.contract import QUEUES
from spacer_tasks.cli.program import program
from spacer_tasks.coralnet import CeleryQueue
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.demo.services import RedisServer
from spacer_tasks.exceptions import BrokerUnavailableError, MessageError
from spacer_tasks.jobs.records import KEEP_COLLECTED_S, JobRecord
from spacer_tasks.jobs.redis_records import (
    COLLECTED,
    KEYS,
    RECORDS,
    WAITING,
    RedisRecords,
)
from spacer_tasks.messages.tasks import JobReturnMsg
from spacer_tasks.results import TaskError
from tests.support.photos import photo
from tests.support.redis.celery_parts import backend_of
from tests.support.redis.deaf_proxy import DeafProxy, deaf_proxy
from tests.support.sending import send_through, store_finished

#: more answers than a claim is asked for
ALL = 100
#: seconds; an answer that is not to be seen this long after its task is gone
EXPIRED_S = 130
Extraction = Callable[[str], dict[str, Any]]


@pytest.fixture(autouse=True)
def no_jobs(queue: None) -> Iterator[None]:
    broker_client().delete(*KEYS)
    yield
    broker_client().delete(*KEYS)


@pytest.fixture
def worker(queue: None) -> Iterator[None]:
    with start_worker(app, pool="threads", concurrency=2, perform_ping_check=False):
        yield


@pytest.fixture
def extraction(bucket: str, settings_env: dict[str, str]) -> Extraction:
    """A job for an image that is stored."""

    def job(name: str) -> dict[str, Any]:
        image = DataLocation.parse(f"s3://{bucket}/{name}.png")
        storage.store(image, photo("sand", 1))
        return {
            "task_name": "extract_features",
            "tasks": [
                {
                    "job_token": name,
                    "extractor": {"class_path": "dummy", "feature_dim": 8},
                    "rowcols": [[3, 4], [5, 6]],
                    "image_loc": image.model_dump(),
                    "feature_loc": DataLocation.parse(f"s3://{bucket}/{name}.npz").model_dump(),
                }
            ],
        }

    return job


@pytest.fixture
def lost_at_once(
    settings_env: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    settings_changed: Callable[[], None],
) -> None:
    monkeypatch.setenv("SPACER_LOST_AFTER_S", "0.3")
    settings_changed()


@pytest.fixture
def proxied(
    redis_process: RedisServer,
    queue: None,
    monkeypatch: pytest.MonkeyPatch,
    settings_changed: Callable[[], None],
) -> Iterator[DeafProxy]:
    """This process asks Redis for jobs through it."""
    with deaf_proxy(redis_process.port) as proxy:
        url = redis_process.url.replace(f":{redis_process.port}/", f":{proxy.port}/")
        monkeypatch.setenv("SPACER_BROKER_URL", url)
        settings_changed()
        yield proxy
        # connections to it are of no more use
        client._client.cache_clear()


def submitted(job: dict[str, Any], job_id: int, level: str = "medium") -> JobRecord:
    CeleryQueue().submit_job(job, job_id, level)
    (record,) = [each for each in CeleryQueue().get_collectable_jobs() if each.job_id == job_id]
    return record


def taken_from(queue: str) -> bytes:
    """The next message of a queue."""
    message = broker_client().rpop(queue)
    assert isinstance(message, bytes)
    return message


def collected() -> tuple[list[JobReturnMsg], list[str]]:
    """One pass, as CoralNet makes it."""
    taken = CeleryQueue()
    return taken.collect_jobs(taken.get_collectable_jobs())


def collected_in_the_end() -> tuple[list[JobReturnMsg], list[str]]:
    """The first pass in which nothing waits or runs."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        returned, statuses = collected()
        if returned or not {"QUEUED", "RUNNING", "MISSING"} & set(statuses):
            return returned, statuses
        time.sleep(0.05)
    raise AssertionError(f"still {statuses}")


@pytest.mark.usefixtures("worker")
def test_a_job_comes_back_once_with_what_was_sent(extraction: Extraction) -> None:
    job = extraction("1")
    CeleryQueue().submit_job(job, 1, "medium")
    ((answer,), statuses) = collected_in_the_end()
    assert statuses == ["SUCCEEDED"]
    assert answer.ok
    assert answer.original_job == job
    assert answer.results is not None
    assert answer.results[0]["runtime"] > 0
    assert collected() == ([], [])


@pytest.mark.usefixtures("worker")
def test_an_input_error_and_an_unreachable_url_have_coralnet_s_names(
    extraction: Extraction,
) -> None:
    outside, away = extraction("1"), extraction("2")
    outside["tasks"][0]["rowcols"] = [[1, 1], [64, 2]]
    away["tasks"][0]["image_loc"] = {"storage_type": "url", "key": "http://127.0.0.1:9/a.png"}
    for job_id, job in enumerate((outside, away)):
        submitted(job, job_id)
    # tries after the first would take a minute
    app.tasks["spacer_tasks.process_job"].max_retries = 0
    try:
        lines = {}
        # both, or one after the other
        for _ in range(2):
            for answer in collected_in_the_end()[0]:
                assert not answer.ok
                token = answer.original_job["tasks"][0]["job_token"]
                lines[token] = (answer.error_message or "").splitlines()[-1]
    finally:
        del app.tasks["spacer_tasks.process_job"].max_retries
    assert lines["1"].startswith("spacer.exceptions.RowColumnInvalidError: ")
    assert lines["2"].startswith("spacer.exceptions.URLDownloadError: ")


@pytest.mark.parametrize(
    ("task_name", "level", "where"),
    [
        ("extract_features", "medium", "features"),
        ("extract_features", "high", "features.high"),
        ("classify_image", "high", "features.high"),
        ("train_classifier", "medium", "training"),
        ("train_classifier", "high", "training.high"),
        ("classify_features", "high", "classify"),
    ],
)
def test_a_job_goes_where_it_can_be_done(task_name: str, level: str, where: str) -> None:
    record = submitted({"task_name": task_name, "tasks": []}, 1, level)
    assert record.queue == where
    assert {name: broker_client().llen(name) for name in QUEUES} == {
        name: int(name == where) for name in QUEUES
    }


def test_a_job_that_is_no_job_is_refused_and_leaves_nothing() -> None:
    with pytest.raises(MessageError, match="'extract'"):
        CeleryQueue().submit_job({"task_name": "extract", "tasks": []}, 1, "medium")
    assert CeleryQueue().get_collectable_jobs() == []


def test_jobs_come_oldest_first_and_wait_as_queued(extraction: Extraction) -> None:
    for job_id in (7, 3, 5):
        CeleryQueue().submit_job(extraction(str(job_id)), job_id, "medium")
    assert [record.job_id for record in CeleryQueue().get_collectable_jobs()] == [7, 3, 5]
    assert collected() == ([], ["QUEUED"] * 3)


@pytest.mark.usefixtures("lost_at_once")
def test_a_job_that_waits_for_long_is_not_lost(extraction: Extraction) -> None:
    submitted(extraction("1"), 1)
    time.sleep(0.4)
    assert collected() == ([], ["QUEUED"])


@pytest.mark.usefixtures("lost_at_once")
def test_a_job_that_redis_lost_comes_back_as_failed_after_two_looks(
    extraction: Extraction,
) -> None:
    job = extraction("1")
    record = submitted(job, 1)
    broker_client().delete(record.queue)
    time.sleep(0.4)
    assert collected() == ([], ["MISSING"])
    time.sleep(0.1)
    ((answer,), statuses) = collected()
    assert statuses == ["LOST"]
    assert not answer.ok
    assert answer.original_job == job
    assert (answer.error_message or "").startswith(
        "spacer_tasks.exceptions.JobLostError: job 1 (task "
    )
    assert collected() == ([], [])


@pytest.mark.usefixtures("lost_at_once")
def test_a_job_behind_which_later_ones_wait_is_lost(
    extraction: Extraction, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spacer_tasks.jobs.states.CLOCKS_DIFFER_S", 0)
    record = submitted(extraction("1"), 1)
    broker_client().delete(record.queue)
    time.sleep(0.1)
    submitted(extraction("2"), 2)
    time.sleep(0.4)
    assert collected() == ([], ["MISSING", "QUEUED"])


@pytest.mark.usefixtures("lost_at_once")
def test_a_job_that_went_to_the_end_of_its_queue_is_not_lost(
    extraction: Extraction, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spacer_tasks.jobs.states.CLOCKS_DIFFER_S", 0)
    monkeypatch.setattr("spacer_tasks.broker.whereabouts.PAGE", 2)
    queue = submitted(extraction("1"), 1).queue
    time.sleep(0.1)
    for job_id in range(2, 7):
        submitted(extraction("2"), job_id)
    # as one that is tried again, and whose state Redis has forgotten
    broker_client().lmove(queue, queue, "RIGHT", "LEFT")
    time.sleep(0.4)
    assert collected() == ([], ["QUEUED"] * 6)


@pytest.mark.usefixtures("lost_at_once")
def test_a_job_that_is_seen_again_is_no_longer_suspected(extraction: Extraction) -> None:
    queue = submitted(extraction("1"), 1).queue
    message = taken_from(queue)
    time.sleep(0.4)
    for _ in range(2):
        assert collected() == ([], ["MISSING"])
        broker_client().lpush(queue, message)
        assert collected() == ([], ["QUEUED"])
        broker_client().delete(queue)
        time.sleep(0.1)


@pytest.mark.usefixtures("lost_at_once")
def test_a_process_that_ends_before_a_large_job_is_stored_leaves_one_that_is_lost(
    extraction: Extraction,
) -> None:
    job = extraction("1")
    job["tasks"][0]["rowcols"] = [[number % 60, 1] for number in range(20_000)]
    record = submitted(job, 1)
    broker_client().delete(record.queue)
    storage.delete(results.message_location(record.task_id))
    for _ in range(2):
        time.sleep(0.4)
        answers, statuses = collected()
    assert statuses == ["LOST"]
    # what the reference needs to read it, and whose job it was
    (task,) = answers[0].original_job["tasks"]
    assert task == {**job["tasks"][0], "rowcols": [[0, 1]]}


def test_an_answer_is_a_success_to_the_collection_whatever_it_says(extraction: Extraction) -> None:
    job, error = extraction("0"), "spacer.exceptions.DataLimitError: too many points"
    record = submitted(job, 1)
    store_finished(record.task_id, EXPIRED_S)
    bad = JobReturnMsg(original_job=job, ok=False, results=None, error_message=error)
    results.store_answer(record.task_id, "x", None, answer=bad.to_wire())
    ((answer,), statuses) = collected()
    # as CoralNet's queues for AWS Batch and for tests say of it
    assert statuses == ["SUCCEEDED"]
    assert (answer.ok, answer.error_message) == (False, error)


def test_a_damaged_answer_or_record_is_not_the_others_trouble(
    extraction: Extraction, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = [extraction(name) for name in ("0", "1", "2")]
    records = [submitted(job, number) for number, job in enumerate(jobs)]
    for record in records:
        store_finished(record.task_id, EXPIRED_S)
    good = JobReturnMsg(original_job=jobs[0], ok=True, results=[], error_message=None)
    results.store_answer(records[0].task_id, "x", None, answer=good.to_wire())
    for record, damage in zip(records[1:], (b"[" * 100_000, b'{"answer": 1}'), strict=True):
        storage.store(results.answer_location(record.task_id), damage)
    broker_client().hset(RECORDS, "other", "no record")
    broker_client().zadd(WAITING, {"other": 1})
    answers, statuses = collected()
    assert statuses == ["SUCCEEDED", "FAILED", "FAILED"]
    assert [answer.original_job for answer in answers] == jobs
    for answer in answers[1:]:
        assert (answer.error_message or "").startswith("spacer_tasks.exceptions.AnswerDamagedError")
    assert "other in Redis's spacer-coralnet:records is no record" in caplog.text


@pytest.mark.parametrize(
    "damage", [b"\xff", b"[]", b"{}", b'{"status": "SUCCESS", "result": {"answer_loc": {"a": 1}}}']
)
def test_a_damaged_state_is_not_the_others_trouble_nor_its_own_end(
    extraction: Extraction,
    lost_at_once: None,
    caplog: pytest.LogCaptureFixture,
    damage: bytes,
) -> None:
    jobs = [extraction(name) for name in ("0", "1")]
    records = [submitted(job, number) for number, job in enumerate(jobs)]
    answers = [
        JobReturnMsg(original_job=job, ok=True, results=[], error_message=None) for job in jobs
    ]
    for record, answer in zip(records, answers, strict=True):
        results.store_answer(record.task_id, "x", None, answer=answer.to_wire())
    store_finished(records[0].task_id, EXPIRED_S)
    broker_client().set(backend_of(app).get_key_for_task(records[1].task_id), damage)
    assert collected() == ([answers[0]], ["QUEUED", "SUCCEEDED"])
    assert f"{records[1]}: its state in Redis is none" in caplog.text
    # in no queue, it is old in the end, and has its answer
    broker_client().delete(records[1].queue)
    time.sleep(0.4)
    assert collected() == ([answers[1]], ["SUCCEEDED"])


@pytest.mark.usefixtures("lost_at_once")
def test_a_job_at_a_worker_is_not_lost(extraction: Extraction) -> None:
    record = submitted(extraction("1"), 1)
    # as a worker that took it and has not begun
    message = taken_from(record.queue)
    broker_client().hset("unacked.features", "tag", json.dumps([json.loads(message), "", ""]))
    try:
        time.sleep(0.4)
        assert collected() == ([], ["QUEUED"])
    finally:
        broker_client().delete("unacked.features")


def test_a_job_that_redis_forgot_is_answered_from_what_is_stored(
    extraction: Extraction, lost_at_once: None
) -> None:
    job = extraction("1")
    record = submitted(job, 1)
    broker_client().delete(record.queue)
    answer = JobReturnMsg(original_job=job, ok=True, results=[], error_message=None)
    results.store_answer(record.task_id, "spacer_tasks.process_job", None, answer=answer.to_wire())
    time.sleep(0.4)
    assert collected() == ([answer], ["SUCCEEDED"])


# the worker's clock may differ by a minute
@pytest.mark.parametrize("seconds_ago", [-50, 0, 110])
def test_an_answer_that_storage_does_not_show_yet_is_waited_for(
    extraction: Extraction, caplog: pytest.LogCaptureFixture, seconds_ago: float
) -> None:
    job = extraction("1")
    record = submitted(job, 1)
    store_finished(record.task_id, seconds_ago)
    assert collected() == ([], ["UNREADABLE"])
    assert "not to be seen yet" in caplog.text
    answer = JobReturnMsg(original_job=job, ok=True, results=[], error_message=None)
    results.store_answer(record.task_id, "spacer_tasks.process_job", None, answer=answer.to_wire())
    assert collected() == ([answer], ["SUCCEEDED"])


def test_an_answer_that_is_gone_comes_back_as_failed(extraction: Extraction) -> None:
    job = extraction("1")
    record = submitted(job, 1)
    store_finished(record.task_id, EXPIRED_S)
    ((answer,), statuses) = collected()
    assert statuses == ["EXPIRED"]
    assert answer.original_job == job
    assert (answer.error_message or "").startswith("spacer_tasks.exceptions.AnswerExpiredError: ")


def test_a_job_that_celery_ended_comes_back_as_failed(extraction: Extraction) -> None:
    killed, revoked = submitted(extraction("1"), 1), submitted(extraction("2"), 2)
    app.backend.store_result(killed.task_id, MemoryError("out of it\nall"), "FAILURE")
    app.backend.store_result(revoked.task_id, None, "REVOKED")
    answers, statuses = collected()
    assert statuses == ["FAILED", "FAILED"]
    assert [answer.error_message for answer in answers] == [
        "MemoryError: out of it all",
        "celery.exceptions.TaskRevokedError: the task was revoked",
    ]


def test_a_stored_error_comes_back_with_its_traceback_above(extraction: Extraction) -> None:
    job = extraction("1")
    record = submitted(job, 1)
    error = TaskError(kind="bug", type="builtins.KeyError", message="'a'", traceback="Trace:\n x\n")
    results.store_answer(record.task_id, "spacer_tasks.process_job", None, error=error)
    app.backend.store_result(record.task_id, KeyError("a"), "FAILURE")
    ((answer,), _) = collected()
    assert answer.original_job == job
    assert answer.error_message == "Trace:\n x\nKeyError: 'a'"


def test_a_large_job_goes_by_location_and_is_known_when_it_is_lost(
    extraction: Extraction, lost_at_once: None
) -> None:
    job = extraction("1")
    job["tasks"][0]["job_token"] = "x" * 100_000
    record = submitted(job, 1)
    assert json.loads(storage.load(results.message_location(record.task_id))) == job
    assert sum(map(len, broker_client().lrange(record.queue, 0, -1))) < 10_000
    broker_client().delete(record.queue)
    for _ in range(2):
        time.sleep(0.4)
        answers, _ = collected()
    assert answers[0].original_job == job


def test_answers_that_cannot_be_read_now_wait(
    extraction: Extraction,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    settings_changed: Callable[[], None],
) -> None:
    record = submitted(extraction("1"), 1)
    app.backend.store_result(record.task_id, {}, "SUCCESS")
    monkeypatch.setenv("SPACER_RESULTS_PREFIX", "s3://no-such-bucket/results")
    settings_changed()
    assert collected() == ([], ["UNREADABLE"])
    assert "no-such-bucket" in caplog.text
    assert len(CeleryQueue().get_collectable_jobs()) == 1


def test_of_two_collectors_one_gets_a_job(extraction: Extraction) -> None:
    job = extraction("1")
    record = submitted(job, 1)
    store_finished(record.task_id, EXPIRED_S)
    first, second = CeleryQueue(), CeleryQueue()
    both = first.get_collectable_jobs(), second.get_collectable_jobs()
    assert len(first.collect_jobs(both[0])[0]) == 1
    assert second.collect_jobs(both[1]) == ([], [])


def test_a_collected_job_can_be_handed_out_again_for_a_week(
    extraction: Extraction, monkeypatch: pytest.MonkeyPatch
) -> None:
    for job_id in (1, 2):
        record = submitted(extraction(str(job_id)), job_id)
        store_finished(record.task_id, EXPIRED_S)
        assert len(collected()[0]) == 1
    records = RedisRecords()
    assert [record.job_id for record in records.put_back([2, 9])] == [2]
    assert [answer.original_job["tasks"][0]["job_token"] for answer in collected()[0]] == ["2"]
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + KEEP_COLLECTED_S + 60)
    records.claim(["none"])
    assert broker_client().zcard(COLLECTED) == broker_client().hlen(RECORDS) == 0


def test_a_slice_costs_one_round_trip_and_its_finished_jobs_one_more(
    extraction: Extraction, proxied: DeafProxy
) -> None:
    job = extraction("1")
    for job_id in range(30):
        CeleryQueue().submit_job(job, job_id, "medium")
    jobs = CeleryQueue().get_collectable_jobs()
    before = proxied.asked
    assert CeleryQueue().collect_jobs(jobs) == ([], ["QUEUED"] * 30)
    assert proxied.asked == before + 1
    for record in jobs[:20]:
        answer = JobReturnMsg(original_job=job, ok=True, results=[], error_message=None)
        results.store_answer(record.task_id, "x", None, answer=answer.to_wire())
        store_finished(record.task_id, EXPIRED_S)
    before = proxied.asked
    assert len(CeleryQueue().collect_jobs(jobs)[0]) == 20
    assert proxied.asked == before + 2


def test_a_claim_whose_answer_does_not_come_is_asked_for_again_and_was_its_own(
    extraction: Extraction, proxied: DeafProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = submitted(extraction("1"), 1)
    store_finished(job.task_id, EXPIRED_S)
    # the connection stays, and nothing comes: it is given up after so many seconds
    monkeypatch.setattr(client, "TIMEOUT_S", 2)
    client._client.cache_clear()
    proxied.lost = 1
    answers, _ = CeleryQueue().collect_jobs(CeleryQueue().get_collectable_jobs())
    assert proxied.lost == 0
    assert len(answers) == 1
    assert collected() == ([], [])


def test_a_claim_of_which_redis_never_tells_is_taken_back(
    extraction: Extraction, proxied: DeafProxy
) -> None:
    record = submitted(extraction("1"), 1)
    store_finished(record.task_id, EXPIRED_S)
    jobs = CeleryQueue().get_collectable_jobs()
    proxied.lost, proxied.cuts = ALL, True
    assert CeleryQueue().collect_jobs(jobs) == ([], [])
    assert proxied.lost < ALL
    proxied.lost = 0
    # it was claimed, and nobody was given its answer
    assert len(collected()[0]) == 1
    assert collected() == ([], [])


def test_the_command_line_lists_what_waits_and_says_what_it_cannot_hand_out_again(
    extraction: Extraction,
) -> None:
    assert "No job waits" in CliRunner().invoke(program, ["jobs", "list"]).output
    waiting = submitted(extraction("1"), 1001, "high")
    finished = submitted(extraction("2"), 1002)
    store_finished(finished.task_id, EXPIRED_S)
    lines = [
        line.split() for line in CliRunner().invoke(program, ["jobs", "list"]).output.splitlines()
    ]
    assert lines[0] == ["1", "QUEUED,", "1", "SUCCEEDED"]
    shown = ["1001", "extract_features", "features.high", "QUEUED", "0", "min", waiting.task_id]
    assert lines[3] == shown
    again = CliRunner().invoke(program, ["jobs", "again", "7"])
    assert again.exit_code == 2
    assert "not among the jobs collected" in again.output


def test_a_send_that_fails_leaves_no_record(
    extraction: Extraction, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = extraction("1")
    job["tasks"][0]["job_token"] = "x" * 100_000
    monkeypatch.setattr(
        "spacer_tasks.coralnet.message_location",
        lambda _: DataLocation.parse("s3://no-such-bucket/a.json"),
    )
    with pytest.raises(Exception, match="no-such-bucket"):
        CeleryQueue().submit_job(job, 1, "medium")
    assert CeleryQueue().get_collectable_jobs() == []


@pytest.mark.parametrize("size", [1, 100_000])
def test_a_redis_that_went_away_before_the_send_is_not_asked_once_more(
    extraction: Extraction, proxied: DeafProxy, settings_env: dict[str, str], size: int
) -> None:
    job = extraction("1")
    job["tasks"][0]["job_token"] = "x" * size
    queue = CeleryQueue()
    assert queue.get_collectable_jobs() == []
    before = proxied.asked
    # the way of the task only, not that of the records
    send_through("redis://127.0.0.1:9/0")
    try:
        with pytest.raises(BrokerUnavailableError, match="the task was not sent"):
            queue.submit_job(job, 1, "medium")
        # a large job's record is saved before it is stored and after
        assert proxied.asked == before + (1 if size == 1 else 2)
        assert queue.get_collectable_jobs() == []
    finally:
        send_through(settings_env["SPACER_BROKER_URL"])


def test_with_redis_away_a_send_fails_and_a_collect_says_so(
    extraction: Extraction,
    monkeypatch: pytest.MonkeyPatch,
    settings_changed: Callable[[], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    record = submitted(extraction("1"), 1)
    monkeypatch.setenv("SPACER_BROKER_URL", "redis://127.0.0.1:9/0")
    settings_changed()
    with pytest.raises(BrokerUnavailableError, match="job 2 was not sent"):
        CeleryQueue().submit_job(extraction("2"), 2, "medium")
    with caplog.at_level(logging.ERROR):
        assert CeleryQueue().get_collectable_jobs() == []
        assert CeleryQueue().collect_jobs([record]) == ([], [])
    assert [r.levelname for r in caplog.records] == ["ERROR", "ERROR"]
    assert "Redis does not answer" in caplog.text
