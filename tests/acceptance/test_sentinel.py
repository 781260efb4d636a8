"""A primary dies, Sentinel promotes its replica: workers and callers go on there."""

from __future__ import annotations

import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis import Redis

from spacer_tasks import cancellation
from spacer_tasks.app import app
from spacer_tasks.config import get_settings
from spacer_tasks.demo.processes import Process, process
from spacer_tasks.demo.services import S3Server, _redis_program, free_ports
from spacer_tasks.exceptions import BrokerUnavailableError, TaskCancelledError
from spacer_tasks.queue_depths import queue_depths
from spacer_tasks.results import load_answer
from spacer_tasks.sentinel import sentinel_options
from tests.acceptance.conftest import wait_until, worker_starter
from tests.servers import empty_queues, forget_settings, fresh_bucket, settings_in_environment
from tests.soak.work import Work

PASSWORD = "of-redis"
MASTER = "reef"


class Watched:
    """A primary, its replica, and a Sentinel."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._stack, self._folder = stack, folder
        self.primary_port, self.replica_port, port = free_ports(3)
        self.primary = self._redis("primary", self.primary_port)
        self._redis("replica", self.replica_port, f"replicaof 127.0.0.1 {self.primary_port}")
        self.url = f"sentinel://:{PASSWORD}@127.0.0.1:{port}/0"
        config = folder / "sentinel.conf"
        config.write_text(
            f"bind 127.0.0.1\nport {port}\n"
            f"sentinel monitor {MASTER} 127.0.0.1 {self.primary_port} 1\n"
            f"sentinel auth-pass {MASTER} {PASSWORD}\n"
            f"sentinel down-after-milliseconds {MASTER} 1500\n"
            f"sentinel failover-timeout {MASTER} 5000\n"
        )
        self._start("sentinel", [str(config), "--sentinel"], port, None)
        wait_until(self.in_step, 60, "the replica did not follow")

    def client(self, port: int) -> Redis:
        """A client of one of the two."""
        return Redis(port=port, password=PASSWORD, socket_timeout=5)

    def in_step(self) -> bool:
        """Whether the replica has all that the primary has, and Sentinel knows of it."""
        sentinel = Redis(port=int(self.url.rpartition(":")[2].partition("/")[0]), socket_timeout=5)
        (state,) = sentinel.execute_command("SENTINEL", "MASTERS")
        known = (
            dict(zip(state[::2], state[1::2], strict=True)) if isinstance(state, list) else state
        )
        count = known.get(b"num-slaves", known.get("num-slaves"))
        client = self.client(self.primary_port)
        return int(count) == 1 and client.execute_command("WAIT", 1, 1000) == 1

    def _redis(self, name: str, port: int, *lines: str) -> Process:
        folder = self._folder / name
        folder.mkdir()
        config = folder / "redis.conf"
        config.write_text(
            "\n".join(
                (
                    f"bind 127.0.0.1\nport {port}\nrequirepass {PASSWORD}\nmasterauth {PASSWORD}",
                    f'dir {folder}\nsave ""\nappendonly yes\nrepl-diskless-sync-delay 0',
                    *lines,
                    "",
                )
            )
        )
        return self._start(name, [str(config)], port, PASSWORD)

    def _start(self, name: str, arguments: list[str], port: int, password: str | None) -> Process:
        def ready() -> bool:
            try:
                return bool(Redis(port=port, password=password, socket_timeout=2).ping())
            except Exception as error:
                raise OSError(str(error)) from error

        return self._stack.enter_context(
            process(
                [_redis_program(), *arguments],
                log_path=self._folder / f"{name}.log",
                ready=ready,
                name=name,
            )
        )


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    with ExitStack() as stack:
        yield Watched(stack, tmp_path)


def test_work_goes_on_at_the_replica_that_is_promoted(
    watched: Watched, s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPACER_SENTINEL_MASTER", MASTER)
    with ExitStack() as stack:
        bucket = stack.enter_context(fresh_bucket(s3))
        stack.enter_context(settings_in_environment(watched.url, s3, bucket))
        options = sentinel_options(get_settings(), 0.8)
        monkeypatch.setitem(
            app.conf, "broker_transport_options", {**app.conf.broker_transport_options, **options}
        )
        monkeypatch.setitem(
            app.conf,
            "result_backend_transport_options",
            {**app.conf.result_backend_transport_options, **options},
        )
        stack.enter_context(empty_queues(watched.url))
        start_worker = worker_starter(stack, tmp_path / "logs")
        work = Work(bucket)
        waiting = [work.send(str(uuid.uuid4()), "extract").task_id for _ in range(20)]
        assert queue_depths()["features"].waiting == 20
        cancelled = work.send(str(uuid.uuid4()), "extract").task_id
        assert cancellation.cancel(cancelled)
        start_worker("feature", "--concurrency=1")
        app.AsyncResult(waiting[0]).get(timeout=60)
        wait_until(watched.in_step, 60, "the replica did not follow")

        watched.primary.popen.send_signal(signal.SIGKILL)
        watched.primary.popen.wait()
        after: list[str] = []

        def sent() -> bool:
            started = time.monotonic()
            try:
                after.append(work.send(str(uuid.uuid4()), "extract").task_id)
            except BrokerUnavailableError:
                # told soon, not held up
                assert time.monotonic() - started < 10
                return False
            return True

        wait_until(sent, 60, "no send was taken after the primary's end")
        for task_id in (*waiting, *after):
            app.AsyncResult(task_id).get(timeout=120)
            load_answer(task_id)
        with pytest.raises(TaskCancelledError):
            load_answer(cancelled)
        assert watched.client(watched.replica_port).info("replication")["role"] == "master"
        assert queue_depths()["features"].waiting == 0
    forget_settings()
