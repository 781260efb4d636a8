"""`spacer_tasks.wait`: through restarts and wipes of Redis, to an answer or an error."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from celery.contrib.testing.worker import start_worker

from spacer_tasks import TaskState, results, retries, storage, wait
from spacer_tasks.app import app
from spacer_tasks.broker import refused
from spacer_tasks.broker.client import broker_client
from spacer_tasks.data_classes.job_state import JobState
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import (
    BrokerUnavailableError,
    JobLostError,
    RowColumnInvalidError,
)
from spacer_tasks.jobs.waiting import watched
from spacer_tasks.results import TaskError, store_answer
from spacer_tasks.tasks import extract_features
from tests.support.photos import photo
from tests.support.redis.durable import DurableRedis, durable_redis
from tests.support.sending import store_finished
from tests.support.waiting import until

ANSWER = {"extractor_loaded_remotely": False, "runtime": 1.0}
#: seconds; a wait that does not end fails its test
HANGS_S = 120
#: waits in a process of its own, whose Redis comes and goes; says what it sees
WAITER = """
import sys
from spacer_tasks import retries, wait

retries.WAIT_SEARCH_S, retries.REDIS_AWAY_S = 0.5, float(sys.argv[2])
said = set()

def progress(state):
    if state.state not in said:
        said.add(state.state)
        print(state.state, flush=True)

try:
    print(wait(sys.argv[1], on_progress=progress))
except Exception as error:
    print(f"{type(error).__name__}: {error}")
"""


@pytest.fixture
def impatient(queue: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches come soon, and what is nowhere is lost soon."""
    monkeypatch.setattr(retries, "WAIT_SEARCH_S", 0.3)
    monkeypatch.setattr(retries, "NOWHERE_S", 1.0)


@pytest.fixture
def worker(queue: None) -> Iterator[None]:
    with start_worker(app, pool="threads", concurrency=2, perform_ping_check=False):
        yield


def extraction(bucket: str, row: int = 1) -> dict[str, Any]:
    image = DataLocation.parse(f"s3://{bucket}/a.png")
    storage.store(image, photo("sand", 1))
    return {
        "job_token": "1",
        "extractor": {"class_path": "dummy", "feature_dim": 8},
        "rowcols": [[row, 1]],
        "image_loc": image.model_dump(),
        "feature_loc": DataLocation.parse(f"s3://{bucket}/a.npz").model_dump(),
    }


@pytest.mark.usefixtures("worker")
def test_the_whole_answer_comes_of_a_result_or_of_an_id(bucket: str) -> None:
    seen: list[TaskState] = []
    sent = extract_features.delay(extraction(bucket))
    answer = wait(sent, timeout=60, on_progress=seen.append)
    assert answer == results.load_answer(sent)
    assert seen[-1].state is JobState.SUCCEEDED
    assert wait(sent.id, timeout=60) == answer


@pytest.mark.usefixtures("worker")
def test_a_task_that_failed_raises_its_own_error(bucket: str) -> None:
    sent = extract_features.delay(extraction(bucket, row=4000))
    with pytest.raises(RowColumnInvalidError, match="4000"):
        wait(sent, timeout=60)


@pytest.mark.usefixtures("queue")
def test_an_answer_that_cannot_be_read_is_waited_for_no_longer_than_said() -> None:
    store_finished("not-seen", 0)
    with pytest.raises(TimeoutError, match="not-seen has finished, and its answer cannot be read"):
        wait("not-seen", timeout=1)


@pytest.mark.usefixtures("impatient")
def test_a_task_that_waits_is_not_lost(bucket: str) -> None:
    sent = extract_features.delay(extraction(bucket))
    with pytest.raises(TimeoutError, match=rf"after 3 s: {sent.id} \(UNKNOWN\) not finished"):
        wait(sent, timeout=3)


@pytest.mark.usefixtures("impatient")
def test_a_task_that_a_wiped_redis_had_answered_is_found_in_storage(bucket: str) -> None:
    sent = extract_features.delay(extraction(bucket))
    store_answer(sent.id, "spacer_tasks.extract_features", None, answer=ANSWER)
    app.control.purge()
    assert wait(sent, timeout=60) == ANSWER


@pytest.mark.usefixtures("impatient")
def test_a_failure_of_a_wiped_redis_is_found_in_storage() -> None:
    error = TaskError.of(RowColumnInvalidError("a: row 9 is outside"))
    store_answer("failed", "spacer_tasks.extract_features", None, error=error)
    with pytest.raises(RowColumnInvalidError, match="row 9"):
        wait("failed", timeout=60)


