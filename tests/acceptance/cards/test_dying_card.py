"""A card that dies while its worker computes, on simulated cards, seen from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from celery.result import AsyncResult

from spacer_tasks.app import app
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.demo.processes import process
from spacer_tasks.tasks import extract_features
from spacer_tasks.worker.watchdog import DEVICE
from tests.support.checkout import CHECKOUT
from tests.support.gate import Gate
from tests.support.simulated_cuda import FAULTS
from tests.support.waiting import until
from tests.support.workers import START_S, StartWorker, worker_starter

MAKE_WEIGHTS = CHECKOUT / "tests" / "fixtures" / "efficientnet" / "make_weights.py"
TASKS = 3


@pytest.fixture
def extractor(tmp_path: Path) -> dict[str, Any]:
    weights = tmp_path / "weights.pt"
    subprocess.run([sys.executable, MAKE_WEIGHTS, weights], check=True)
    return {
        "class_path": "efficientnet",
        "data_locations": {"weights": DataLocation.parse(str(weights)).model_dump()},
    }


@pytest.fixture
def env(tmp_path: Path, extractor: dict[str, Any], settings_env: dict[str, str]) -> dict[str, str]:
    """Of workers with simulated cards; a second start of a task would be one too many."""
    return {
        "PYTHONPATH": f"{CHECKOUT}:{CHECKOUT / 'tests' / 'support' / 'simulated_cards'}",
        FAULTS: str(tmp_path),
        "SPACER_WARM_EXTRACTOR": json.dumps(extractor),
        "SPACER_GPU_BATCH_PATCHES": "2",
        "SPACER_MAX_DELIVERIES": "1",
        "SPACER_WORKER_SILENT_S": "2",
        "OMP_NUM_THREADS": "1",
    }


@pytest.fixture
def start_worker(queue: None, tmp_path: Path) -> Iterator[StartWorker]:
    with ExitStack() as stack:
        yield worker_starter(stack, tmp_path / "logs")


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.close()


@pytest.fixture
def send(bucket: str, queue: None, extractor: dict[str, Any]) -> Callable[..., AsyncResult[Any]]:
    def sent(gate: Gate, number: int) -> AsyncResult[Any]:
        message = {
            "job_token": str(number),
            "extractor": extractor,
            "rowcols": [[1, 1], [5, 5], [9, 9]],
            "image_loc": DataLocation.parse(gate.url).model_dump(),
            "feature_loc": DataLocation.parse(f"s3://{bucket}/{number}.npz").model_dump(),
        }
        return extract_features.apply_async((message,))

    return sent


def test_a_card_that_dies_ends_its_worker_and_no_task_has_failed_or_counts(
    start_worker: StartWorker,
    env: dict[str, str],
    gate: Gate,
    send: Callable[..., AsyncResult[Any]],
    tmp_path: Path,
) -> None:
    worker = start_worker(
        "feature", f"--concurrency={TASKS}", SPACER_DEVICE="cuda", SIMULATED_CARDS="1", **env
    )
    results = [send(gate, number) for number in range(2 * TASKS)]
    until(lambda: gate.asked == TASKS, "each thread has a task")
    (tmp_path / "dead-0").touch()
    gate.open()
    assert worker.popen.wait(START_S) == DEVICE
    log = worker.log_path.read_text()
    assert "the GPU does not answer (CUDA error: device-side assert triggered)" in log
    assert f"{TASKS} task(s) are given back" in log
    assert not any(result.ready() for result in results)

    (tmp_path / "dead-0").unlink()
    start_worker(
        *("feature", f"--concurrency={TASKS}"),
        name="next",
        SPACER_DEVICE="cuda",
        SIMULATED_CARDS="1",
        **env,
    )
    for result in results:
        assert result.get(timeout=120)["summary"]


def test_one_card_of_two_that_dies_for_good_leaves_its_tasks_to_the_other(
    env: dict[str, str],
    gate: Gate,
    send: Callable[..., AsyncResult[Any]],
    tmp_path: Path,
) -> None:
    def answering() -> set[str]:
        return set(app.control.inspect(timeout=1).ping() or {})

    with process(
        [
            *(sys.executable, "-m", "workers.feature_worker", "--hostname=cards@test"),
            *("--gpus=all", "--concurrency=1"),
        ],
        env={**os.environ, **env, "SIMULATED_CARDS": "2"},
        cwd=CHECKOUT,
        log_path=tmp_path / "several.log",
        ready=lambda: len(answering()) == 2,
        ready_timeout_s=2 * START_S,
        stop_timeout_s=60,
    ) as several:
        results = [send(gate, number) for number in range(6)]
        until(lambda: gate.asked == 2, "each process has a task")
        (tmp_path / "dead-1").touch()
        gate.open()
        for result in results:
            assert result.get(timeout=120)["summary"]
        log = several.log_path
        until(
            lambda: log.read_text().count("gpu1 ended with code") > 1,
            "the dead card is tried again",
        )
        assert f"gpu1 ended with code {DEVICE}" in log.read_text()
        # its next processes see at their start that it is dead
        assert "that it cannot use" in log.read_text()
        assert answering() == {"cards-gpu0@test"}
        assert "gpu0 ended" not in log.read_text()

        # a card that is mended is taken up by the next start
        (tmp_path / "dead-1").unlink()
        until(lambda: len(answering()) == 2, "the card works again")
        several.popen.terminate()
        assert several.popen.wait(60) == 0
