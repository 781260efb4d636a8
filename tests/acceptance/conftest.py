"""Real worker processes, looked at only from outside."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from spacer_tasks.demo.services import S3Server
from tests.support.s3.buckets import fresh_bucket
from tests.support.sending import consumers, empty_queues
from tests.support.settings import settings_in_environment
from tests.support.waiting import wait_until
from tests.support.workers import StartWorker, worker_starter

#: seconds in which Redis notices that a process was killed, on a busy machine
GONE_S = 10


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
    """The Celery application of this process on these servers, with empty queues.

    A worker that a module before left running would take this module's messages.
    """
    url = settings_env["SPACER_BROKER_URL"]
    wait_until(lambda: not consumers(url), GONE_S, "a worker of a module before still takes tasks")
    with empty_queues(url):
        yield


@pytest.fixture(scope="module")
def start_worker(
    queue: None, settings_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StartWorker]:
    """Starts `python -m workers.<kind>_worker` and waits until it takes tasks."""
    with ExitStack() as stack:
        yield worker_starter(stack, tmp_path_factory.mktemp("workers"))
