"""A Redis that takes no writes, read-only or out of memory: callers are told, workers wait."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery
from celery.backends.redis import RedisBackend
from redis import Redis
from redis.exceptions import ResponseError

from spacer_tasks.demo.services import RedisServer, redis_server
from spacer_tasks.exceptions import BrokerUnavailableError
from spacer_tasks.retries import WORKER_TO_REDIS
from spacer_tasks.tasks import extract_features
from spacer_tasks.worker.result_backend import BACKENDS, PatientRedis
from tests.support.sending import empty_queues

#: seconds until Redis takes writes again
REFUSES_S = 1.5


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


@pytest.fixture(params=["read-only", "out of memory"])
def refuse(
    request: pytest.FixtureRequest, server: RedisServer
) -> Iterator[Callable[[], threading.Thread]]:
    """Makes Redis refuse until the thread that it returns has ended."""
    client = Redis.from_url(server.url)

    def again() -> None:
        client.replicaof("NO", "ONE")
        client.config_set("maxmemory", "0")

    timers = []

    def now() -> threading.Thread:
        if request.param == "read-only":
            client.replicaof("127.0.0.1", "1")
        else:
            client.config_set("maxmemory", "1")
        timers.append(threading.Timer(REFUSES_S, again))
        timers[-1].start()
        return timers[-1]

    yield now
    for timer in timers:
        timer.join()
    again()


def backend_of(server: RedisServer, ours: bool) -> Any:
    """The backend of an application with a worker's settings, Celery's own or ours."""
    app = Celery("plain", broker=server.url, backend=server.url, set_as_current=False)
    app.conf.update(
        result_backend_always_retry=True,
        result_backend_max_sleep_between_retries_ms=1000,
        result_backend_transport_options={"retry_policy": WORKER_TO_REDIS},
    )
    if ours:
        app.loader.override_backends = BACKENDS
    return app.backend


def test_celery_s_backend_gives_up_at_once(
    server: RedisServer, refuse: Callable[[], threading.Thread]
) -> None:
    backend = backend_of(server, ours=False)
    assert type(backend) is RedisBackend
    refuse()
    with pytest.raises(ResponseError, match=r"read only|maxmemory"):
        backend.store_result("plain", {"x": 1}, "SUCCESS")


def test_a_worker_s_result_is_kept_when_redis_takes_writes_again(
    server: RedisServer, refuse: Callable[[], threading.Thread]
) -> None:
    backend = backend_of(server, ours=True)
    assert type(backend) is PatientRedis
    refuse()
    backend.store_result("ours", {"x": 1}, "SUCCESS")
    assert backend.get_task_meta("ours")["result"] == {"x": 1}


def test_a_caller_is_told(
    server: RedisServer, refuse: Callable[[], threading.Thread], settings_env: dict[str, str]
) -> None:
    message = {
        "job_token": "1",
        "extractor": {"class_path": "dummy"},
        "rowcols": [[1, 1]],
        "image_loc": {"storage_type": "s3", "bucket_name": "b", "key": "a"},
        "feature_loc": {"storage_type": "s3", "bucket_name": "b", "key": "f"},
    }
    with empty_queues(server.url):
        extract_features.delay(message)
        refusing = refuse()
        with pytest.raises(BrokerUnavailableError, match=r"read only|maxmemory"):
            extract_features.delay(message)
        refusing.join()
