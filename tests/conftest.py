"""Servers that several kinds of tests share: a real Redis and a real S3 server, started once."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest

from spacer_tasks.app import app
from spacer_tasks.config import get_settings
from spacer_tasks.demo.services import RedisServer, S3Server, redis_server, s3_server
from spacer_tasks.storage.s3 import forget_clients


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
    name = f"test-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(name)
    yield name
    client = s3.client()
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=name):
        for item in page.get("Contents", []):
            client.delete_object(Bucket=name, Key=item["Key"])
    client.delete_bucket(Bucket=name)


@pytest.fixture
def settings_changed() -> Iterator[Callable[[], None]]:
    """Call it after changing the environment; what was read before is forgotten, also after."""

    def forget() -> None:
        get_settings.cache_clear()
        forget_clients()

    forget()
    yield forget
    forget()


@pytest.fixture
def settings_env(
    settings_changed: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    redis_url: str,
    s3: S3Server,
    bucket: str,
) -> dict[str, str]:
    """SPACER_* settings for these servers, in the environment; also what child processes need."""
    env = {
        "SPACER_BROKER_URL": redis_url,
        "SPACER_S3_ENDPOINT_URL": s3.endpoint_url,
        "SPACER_AWS_ACCESS_KEY_ID": s3.access_key,
        "SPACER_AWS_SECRET_ACCESS_KEY": s3.secret_key,
        "SPACER_RESULTS_PREFIX": f"s3://{bucket}/results",
        # a proxy of the environment cannot reach servers of this machine
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    settings_changed()
    return env


@pytest.fixture
def queue(settings_env: dict[str, str]) -> Iterator[None]:
    """The Celery application of this process on these servers, with empty queues."""
    # a test before may have made the application read other settings
    url = settings_env["SPACER_BROKER_URL"]
    app.conf.update(broker_url=url, result_backend=url)
    app.__dict__.pop("backend", None)
    app._backend_cache = None
    app.control.purge()
    yield
    app.control.purge()
