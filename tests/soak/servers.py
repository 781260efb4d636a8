"""What the suite runs against, and what it tells the workers."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from spacer_tasks.demo.services import _redis_program, free_ports, s3_server
from tests.servers import empty_queues, fresh_bucket, settings_in_environment
from tests.soak.s3_front import S3Front, s3_front

CHECKOUT = Path(__file__).resolve().parents[2]
#: of S3 settings: a hanging answer is not waited for as long as in a deployment
IMPATIENT = {"SPACER_S3_CONNECT_TIMEOUT_S": "3", "SPACER_S3_READ_TIMEOUT_S": "4"}


class SoakRedis:
    """A Redis as in the deployment: an append-only file, written to disk every second."""

    def __init__(self, folder: Path) -> None:
        (self.port,) = free_ports(1)
        self._folder = folder
        self._password = secrets.token_hex(8)
        self.url = f"redis://:{self._password}@127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def client(self) -> Redis:
        """A client that waits a few seconds and raises then."""
        return Redis.from_url(self.url, socket_timeout=10, socket_connect_timeout=5)

    def start(self) -> None:
        """Start it with what its file holds, and wait until it answers."""
        options = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "requirepass": self._password,
            "dir": str(self._folder),
            "save": "",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
            "logfile": str(self._folder / "redis.log"),
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        self._process = subprocess.Popen([_redis_program(), *arguments])
        end = time.monotonic() + 60
        while True:
            try:
                self.client().ping()
            except RedisError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
            else:
                return

    def stop(self, by: signal.Signals = signal.SIGTERM) -> None:
        """End it; whoever is connected is cut off."""
        if self._process is not None:
            self._process.send_signal(by)
            self._process.wait(60)
            self._process = None


@dataclass(frozen=True)
class Servers:
    """The running servers, and the environment of the workers."""

    redis: SoakRedis
    front: S3Front
    bucket: str
    environment: dict[str, str]


@contextmanager
def servers(folder: Path) -> Iterator[Servers]:
    """All servers, and this process's settings for them. S3 is seen by this process directly and
    by the workers through the proxy.
    """
    folder.mkdir(parents=True, exist_ok=True)
    redis = SoakRedis(folder)
    with s3_server(folder / "s3") as s3, s3_front(s3, folder) as front, fresh_bucket(s3) as bucket:
        try:
            redis.start()
            with settings_in_environment(redis.url, s3, bucket) as env, empty_queues(redis.url):
                through_proxy = {"SPACER_S3_ENDPOINT_URL": front.s3.endpoint_url, **IMPATIENT}
                yield Servers(redis, front, bucket, {**os.environ, **env, **through_proxy})
        finally:
            redis.stop()
