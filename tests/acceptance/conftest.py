"""Real worker processes, looked at only from outside."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from spacer_tasks.app import app
from spacer_tasks.demo.processes import Process, process
from spacer_tasks.demo.services import S3Server
from tests.servers import empty_queues, fresh_bucket, settings_in_environment

CHECKOUT = Path(__file__).resolve().parents[2]
#: seconds for a worker process to be there: torch takes some to import on a busy machine
START_S = 90

StartWorker = Callable[..., Process]


@pytest.fixture(scope="module")
def bucket(s3: S3Server) -> Iterator[str]:
    """One bucket for a module: its workers are started once, which takes seconds each."""
    with fresh_bucket(s3) as name:
        yield name


@pytest.fixture(scope="module")
def settings_env(redis_url: str, s3: S3Server, bucket: str) -> Iterator[dict[str, str]]:
    """SPACER_* settings for these servers, in the environment."""
    with settings_in_environment(redis_url, s3, bucket) as env:
        yield env


@pytest.fixture(scope="module")
def queue(settings_env: dict[str, str]) -> Iterator[None]:
    """The Celery application of this process on these servers, with empty queues."""
    with empty_queues(settings_env["SPACER_BROKER_URL"]):
        yield


@pytest.fixture(scope="module")
def start_worker(
    queue: None, settings_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StartWorker]:
    """Starts `python -m workers.<kind>_worker` and waits until it takes tasks."""
    with ExitStack() as stack:
        yield worker_starter(stack, tmp_path_factory.mktemp("workers"))


def worker_starter(stack: ExitStack, logs: Path) -> StartWorker:
    """What starts workers that end with `stack`."""

    def start(kind: str, *arguments: str, name: str | None = None, **env: str) -> Process:
        name = name or kind
        command = [sys.executable, "-m", f"workers.{kind}_worker", *arguments]
        if "--hostname" not in " ".join(arguments):
            command.append(f"--hostname={name}@test")

        def ready() -> bool:
            return bool(app.control.ping(destination=[f"{name}@test"], timeout=0.5))

        return stack.enter_context(
            process(
                command,
                env={**os.environ, **env},
                cwd=CHECKOUT,
                log_path=logs / f"{name}.log",
                ready=ready,
                ready_timeout_s=START_S,
                name=name,
            )
        )

    return start


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Look again until it holds; a failure says what did not come."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError(f"after {seconds} s: {what}")
