"""The Celery application of this process: where it sends to, and what lies there."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from kombu import pools
from redis import Redis

from spacer_tasks.app import app
from spacer_tasks.broker.sentinel import sentinel_options
from spacer_tasks.config.settings import get_settings
from tests.support.redis.celery_parts import backend_of


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
    """The Celery application of this process on this Redis, with nothing waiting.

    Nothing that tests before left is there either: two tests may use the same id of a task.
    """
    send_through(redis_url)
    backend_of(app).client.flushdb()
    yield
    # results that nobody holds any more tell Redis so when they go: while it is there
    gc.collect()
    app.control.purge()


def consumers(redis_url: str) -> list[str]:
    """The addresses of those who wait for messages of this Redis."""
    with Redis.from_url(redis_url) as connection:
        clients: Any = connection.client_list()
    return [each["addr"] for each in clients if "b" in each["flags"]]


def store_finished(task_id: str, seconds_ago: float) -> None:
    """As a worker that ended a task, by its clock, and whose answer is not to be seen."""
    backend = backend_of(app)
    backend.store_result(task_id, {"summary": {}}, "SUCCESS")
    key = backend.get_key_for_task(task_id)
    date = datetime.now(timezone.utc) - timedelta(seconds=seconds_ago)
    meta = json.loads(backend.client.get(key))
    backend.client.set(key, json.dumps({**meta, "date_done": date.isoformat()}))
