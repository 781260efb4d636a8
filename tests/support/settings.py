"""What the fixtures of every scope are made from."""

from __future__ import annotations

import gc
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pytest
from kombu import pools

from spacer_tasks.app import app
from spacer_tasks.broker.sentinel import sentinel_options
from spacer_tasks.config.settings import get_settings
from spacer_tasks.demo.services import S3Server
from spacer_tasks.storage.s3 import forget_clients
from tests.support.redis.celery_parts import backend_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef


@lru_cache(maxsize=1)
def _client(s3: S3Server) -> S3Client:
    # making one takes longer than most tests
    return s3.client()


@contextmanager
def fresh_bucket(s3: S3Server) -> Iterator[str]:
    """An empty bucket, removed with its content at the end."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    client = _client(s3)
    client.create_bucket(Bucket=name)
    yield name
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=name):
        keys: list[ObjectIdentifierTypeDef] = [
            {"Key": item["Key"]} for item in page.get("Contents", [])
        ]
        if keys:
            client.delete_objects(Bucket=name, Delete={"Objects": keys})
    client.delete_bucket(Bucket=name)


def forget_settings() -> None:
    """What was read from the environment before is read again."""
    get_settings.cache_clear()
    forget_clients()


@contextmanager
def settings_in_environment(redis_url: str, s3: S3Server, bucket: str) -> Iterator[dict[str, str]]:
    """SPACER_* settings for these servers, in the environment; also what child processes need."""
    env = {
        "SPACER_BROKER_URL": redis_url,
        "SPACER_S3_ENDPOINT_URL": s3.endpoint_url,
        "SPACER_AWS_ACCESS_KEY_ID": s3.access_key,
        "SPACER_AWS_SECRET_ACCESS_KEY": s3.secret_key,
        "SPACER_RESULTS_PREFIX": f"s3://{bucket}/results",
        # of web sites of the tests, on this machine
        "SPACER_ALLOWED_URLS": "public 127.0.0.1",
        # a proxy of the environment cannot reach servers of this machine
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        forget_settings()
        yield env
    forget_settings()


def send_through(redis_url: str) -> None:
    """The Celery application of this process sends there, and asks there for results."""
    # a test before may have made the application read other settings
    app.conf.update(broker_url=redis_url, result_backend=redis_url)
    app.__dict__.pop("backend", None)
    inside: Any = app
    inside._backend_cache = None
    inside._local.__dict__.pop("backend", None)
    # and may have left connections to its own Redis
    pools.reset()
    inside._pool = None
    inside.amqp._producer_pool = None
    # it keeps a pool of its own
    app.__dict__.pop("control", None)


@contextmanager
def sentinel_in_use() -> Iterator[None]:
    """This process's Celery application asks the Sentinels of the settings for the primary."""
    options = sentinel_options(get_settings(), 0.8)
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in ("broker_transport_options", "result_backend_transport_options"):
            monkeypatch.setitem(app.conf, name, {**app.conf[name], **options})
        yield


@contextmanager
def empty_queues(redis_url: str) -> Iterator[None]:
    """The Celery application of this process on this Redis, with nothing waiting."""
    send_through(redis_url)
    app.control.purge()
    yield
    # results that nobody holds any more tell Redis so when they go: while it is there
    gc.collect()
    app.control.purge()


def store_finished(task_id: str, seconds_ago: float) -> None:
    """As a worker that ended a task, by its clock, and whose answer is not to be seen."""
    backend = backend_of(app)
    backend.store_result(task_id, {"summary": {}}, "SUCCESS")
    key = backend.get_key_for_task(task_id)
    date = datetime.now(timezone.utc) - timedelta(seconds=seconds_ago)
    meta = json.loads(backend.client.get(key))
    backend.client.set(key, json.dumps({**meta, "date_done": date.isoformat()}))
