"""`spacer-tasks jobs show`: the story of tasks of real workers, in every state that these bring."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from spacer_tasks import storage
from spacer_tasks.app import app
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.execution.cancellation import cancel
from spacer_tasks.tasks import extract_features, process_job, train_classifier
from spacer_tasks.workflows import train_many
from tests.soak.work import Work
from tests.support.checkout import CHECKOUT
from tests.support.photos import DUMMY
from tests.support.survey import Ran, run
from tests.support.waiting import wait_until
from tests.support.workers import StartWorker

#: epochs of a training that nobody could wait for
MANY = 100_000
FAULTY = {
    "PYTHONPATH": f"{CHECKOUT}:{CHECKOUT / 'tests' / 'plugins'}",
    # a worker counts as silent after this; the default is 20
    "SPACER_WORKER_SILENT_S": "4",
}
#: seconds; on a busy machine a worker's process takes its time
PATIENCE_S = 90


@pytest.fixture(scope="module", autouse=True)
def workers(start_worker: StartWorker) -> None:
    start_worker("trainer", "--concurrency=2", **FAULTY)
    start_worker("classify", "--concurrency=2", **FAULTY)


@pytest.fixture(scope="module")
def work(bucket: str, queue: None) -> Work:
    return Work(bucket)


def command(*arguments: str, **env: str) -> Ran:
    """The command in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "spacer_tasks.cli", "jobs", "show", *arguments],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def story(task_id: str) -> dict[str, Any]:
    """What is told, as JSON."""
    ran = run("jobs", "show", task_id, "--json")
    assert ran.code == 0, ran.err
    found: dict[str, Any] = json.loads(ran.out)
    return found


def screen(task_id: str) -> dict[str, str]:
    """What is told, as lines: name and text."""
    ran = run("jobs", "show", task_id)
    assert ran.code == 0, ran.err
    lines = ran.out.splitlines()
    # of a terminal
    assert len(lines) <= 24
    width = lines[0].index(task_id)
    return {line[:width].strip(): line[width:] for line in lines}


def told(task_id: str, state: str) -> dict[str, Any]:
    """The story once it is in this state."""
    found: dict[str, Any] = {}

    def reached() -> bool:
        found.update(story(task_id))
        return bool(found["state"] == state)

    wait_until(reached, PATIENCE_S, f"{task_id} did not come to {state}")
    return story(task_id)


def extraction(bucket: str, name: str) -> dict[str, Any]:
    return {
        "job_token": name,
        "extractor": DUMMY.model_dump(),
        "rowcols": [[1, 1]],
        "image_loc": DataLocation.parse(f"s3://{bucket}/none.png").model_dump(),
        "feature_loc": DataLocation.parse(f"s3://{bucket}/{name}.npz").model_dump(),
    }


@pytest.fixture
def training(work: Work, tmp_path: Path) -> dict[str, Any]:
    """A training without end."""
    (tmp_path / "starts").mkdir()
    (tmp_path / "starts-epochs").mkdir()
    _, message, _ = work.made("train", tmp_path.name)
    trainer = {"class_path": "faulty", "folder": str(tmp_path / "starts"), "epoch_s": 0.1}
    return {**message, "nbr_epochs": MANY, "trainer": trainer}


def test_a_task_waits_behind_others_and_for_a_worker(bucket: str, settings_env: Any) -> None:
    # there is no feature worker
    first = extract_features.delay(extraction(bucket, "first"))
    bulk = extract_features.apply_async((extraction(bucket, "bulk"),), priority=6)
    later = extract_features.delay(extraction(bucket, "later"))
    for sent, ahead in ((first, 0), (later, 1), (bulk, 2)):
        found = story(sent.id)
        assert (found["state"], found["queue"]) == ("QUEUED", "features")
        assert found["waiting"]["ahead"] == ahead
    assert story(bulk.id)["waiting"]["priority"] == 6
    shown = screen(bulk.id)
    assert shown["state"] == "QUEUED: waits in its queue"
    assert shown["what"] == "spacer_tasks.extract_features"
    assert shown["waits"].startswith("2 tasks of its queue before it, priority BULK; 0 workers")
    assert "spacer-tasks worker features" in shown["next"]
    assert " ago)" in shown["sent"]
    app.control.purge()
    # nothing in Redis tells that it was ever there
    assert run("jobs", "show", bulk.id).code == 1