@pytest.mark.usefixtures("impatient")
def test_a_task_of_which_there_is_no_trace_is_lost(bucket: str) -> None:
    sent = extract_features.delay(extraction(bucket))
    app.control.purge()
    with pytest.raises(JobLostError, match=f"no trace of the task {sent.id}.*Send it again"):
        wait(sent)


@pytest.mark.usefixtures("impatient")
def test_a_task_whose_message_was_refused_ends_with_the_reason(bucket: str) -> None:
    sent = extract_features.delay(extraction(bucket))
    client: Any = broker_client()
    raw = client.rpop("features")
    entry = refused.entry_of(raw, refused.Reason.SIGNATURE, "signed by nobody", "features", "w", 1)
    client.lpush(refused.LIST, entry)
    ref = refused.ref_of(raw)
    with pytest.raises(JobLostError, match=f"signature: signed by nobody.*refused show {ref}"):
        wait(sent)
    client.delete(refused.LIST)


@pytest.mark.usefixtures("impatient")
def test_of_several_tasks_those_that_are_lost_end_and_others_are_waited_for(bucket: str) -> None:
    kept = extract_features.delay(extraction(bucket)).id
    last: dict[str, TaskState] = {}
    for states in watched(["gone", kept, "gone"]):
        last |= states
        if last["gone"].finished:
            break
    assert last["gone"].state is JobState.LOST
    assert last[kept].state is JobState.UNKNOWN


@pytest.mark.usefixtures("impatient")
def test_a_task_whose_batch_has_parts_in_a_queue_is_not_lost(bucket: str) -> None:
    extract_features.apply_async((extraction(bucket),), root_id="batch", parent_id="batch")
    with pytest.raises(TimeoutError):
        wait("batch", timeout=3)


@pytest.mark.usefixtures("impatient")
def test_nothing_is_lost_while_storage_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]
) -> None:
    monkeypatch.setenv("SPACER_S3_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("SPACER_S3_CONNECT_TIMEOUT_S", "1")
    settings_changed()
    with pytest.raises(TimeoutError):
        wait("gone", timeout=6)


def test_without_a_results_prefix_there_is_what_redis_knows(
    queue: None, monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]
) -> None:
    monkeypatch.setenv("SPACER_RESULTS_PREFIX", "")
    settings_changed()
    app.backend.store_result("small", {"summary": ANSWER}, "SUCCESS")
    assert wait("small", timeout=60) == ANSWER


# --- a Redis that is away ----------------------------------------------------------------------


@pytest.fixture
def own_redis(settings_env: dict[str, str], tmp_path: Path) -> Iterator[DurableRedis]:
    with durable_redis(tmp_path) as redis:
        yield redis


@contextmanager
def waiter(
    redis: DurableRedis, task_id: str, away_s: float
) -> Iterator[tuple[list[str], subprocess.Popen[str]]]:
    """A process that waits for a task, and the lines that it has said."""
    said: list[str] = []
    with subprocess.Popen(
        [sys.executable, "-c", WAITER, task_id, str(away_s)],
        env={**os.environ, "SPACER_BROKER_URL": redis.url},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as started:
        assert started.stdout is not None
        lines = started.stdout
        reader = threading.Thread(target=lambda: said.extend(map(str.strip, lines)))
        reader.start()
        try:
            yield said, started
            started.wait(HANGS_S)
        finally:
            started.kill()
            reader.join()


def test_a_redis_that_is_restarted_is_waited_for(own_redis: DurableRedis) -> None:
    with waiter(own_redis, "task", 600) as (said, _):
        until(lambda: "UNKNOWN" in said, "it did not ask Redis")
        own_redis.stop()
        until(lambda: any("waiting for it" in line for line in said), "it did not miss Redis")
        own_redis.start()
        until(lambda: any("answers again" in line for line in said), "it did not find Redis again")
        store_answer("task", "spacer_tasks.extract_features", None, answer=ANSWER)
    assert said[-1] == str(ANSWER)


def test_an_answer_is_found_while_redis_is_away(own_redis: DurableRedis) -> None:
    with waiter(own_redis, "task", 600) as (said, _):
        until(lambda: "UNKNOWN" in said, "it did not ask Redis")
        own_redis.stop()
        store_answer("task", "spacer_tasks.extract_features", None, answer=ANSWER)
    assert said[-1] == str(ANSWER)


def test_a_redis_that_stays_away_ends_the_wait(own_redis: DurableRedis) -> None:
    with waiter(own_redis, "task", 2) as (said, _):
        until(lambda: "UNKNOWN" in said, "it did not ask Redis")
        own_redis.stop()
    last = " ".join(said[said.index("UNKNOWN") :])
    assert f"{BrokerUnavailableError.__name__}: Redis has been away for" in last
    assert "task (UNKNOWN) not finished" in last
