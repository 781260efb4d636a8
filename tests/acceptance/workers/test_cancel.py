"""Trainings and batches that are cancelled, with real workers: nothing of them goes on."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spacer_tasks import storage
from spacer_tasks.app import app
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import TaskCancelledError
from spacer_tasks.execution.cancellation import cancel
from spacer_tasks.results import find_answer, load_answer
from spacer_tasks.tasks import extract_features, train_classifier
from spacer_tasks.workflows import train_many
from tests.support.checkout import CHECKOUT
from tests.support.messages.work import Work
from tests.support.photos import DUMMY, photo
from tests.support.waiting import wait_until
from tests.support.workers import StartWorker

#: epochs of a training that nobody could wait for
MANY = 100_000
WORKERS = ["trainer@test", "classify@test"]
PLUGINS = {"PYTHONPATH": f"{CHECKOUT}:{CHECKOUT / 'tests' / 'plugins'}"}


@pytest.fixture(scope="module", autouse=True)
def workers(start_worker: StartWorker) -> None:
    start_worker("trainer", "--concurrency=2", **PLUGINS)
    start_worker("classify", "--concurrency=1", **PLUGINS)


@pytest.fixture(scope="module")
def work(bucket: str, queue: None) -> Work:
    return Work(bucket)


@pytest.fixture
def epochs(tmp_path: Path) -> Callable[[], int]:
    """How many epochs trainings have begun so far."""
    (tmp_path / "starts").mkdir()
    (tmp_path / "starts-epochs").mkdir()
    return lambda: len(list((tmp_path / "starts-epochs").iterdir()))


def slow(work: Work, tmp_path: Path, name: str, epoch_s: float = 0.1) -> dict[str, Any]:
    """A training without end that notes its epochs."""
    _, message, _ = work.made("train", name)
    trainer = {"class_path": "faulty", "folder": str(tmp_path / "starts"), "epoch_s": epoch_s}
    return {**message, "nbr_epochs": MANY, "trainer": trainer}


def many(work: Work, tmp_path: Path, name: str, count: int) -> dict[str, Any]:
    _, message, _ = work.made("train_many", name)
    trainings = [slow(work, tmp_path, f"{name}-{number}") for number in range(count)]
    return {**message, "trainings": trainings}


def quiet(count: Callable[[], int]) -> bool:
    """Whether it stays as it is for seconds in which it would grow by tens."""
    before = count()
    time.sleep(3)
    return count() == before


def idle() -> bool:
    """Whether nothing waits, and nothing runs at any worker."""
    from spacer_tasks.broker.queue_depths import queue_depths

    active = app.control.inspect(timeout=60, destination=WORKERS).active() or {}
    waiting = any(depth.waiting for depth in queue_depths().values())
    return set(active) == set(WORKERS) and not any(active.values()) and not waiting


def test_celery_s_revoke_does_not_stop_a_training_that_runs(
    work: Work, tmp_path: Path, epochs: Callable[[], int]
) -> None:
    sent = train_classifier.delay(slow(work, tmp_path, "revoked"))
    wait_until(lambda: epochs() > 0, 120, "the training did not begin")
    sent.revoke()
    begun = epochs()
    wait_until(lambda: epochs() > begun + 20, 120, "the training stopped")
    # what this package offers does
    assert cancel(sent.id)
    wait_until(lambda: quiet(epochs), 120, "the training went on")


def test_a_training_that_runs_is_cancelled(
    work: Work, tmp_path: Path, epochs: Callable[[], int]
) -> None:
    sent = train_classifier.delay(slow(work, tmp_path, "running"))
    wait_until(lambda: epochs() > 2, 120, "the training did not begin")
    assert cancel(sent.id)
    with pytest.raises(TaskCancelledError, match=sent.id):
        sent.get(timeout=120)
    with pytest.raises(TaskCancelledError, match=sent.id):
        load_answer(sent.id)
    wait_until(idle, 120, "the training went on")
    assert quiet(epochs)
    assert sent.state == "FAILURE"
    # it was not there before, and is not now
    assert not storage.exists(DataLocation(**slow(work, tmp_path, "running")["model_loc"]))


def test_a_batch_is_cancelled_with_the_parts_that_run_and_those_that_wait(
    work: Work, tmp_path: Path, epochs: Callable[[], int]
) -> None:
    sent = train_many.delay(many(work, tmp_path, "batch", 6))
    starts = tmp_path / "starts"
    wait_until(lambda: len(list(starts.iterdir())) == 2, 120, "no two trainings began")
    ran = subprocess.run(
        [sys.executable, "-m", "spacer_tasks.cli", "cancel", sent.id],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, f"cancelled: {sent.id}\n")
    with pytest.raises(TaskCancelledError, match=sent.id):
        sent.get(timeout=120)
    wait_until(idle, 120, "parts of the batch went on")
    assert quiet(epochs)
    # two ran, four were never begun
    assert len(list(starts.iterdir())) == 2
    assert sent.state == "FAILURE"
    stored = find_answer(sent.id)
    assert stored is not None
    assert stored.error is not None
    assert stored.error.type.endswith("TaskCancelledError")


def test_a_task_that_waits_is_never_begun_though_workers_are_started_later(
    bucket: str, work: Work, start_worker: StartWorker
) -> None:
    image = DataLocation.parse(f"s3://{bucket}/cancelled.png")
    storage.store(image, photo("sand", 1))
    features = DataLocation.parse(f"s3://{bucket}/cancelled.npz")
    message = {
        "job_token": "1",
        "extractor": DUMMY.model_dump(),
        "rowcols": [[1, 1]],
        "image_loc": image.model_dump(),
        "feature_loc": features.model_dump(),
    }
    # no feature worker is there yet: a revoke would reach nobody
    sent = extract_features.delay(message)
    assert cancel(sent.id)
    with pytest.raises(TaskCancelledError):
        sent.get(timeout=120)
    start_worker("feature", "--concurrency=1")
    after = extract_features.delay({**message, "feature_loc": features.joined("b").model_dump()})
    after.get(timeout=120)
    assert not storage.exists(features)
    assert sent.state == "FAILURE"


def test_what_is_finished_stays(work: Work) -> None:
    task, message, sent = work.made("train", "finished")
    result = task.apply_async((message,), task_id=sent.task_id)
    summary = result.get(timeout=120)
    assert not cancel(result.id)
    assert load_answer(result.id)["acc"] == summary["summary"]["acc"]
    assert result.get(timeout=120) == summary