def test_a_training_that_runs_is_at_its_worker_until_it_is_cancelled(
    training: dict[str, Any],
) -> None:
    sent = train_classifier.delay(training)
    told(sent.id, "RUNNING")
    wait_until(lambda: "progress" in screen(sent.id), PATIENCE_S, "it told no progress")
    found = story(sent.id)
    assert found["lock"]["worker"] == found["taken"]["worker"] == found["starts"][0]["worker"]
    assert 0 < found["lock"]["lapses_in_s"] <= 4
    assert found["taken"]["since"] <= found["starts"][0]["at"]
    assert found["workers"] == 1
    shown = screen(sent.id)
    assert shown["held"].endswith("1 worker of its pool alive")
    assert shown["progress"].startswith("training, ")
    assert f"spacer-tasks cancel {sent.id}" in shown["next"]

    assert cancel(sent.id)
    found = story(sent.id)
    assert found["state"] == "CANCELLED"
    assert "cancelled_at" in found
    assert found["error"]["type"].endswith("TaskCancelledError")
    shown = screen(sent.id)
    assert "a caller cancelled it" in shown["state"]
    assert "(input)" in shown["error"]
    wait_until(lambda: "taken" not in story(sent.id), PATIENCE_S, "its worker went on")


def test_answers_good_and_bad(bucket: str, work: Work) -> None:
    task, message, sent = work.made("classify", "good")
    task.apply_async((message,), task_id=sent.task_id)
    found = told(sent.task_id, "SUCCEEDED")
    assert found["task"] == "spacer_tasks.classify_features"
    assert found["answer"]["worker"] == "classify@test"
    assert found["answer"]["summary"]["scores_count"] > 0
    shown = screen(sent.task_id)
    assert shown["answer"].startswith(f"s3://{bucket}/results/answers/{sent.task_id}.json, stored ")
    assert shown["next"] == "nothing"

    lost = {**message, "feature_loc": DataLocation.parse(f"s3://{bucket}/none.npz").model_dump()}
    failed = task.delay(lost)
    found = told(failed.id, "FAILED")
    assert found["error"]["kind"] == "input"
    assert "correct what the error names" in found["next"]
    assert "none.npz" in screen(failed.id)["error"]

    job = process_job.delay({"task_name": "classify_features", "tasks": [lost]})
    found = told(job.id, "NOT_OK")
    assert found["answer"]["summary"]["ok"] is False
    assert "none.npz" in found["answer"]["summary"]["error_message"]


def test_a_transient_error_is_tried_again(bucket: str, work: Work) -> None:
    task, message, _ = work.made("classify", "away")
    away = {"storage_type": "url", "key": "http://127.0.0.1:9/features.npz"}
    sent = task.delay({**message, "feature_loc": away})
    found = told(sent.id, "RETRYING")
    assert found["tries"]["number"] > 1
    assert found["tries"]["allowed"] == 7
    assert found["tries"]["not_before"]
    # what the last try met
    assert found["error"]["kind"] == "transient"
    assert "127.0.0.1:9" in found["error"]["message"]
    assert "wait for the next try" in found["next"]
    assert " of 7, not before " in screen(sent.id)["try"]
    cancel(sent.id)
    # its message still waits for its time
    found = story(sent.id)
    assert (found["state"], found["answer"]["stored"]) == ("CANCELLED", True)


