"""Servers that several kinds of tests share: a real Redis and a real S3 server, started once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from spacer_tasks.demo.services import RedisServer, S3Server, redis_server, s3_server
from tests.servers import empty_queues, forget_settings, fresh_bucket, settings_in_environment


@pytest.fixture(scope="session")
def redis_process() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture(scope="session")
def redis_url(redis_process: RedisServer) -> str:
    """Redis, shared by the session: a test that counts keys takes a database of its own."""
    return redis_process.url


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture
def bucket(s3: S3Server) -> Iterator[str]:
    """An empty bucket for this test alone."""
    with fresh_bucket(s3) as name:
        yield name


@pytest.fixture
def settings_changed() -> Iterator[Callable[[], None]]:
    """Call it after changing the environment; what was read before is forgotten, also after."""
    forget_settings()
    yield forget_settings
    forget_settings()


@pytest.fixture
def settings_env(redis_url: str, s3: S3Server, bucket: str) -> Iterator[dict[str, str]]:
    """SPACER_* settings for these servers, in the environment."""
    with settings_in_environment(redis_url, s3, bucket) as env:
        yield env


@pytest.fixture
def queue(settings_env: dict[str, str]) -> Iterator[None]:
    """The Celery application of this process on these servers, with empty queues."""
    with empty_queues(settings_env["SPACER_BROKER_URL"]):
        yield
