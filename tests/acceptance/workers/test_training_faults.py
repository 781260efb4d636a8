"""Trainings whose worker is killed, or that are delivered twice: one at a time, and none from the
start again.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from celery.result import AsyncResult
from redis import Redis

from spacer_tasks import results, storage
from spacer_tasks.app import app
from spacer_tasks.classifiers import Classifier, load_classifier
from spacer_tasks.data_classes.features import ImageFeatures
from spacer_tasks.data_classes.labels import ImageLabels
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import ObjectNotFoundError, TaskAbandonedError, TaskTimeoutError
from spacer_tasks.execution import dead_letters
from spacer_tasks.messages.tasks import TrainingTaskLabels
from spacer_tasks.results import find_answer
from spacer_tasks.tasks import train_classifier
from spacer_tasks.worker.pools import POOLS, transport_options
from tests.support.checkout import CHECKOUT
from tests.support.redis.celery_parts import channel_of
from tests.support.waiting import wait_until
from tests.support.workers import StartWorker, worker_starter

ENV = {
    "PYTHONPATH": f"{CHECKOUT}:{CHECKOUT / 'tests' / 'plugins'}",
    # the defaults are 20 and 10
    "SPACER_WORKER_SILENT_S": "2",
    "SPACER_CHECKPOINT_EVERY_S": "0.000001",
}
EPOCHS, POINTS = 8, 60

Send = Callable[..., "AsyncResult[Any]"]


@pytest.fixture
def start_worker(queue: None, tmp_path: Path) -> Iterator[StartWorker]:
    """As for other tests, but a worker ends with its test."""
    with ExitStack() as stack:
        yield worker_starter(stack, tmp_path / "logs")


@pytest.fixture
def epochs(tmp_path: Path) -> Path:
    """A file for each epoch that was done."""
    (tmp_path / "starts").mkdir()
    folder = tmp_path / "starts-epochs"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def labels(bucket: str, settings_env: dict[str, str]) -> TrainingTaskLabels:
    """Two labels whose points lie apart, a little."""
    random = np.random.default_rng(0)
    sets = {}
    for name in ("train", "ref", "val"):
        location = DataLocation.parse(f"s3://{bucket}/features/{name}")
        classes = np.arange(POINTS) % 2
        vectors = (classes[:, None] + random.normal(0, 0.7, (POINTS, 8))).astype(np.float32)
        points = [(i, i) for i in range(POINTS)]
        storage.store(location, ImageFeatures.of_points(points, vectors).to_bytes())
        sets[name] = ImageLabels(
            {location: [(i, i, ("sand", "coral")[k]) for i, k in enumerate(classes)]}
        )
    return TrainingTaskLabels(**sets)


@pytest.fixture
def send(bucket: str, labels: TrainingTaskLabels, epochs: Path, tmp_path: Path) -> Send:
    """Send a training that misbehaves."""

    def sent(options: dict[str, Any], name: str = "model", **how: Any) -> AsyncResult[Any]:
        message = {
            "job_token": "1",
            "trainer": {"class_path": "faulty", "folder": str(tmp_path / "starts"), **options},
            "nbr_epochs": EPOCHS,
            "clf_type": "MLP",
            "labels": labels,
            "model_loc": DataLocation.parse(f"s3://{bucket}/{name}"),
            "valresult_loc": DataLocation.parse(f"s3://{bucket}/{name}.json"),
        }
        return train_classifier.apply_async((message,), **how)

    return sent


def done(epochs: Path) -> list[int]:
    """The epochs that were done, in their order."""
    files = sorted(epochs.iterdir(), key=lambda path: path.name.split("-")[1])
    return [int(path.name.split("-")[0]) for path in files]


def model(bucket: str, name: str) -> Classifier:
    return load_classifier(DataLocation.parse(f"s3://{bucket}/{name}"))


def same(one: Classifier, other: Classifier) -> bool:
    return all(
        np.array_equal(mine.weight, its.weight) and np.array_equal(mine.bias, its.bias)
        for mine, its in zip(one.layers, other.layers, strict=True)
    ) and np.array_equal(one.calibration_a, other.calibration_a)


def test_a_training_goes_on_at_another_worker_when_its_own_is_killed(
    start_worker: StartWorker, send: Send, epochs: Path, bucket: str
) -> None:
    first = start_worker("trainer", name="first", **ENV)
    sent = send({"fault": "sleep 600", "fault_epoch": 3}, "resumed")
    wait_until(lambda: done(epochs) == [1, 2, 3], 120, "three epochs were not done")
    first.popen.kill()
    start_worker("trainer", name="second", **ENV)
    sent.get(timeout=180)
    assert done(epochs) == list(range(1, EPOCHS + 1))
    # the same as one that nothing happens to
    send({}, "whole").get(timeout=180)
    assert same(model(bucket, "resumed"), model(bucket, "whole"))
    with pytest.raises(ObjectNotFoundError):
        storage.load(results.checkpoints_location(sent.id).joined("0.safetensors"))


def test_a_training_that_is_told_to_stop_goes_on_elsewhere_at_once(
    start_worker: StartWorker, send: Send, epochs: Path
) -> None:
    env = {**ENV, "SPACER_WORKER_SILENT_S": "600", "SPACER_STOP_GRACE_S": "1"}
    env["SPACER_MAX_DELIVERIES"] = "1"
    first = start_worker("trainer", name="first", **env)
    sent = send({"fault": "sleep 600", "fault_epoch": 3})
    wait_until(lambda: done(epochs) == [1, 2, 3], 120, "three epochs were not done")
    first.popen.send_signal(signal.SIGTERM)
    assert first.popen.wait(180) == 0
    start_worker("trainer", name="second", **env)
    sent.get(timeout=180)
    assert done(epochs) == list(range(1, EPOCHS + 1))


def test_a_training_that_is_delivered_twice_runs_once(
    start_worker: StartWorker, send: Send, epochs: Path
) -> None:
    start_worker("trainer", "--concurrency=2", name="pair", **ENV)
    sent = [send({"epoch_s": 0.7}, task_id="twice") for _ in range(2)]
    assert sent[0].get(timeout=180)
    # the second delivery looks again, and finds the answer
    wait_until(lambda: not _held(), 120, "a message is left")
    assert done(epochs) == list(range(1, EPOCHS + 1))


def _held() -> bool:
    with app.connection_for_write() as connection:
        client: Redis = channel_of(connection).client
        return bool(client.hlen("unacked.training") or client.llen("training"))


def test_a_training_that_kills_its_process_is_given_up(
    start_worker: StartWorker, send: Send, epochs: Path, tmp_path: Path, redis_url: str
) -> None:
    worker = start_worker("trainer", name="tough", **ENV)
    sent = send({"fault": "kill", "times": 9})
    with pytest.raises(TaskAbandonedError, match="begun 3 times"):
        sent.get(timeout=180)
    assert len(list((tmp_path / "starts").iterdir())) == 3
    (letter,) = dead_letters.listed(Redis.from_url(redis_url))
    assert "SIGKILL" in (letter.last_loss or "")
    assert worker.running


def test_a_training_that_comes_further_each_time_is_not_given_up(
    start_worker: StartWorker, send: Send, epochs: Path, tmp_path: Path
) -> None:
    start_worker("trainer", name="tough", **{**ENV, "SPACER_MAX_DELIVERIES": "2"})
    sent = send({"fault": "kill", "fault_every": 3})
    assert sent.get(timeout=180)
    assert done(epochs) == list(range(1, EPOCHS + 1))


def test_a_process_that_grew_too_large_is_replaced_after_its_training(
    start_worker: StartWorker, send: Send, epochs: Path
) -> None:
    # torch and scikit-learn take some 300 MB, "grow" takes 600 more
    env = {**ENV, "SPACER_MAX_MEMORY_BYTES": str(750 * 2**20)}
    worker = start_worker("trainer", "--concurrency=1", name="large", **env)
    assert send({}, "small").get(timeout=180)
    assert send({}, "small too").get(timeout=180)
    # a process that stays small stays
    (small,) = processes(epochs)
    assert send({"fault": "grow", "times": 9}, "large").get(timeout=180)
    assert processes(epochs) == [small]
    assert send({}, "after").get(timeout=180)
    assert processes(epochs)[0] == small
    assert len(processes(epochs)) == 2
    wait_until(lambda: not Path(f"/proc/{small}").exists(), 120, "the large process did not end")
    assert worker.running
    assert worker.pid not in processes(epochs)


def processes(epochs: Path) -> list[int]:
    """Those that did epochs, in the order of their first."""
    files = sorted(epochs.iterdir(), key=lambda path: path.name.split("-")[1])
    return list(dict.fromkeys(int(path.name.split("-")[2]) for path in files))


def test_a_process_past_its_time_limit_is_answered_under_the_prefix(
    start_worker: StartWorker, send: Send, epochs: Path
) -> None:
    start_worker("trainer", name="slow", **ENV)
    sent = send({"fault": "sleep 600", "fault_epoch": 1}, time_limit=2)
    with pytest.raises(TaskTimeoutError, match="longer than the time limit of 2 seconds"):
        sent.get(timeout=180)
    stored = find_answer(sent.id)
    assert stored is not None
    assert stored.error is not None
    # its process was replaced
    assert send({}, "after").get(timeout=180)


def test_each_pool_keeps_its_own_taken_messages_and_timeout() -> None:
    options = [transport_options(pool) for pool in POOLS.values()]
    for name in ("unacked_key", "unacked_index_key", "unacked_mutex_key"):
        assert len({each[name] for each in options}) == len(options)
    timeouts = {name: transport_options(pool)["visibility_timeout"] for name, pool in POOLS.items()}
    assert timeouts["training"] > timeouts["features"]