def test_a_task_that_ends_its_workers_is_a_dead_letter(
    training: dict[str, Any],
) -> None:
    training["trainer"].update(fault="kill", times=99)
    sent = train_classifier.delay(training)
    found = told(sent.id, "ABANDONED")
    assert found["given_up"]["starts"] == 3
    assert "signal 9" in found["last_loss"]
    assert found["error"]["kind"] == "bug"
    shown = screen(sent.id)
    assert shown["dead letter"].endswith("after 3 starts")
    assert f"spacer-tasks dead retry {sent.id}" in shown["next"]
    # once dropped, the answer is what is left
    subprocess.run(
        [sys.executable, "-m", "spacer_tasks.cli", "dead", "drop", sent.id],
        check=True,
        capture_output=True,
    )
    found = story(sent.id)
    assert found["state"] == "ABANDONED"
    assert "given_up" not in found


def test_a_batch_counts_its_parts_and_a_part_knows_its_batch(
    work: Work, training: dict[str, Any], bucket: str
) -> None:
    _, message, _ = work.made("train_many", "batch")
    quick = message["trainings"][0]
    # this one fails: no features
    lost = json.loads(json.dumps(quick).replace(".npz", ".none"))
    sent = train_many.delay({**message, "trainings": [quick, lost, training]})
    wait_until(
        lambda: [part["done"] for part in story(sent.id)["parts"]] == [2],
        PATIENCE_S,
        "two parts did not end",
    )
    found = story(sent.id)
    assert found["state"] == "RUNNING"
    assert found["parts"] == [{"stage": "train", "done": 2, "failed": 1, "total": 3}]
    assert screen(sent.id)["parts: train"] == "2 of 3 done, 1 failed"

    part = story(f"{sent.id}.train_candidate.2")
    assert (part["state"], part["part_of"]) == ("RUNNING", sent.id)
    failed = story(f"{sent.id}.train_candidate.1")
    assert (failed["state"], failed["error"]["kind"]) == ("FAILED", "input")

    cancel(sent.id)
    assert story(sent.id)["state"] == "CANCELLED"


def test_what_redis_forgot_is_told_from_the_results_prefix(
    work: Work, bucket: str, redis_url: str
) -> None:
    task, message, sent = work.made("classify", "kept")
    task.apply_async((message,), task_id=sent.task_id).get(timeout=PATIENCE_S)
    wiped = command(sent.task_id, SPACER_BROKER_URL=redis_url.removesuffix("/0") + "/9")
    assert (wiped.code, wiped.err) == (0, "")
    assert "SUCCEEDED: has its answer" in wiped.out
    assert "spacer_tasks.classify_features" in wiped.out
    # nobody is there
    away = {"SPACER_BROKER_URL": "redis://127.0.0.1:9/0"}
    ran = command(sent.task_id, **away)
    assert ran.code == 0
    assert "does not answer" in ran.err
    assert "SUCCEEDED" in ran.out
    ran = command("nobody", **away)
    assert ran.code == 2
    assert "does not answer" in ran.err


def test_what_was_sent_over_64_kib_and_is_nowhere_is_missing(
    bucket: str, settings_env: Any
) -> None:
    large = {**extraction(bucket, "large"), "job_token": "x" * 70_000}
    sent = extract_features.delay(large)
    assert story(sent.id)["state"] == "QUEUED"
    app.control.purge()
    found = story(sent.id)
    assert found["state"] == "MISSING"
    assert "send it again" in found["next"]
    storage.delete(DataLocation.parse(f"s3://{bucket}/results/messages/{sent.id}.json"))
    assert run("jobs", "show", sent.id).code == 1


def test_nobody_knows_an_id(bucket: str, settings_env: Any) -> None:
    ran = command("5f1c-typed-wrongly")
    assert ran.code == 1
    assert ran.out == ""
    (line,) = ran.err.splitlines()
    assert line.startswith("error: nobody knows the task 5f1c-typed-wrongly: Redis has no trace")
    assert f"no answer at s3://{bucket}/results/answers/5f1c-typed-wrongly.json" in line
    ran = command("5f1c-typed-wrongly", "--json")
    assert ran.code == 1
    assert json.loads(ran.out)["state"] == "UNKNOWN"
