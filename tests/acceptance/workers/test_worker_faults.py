"""Feature workers that are killed, told to stop, hang or grow: every task is answered, once."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from celery.result import AsyncResult

from spacer_tasks import storage
from spacer_tasks.app import app
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.demo.processes import Process, ServiceError
from spacer_tasks.exceptions import TaskAbandonedError, TaskTimeoutError
from spacer_tasks.execution import dead_letters
from spacer_tasks.results import load_answer
from spacer_tasks.tasks import extract_features
from tests.support.checkout import CHECKOUT
from tests.support.photos import photo
from tests.support.redis.celery_parts import channel_of
from tests.support.waiting import wait_until
from tests.support.workers import StartWorker, worker_starter

#: a worker of these tests counts as silent after this; the default is 20
SILENT_S = "2"
FAULTY = {
    "PYTHONPATH": f"{CHECKOUT}:{CHECKOUT / 'tests' / 'plugins'}",
    "SPACER_WORKER_SILENT_S": SILENT_S,
}

Send = Callable[..., "AsyncResult[Any]"]


@pytest.fixture
def start_worker(queue: None, tmp_path: Path) -> Iterator[StartWorker]:
    """As for other tests, but a worker ends with its test."""
    with ExitStack() as stack:
        yield worker_starter(stack, tmp_path / "logs")


@pytest.fixture
def send(bucket: str, queue: None, starts: Path) -> Send:
    """Send an extraction that misbehaves in its first `times` starts."""
    app.control.purge()
    image = DataLocation.parse(f"s3://{bucket}/a.png")
    storage.store(image, photo("sand", 1))

    def sent(fault: str, times: int = 1, **options: Any) -> AsyncResult[Any]:
        message = {
            "job_token": "1",
            "extractor": {
                "class_path": "faulty",
                "fault": fault,
                "times": times,
                "folder": str(starts),
            },
            "rowcols": [[1, 1]],
            "image_loc": image.model_dump(),
            "feature_loc": DataLocation.parse(f"s3://{bucket}/{fault}.npz").model_dump(),
        }
        return extract_features.apply_async((message,), **options)

    return sent


def begun(starts: Path, count: int) -> Callable[[], bool]:
    return lambda: len(list(starts.iterdir())) == count


def test_the_tasks_of_a_killed_worker_run_again_soon(
    start_worker: StartWorker, send: Send, starts: Path
) -> None:
    worker = start_worker("feature", "--concurrency=2", name="killed", **FAULTY)
    sent = [send("sleep 600", times=2) for _ in range(3)]
    wait_until(begun(starts, 2), 120, "two tasks did not begin")
    worker.popen.kill()
    start_worker("feature", "--concurrency=1", name="heir", **FAULTY)
    for each in sent:
        assert each.get(timeout=180)["summary"]["runtime"] < 600
    # the third had not begun
    assert begun(starts, 5)()


def test_what_a_stopped_worker_cannot_finish_is_given_back_at_once_and_not_held_against_it(
    start_worker: StartWorker, send: Send, starts: Path
) -> None:
    # nobody is found silent in this time: the worker itself gives back
    env = {**FAULTY, "SPACER_WORKER_SILENT_S": "600", "SPACER_STOP_GRACE_S": "1"}
    worker = start_worker("feature", "--concurrency=1", name="stopped", **env)
    sent = send("sleep 600")
    wait_until(begun(starts, 1), 120, "the task did not begin")
    worker.popen.send_signal(signal.SIGTERM)
    assert worker.popen.wait(180) == 0
    # one start is allowed
    start_worker("feature", "--concurrency=1", name="next", **{**env, "SPACER_MAX_DELIVERIES": "1"})
    assert sent.get(timeout=180)["summary"]["runtime"] < 600


def test_a_task_that_kills_its_worker_is_given_up_and_can_be_sent_again(
    start_worker: StartWorker, send: Send, starts: Path
) -> None:
    # once each, where three times is the default
    env = {**FAULTY, "SPACER_MAX_DELIVERIES": "1"}
    victim = start_worker("feature", "--concurrency=1", name="victim", **env)
    # once it was seen to be ready: a start that ends in a kill is a failure of the test
    sent = send("kill", times=1)
    assert victim.popen.wait(180) == -signal.SIGKILL
    start_worker("feature", "--concurrency=1", name="survivor", **env)
    with pytest.raises(TaskAbandonedError, match="begun 1 time "):
        sent.get(timeout=180)
    assert begun(starts, 1)()
    with app.connection_for_write() as connection:
        dead_letters.send_again(channel_of(connection).client, sent.id)
    assert app.AsyncResult(sent.id).get(timeout=180)["summary"]["runtime"] > 0


def test_a_task_that_kills_its_worker_does_not_take_its_neighbour_with_it(
    start_worker: StartWorker, send: Send, starts: Path
) -> None:
    # both are begun when the first one strikes
    killer, neighbour = send("kill 1", times=99), send("sleep 3", times=99)

    def over(worker: Process) -> bool:
        return worker.popen.poll() is not None or (killer.ready() and neighbour.ready())

    for number in range(6):
        try:
            worker = start_worker("feature", "--concurrency=2", name=f"shared-{number}", **FAULTY)
        except ServiceError:
            # it was killed before anybody saw that it was ready
            continue
        wait_until(
            partial(over, worker),
            180,
            "the tasks neither ended nor killed their worker",
        )
        if worker.popen.poll() is None:
            break
    assert neighbour.get(timeout=1)["summary"]["runtime"] > 0
    with pytest.raises(TaskAbandonedError, match="begun 3 times"):
        killer.get(timeout=1)
    # twice beside each other, and once without the other
    assert begun(starts, 6)()


def test_a_hung_thread_is_answered_and_its_worker_ends(
    start_worker: StartWorker, send: Send, starts: Path
) -> None:
    env = {**FAULTY, "SPACER_WORKER_SILENT_S": "600"}
    worker = start_worker("feature", "--concurrency=2", name="hung", **env)
    # the first one takes longest on a busy machine
    assert send("none").get(timeout=180)
    # of a message; SPACER_FEATURE_TIME_LIMIT_S is for those that say nothing
    hung = send("sleep 600", times=2, time_limit=3)
    wait_until(begun(starts, 2), 120, "the task did not begin")
    other = send("sleep 600", times=3)
    wait_until(begun(starts, 3), 120, "the other task did not begin")
    assert worker.popen.wait(180) == 70
    start_worker("feature", "--concurrency=2", name="after", **env)
    with pytest.raises(TaskTimeoutError, match="longer than the time limit of 3 seconds"):
        hung.get(timeout=180)
    assert other.get(timeout=180)


def test_a_worker_whose_gpu_is_lost_ends_and_nothing_is_held_against_its_tasks(
    start_worker: StartWorker, send: Send, starts: Path
) -> None:
    # one start is allowed, and nobody is found silent in this time
    env = {**FAULTY, "SPACER_WORKER_SILENT_S": "600", "SPACER_MAX_DELIVERIES": "1"}
    worker = start_worker("feature", "--concurrency=2", name="lost", **env)
    sent = [send("lose", times=2) for _ in range(4)]
    assert worker.popen.wait(180) == 69
    # those that ran wait for the end: they take no other task, and answer none
    assert begun(starts, 2)()
    start_worker("feature", "--concurrency=2", name="next", **env)
    for each in sent:
        assert each.get(timeout=180)["summary"]["runtime"] >= 0


def test_a_worker_that_grew_too_large_ends_after_its_tasks(
    start_worker: StartWorker, send: Send, starts: Path
) -> None:
    env = {**FAULTY, "SPACER_MAX_MEMORY_BYTES": str(900 * 2**20)}
    worker = start_worker("feature", "--concurrency=2", name="large", **env)
    long = send("sleep 5")
    wait_until(begun(starts, 1), 120, "the task did not begin")
    large = send("grow", times=2)
    assert worker.popen.wait(180) == 75
    # both were finished first
    for each in (long, large):
        assert load_answer(each.id)["runtime"]
    assert begun(starts, 2)()
