"""A worker that is connected and is given no tasks any more ends itself, and loses none."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from celery.result import AsyncResult

from spacer_tasks import storage
from spacer_tasks.app import app
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.tasks import extract_features
from tests.support.checkout import CHECKOUT
from tests.support.photos import photo
from tests.support.redis.celery_parts import channel_of
from tests.support.workers import StartWorker, worker_starter


class Proxy:
    """A way to Redis that can stop answering those who ask for tasks, and nobody else."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.deaf = threading.Event()

    def passes(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                if self.deaf.is_set() and (b"BLMOVE" in data or b"unacked_index" in data):
                    # as on a connection that is cut without a word
                    threading.Event().wait()
                server.sendall(data)


@contextmanager
def proxy(port: int) -> Iterator[Proxy]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        way = Proxy(listener.getsockname()[1])

        def back(server: socket.socket, client: socket.socket) -> None:
            with suppress(OSError):
                while data := server.recv(65536):
                    client.sendall(data)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    server = socket.create_connection(("127.0.0.1", port))
                    for one, other, run in (
                        (client, server, way.passes),
                        (server, client, back),
                    ):
                        threading.Thread(target=run, args=(one, other), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield way


@pytest.fixture
def way(redis_url: str) -> Iterator[Proxy]:
    port = urlsplit(redis_url).port
    assert port is not None
    with proxy(port) as running:
        yield running


@pytest.fixture
def start_worker(queue: None, tmp_path: Path) -> Iterator[StartWorker]:
    """As for other tests, but a worker ends with its test."""
    with ExitStack() as stack:
        yield worker_starter(stack, tmp_path / "logs")


@pytest.fixture
def send(bucket: str, queue: None) -> Callable[[], AsyncResult[Any]]:
    image = DataLocation.parse(f"s3://{bucket}/a.png")
    storage.store(image, photo("sand", 1))
    message = {
        "job_token": "1",
        "extractor": {"class_path": "dummy", "feature_dim": 8},
        "rowcols": [[1, 1]],
        "image_loc": image.model_dump(),
        "feature_loc": DataLocation.parse(f"s3://{bucket}/f.npz").model_dump(),
    }
    return lambda: extract_features.delay(message)


def through(way: Proxy, redis_url: str, **env: str) -> dict[str, str]:
    port = urlsplit(redis_url).port
    return {"SPACER_BROKER_URL": redis_url.replace(f":{port}/", f":{way.port}/"), **env}


def health(hostname: str, **env: str) -> subprocess.CompletedProcess[str]:
    """The container's health check, in a container of that name."""
    code = (
        "import runpy, socket;"
        f"socket.gethostname = lambda: {hostname!r};"
        "runpy.run_path('deploy/healthcheck.py', run_name='__main__')"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **env},
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_worker_that_is_given_no_tasks_ends_itself(
    start_worker: StartWorker,
    send: Callable[[], AsyncResult[Any]],
    way: Proxy,
    redis_url: str,
) -> None:
    # the default is 120
    stuck = start_worker(
        "feature", name="deaf", **through(way, redis_url, SPACER_STUCK_AFTER_S="6")
    )
    # the fault: Celery alone goes on like this
    patient = start_worker(
        "feature",
        name="patient",
        **through(way, redis_url, SPACER_STUCK_AFTER_S="900", SPACER_STOP_GRACE_S="1"),
    )
    assert send().get(timeout=180)
    assert health("test").returncode == 0
    way.deaf.set()
    sent = send()
    assert stuck.popen.wait(180) == 70
    assert patient.running
    # of the health check alone: a worker that inherited two seconds would end itself while a task
    # keeps its loop from running for as long
    said = health("test", SPACER_STUCK_AFTER_S="2").stderr
    assert "patient@test has not asked for tasks for" in said
    # started again, by its supervisor, on a way that works
    start_worker("feature", name="again", SPACER_WORKER_SILENT_S="2")
    assert sent.get(timeout=180)


def test_a_worker_waits_while_redis_itself_is_away(
    start_worker: StartWorker,
    send: Callable[[], AsyncResult[Any]],
    redis_process: Any,
    way: Proxy,
    redis_url: str,
) -> None:
    env = {"SPACER_STUCK_AFTER_S": "3"}
    worker = start_worker("feature", name="waiting", **through(way, redis_url, **env))
    redis_process_pid = int(_redis_pid(redis_url))
    os.kill(redis_process_pid, signal.SIGSTOP)
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            worker.popen.wait(8)
    finally:
        os.kill(redis_process_pid, signal.SIGCONT)
    assert send().get(timeout=180)
    assert worker.running


def _redis_pid(redis_url: str) -> str:
    with app.connection_for_write() as connection:
        return str(channel_of(connection).client.info("server")["process_id"])
