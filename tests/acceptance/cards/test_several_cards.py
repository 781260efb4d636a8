"""`python -m workers.feature_worker --gpus`, on cards that are simulated, seen from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from celery.result import AsyncResult

from spacer_tasks.app import app
from spacer_tasks.broker.contract import Priority
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.demo.processes import Process, process
from spacer_tasks.tasks import extract_features
from tests.support.checkout import CHECKOUT
from tests.support.gate import Gate
from tests.support.redis.celery_parts import channel_of
from tests.support.simulated_cuda import FAULTS
from tests.support.waiting import until
from tests.support.workers import START_S, run_worker, worker_starter

CARDS = {
    "PYTHONPATH": f"{CHECKOUT}:{CHECKOUT / 'tests' / 'support' / 'simulated_cards'}",
    "SIMULATED_CARDS": "2",
    "SPACER_WORKER_SILENT_S": "2",
    "OMP_NUM_THREADS": "1",
}
StartSeveral = Callable[..., Process]


def pids() -> dict[str, int]:
    """Of the workers that answer, by their names."""
    answers = app.control.inspect(timeout=1).stats() or {}
    return {name: stats["pid"] for name, stats in answers.items()}


@pytest.fixture
def start_several(queue: None, tmp_path: Path) -> Iterator[StartSeveral]:
    with ExitStack() as stack:

        def start(*arguments: str, expected: int, **env: str) -> Process:
            return stack.enter_context(
                process(
                    [
                        *(sys.executable, "-m", "workers.feature_worker", "--hostname=cards@test"),
                        *arguments,
                    ],
                    env={**os.environ, **CARDS, **env},
                    cwd=CHECKOUT,
                    log_path=tmp_path / "several.log",
                    ready=lambda: len(pids()) == expected,
                    ready_timeout_s=2 * START_S,
                    stop_timeout_s=60,
                )
            )

        yield start


@pytest.fixture
def gates() -> Iterator[Callable[[], Gate]]:
    with ExitStack() as stack:

        def make() -> Gate:
            gate = Gate()
            stack.callback(gate.close)
            return gate

        yield make


@pytest.fixture
def send(bucket: str, queue: None) -> Callable[..., AsyncResult[Any]]:
    def sent(gate: Gate, number: int, priority: Priority = Priority.NORMAL) -> AsyncResult[Any]:
        message = {
            "job_token": "1",
            "extractor": {"class_path": "dummy", "feature_dim": 8},
            "rowcols": [[1, 1]],
            "image_loc": DataLocation.parse(gate.url).model_dump(),
            "feature_loc": DataLocation.parse(f"s3://{bucket}/{number}.npz").model_dump(),
        }
        return extract_features.apply_async((message,), priority=priority)

    return sent


def health() -> subprocess.CompletedProcess[str]:
    """The container's health check, in a container of the name `test`."""
    code = (
        "import runpy, socket; socket.gethostname = lambda: 'test';"
        "runpy.run_path('deploy/healthcheck.py', run_name='__main__')"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ.copy(),
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def waiting() -> int:
    """Messages that no worker has taken, of every priority."""
    with app.connection_for_write() as connection:
        client = channel_of(connection).client
        return sum(client.llen(key) for key in client.keys("features*"))


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_priorities_prefetch_and_the_stop_grace_hold_across_its_processes(
    start_several: StartSeveral,
    gates: Callable[[], Gate],
    send: Callable[..., AsyncResult[Any]],
    tmp_path: Path,
) -> None:
    several = start_several(
        *("--gpus=all", "--processes-per-gpu=2", "--concurrency=1"),
        expected=4,
        SPACER_STOP_GRACE_S="2",
    )
    found = pids()
    assert sorted(found) == [f"cards-gpu{card}-{each}@test" for card in (0, 1) for each in (0, 1)]
    log = several.log_path.read_text()
    assert [log.count(f"networks run on cuda:{card}") for card in (0, 1, 2)] == [2, 2, 0]
    assert "gpu1-0]" in log

    first, normal, bulk = gates(), gates(), gates()
    results = [send(first, number) for number in range(4)]
    until(lambda: first.asked == 4, "each process has a task")
    results += [send(bulk, 10 + number, Priority.BULK) for number in range(6)]
    results += [send(normal, 20 + number) for number in range(4)]
    # one task in each process, none beside it
    assert waiting() == 10
    first.open()
    until(lambda: normal.asked == 4, "those that somebody waits for are begun")
    assert bulk.asked == 0
    assert waiting() == 6

    several.popen.terminate()
    # what they have in hand does not end: they give it back
    assert several.popen.wait(60) == 0
    assert all(is_gone(pid) for pid in found.values())
    assert waiting() == 10
    assert bulk.asked == 0

    normal.open()
    bulk.open()
    with ExitStack() as stack:
        worker_starter(stack, tmp_path / "one")("feature", **CARDS)
        for result in results:
            assert result.get(timeout=120)["summary"]


def test_one_that_is_killed_is_started_again_and_the_health_check_names_it_meanwhile(
    start_several: StartSeveral,
    gates: Callable[[], Gate],
    send: Callable[..., AsyncResult[Any]],
) -> None:
    several = start_several("--gpus=1,0", "--concurrency=1", expected=2)
    before = pids()
    assert health().returncode == 0
    gate = gates()
    results = [send(gate, number) for number in range(2)]
    until(lambda: gate.asked == 2, "each process has a task")

    os.kill(before["cards-gpu1@test"], signal.SIGSTOP)
    sick = health()
    assert sick.returncode == 1
    assert "cards-gpu1@test did not answer within 5 s, of 2 started together" in sick.stderr
    os.kill(before["cards-gpu1@test"], signal.SIGKILL)
    until(lambda: len(pids()) == 2 and pids() != before, "it is started again")
    after = pids()
    assert after["cards-gpu0@test"] == before["cards-gpu0@test"]
    assert health().returncode == 0
    gate.open()
    for result in results:
        assert result.get(timeout=120)["summary"]

    # nothing stays when the supervisor itself is killed
    several.popen.kill()
    until(lambda: all(map(is_gone, after.values())), "the workers end too")


@pytest.mark.parametrize(
    ("arguments", "env", "text"),
    [
        (("--gpus=all", "--concurrency=many"), {}, "ConfigError: "),
        (("--gpus=2",), {}, "--gpus names device 2, but torch finds 2"),
        ((), {"SPACER_DEVICE": "cuda:2"}, "SPACER_DEVICE is cuda:2, but torch finds 2 CUDA dev"),
        ((), {"SPACER_DEVICE": "cuda:-1"}, "SPACER_DEVICE (from the environment)"),
        (
            (),
            {"SPACER_DEVICE": "cuda:1", FAULTS: "{folder}"},
            "SPACER_DEVICE is cuda:1, and torch finds a CUDA device that it cannot use",
        ),
    ],
)
def test_a_device_that_there_is_not_ends_the_worker_at_start_with_one_line(
    arguments: tuple[str, ...],
    env: dict[str, str],
    text: str,
    settings_env: dict[str, str],
    tmp_path: Path,
) -> None:
    (tmp_path / "dead-1").touch()
    env = {name: value.format(folder=tmp_path) for name, value in env.items()}
    ended = run_worker("workers.feature_worker", {**CARDS, **env}, *arguments)
    assert ended.returncode == 1
    assert text in ended.stderr
    assert ended.stderr.count("\n") == 1
