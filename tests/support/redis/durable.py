"""A Redis that can be stopped and started again, on the same port, with what it held."""

from __future__ import annotations

import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from redis import Redis
from redis.exceptions import RedisError

from spacer_tasks.demo.services import _redis_program, free_ports


class DurableRedis:
    """Writes each command to its append-only file: before it answers, or as `fsync` says."""

    def __init__(self, folder: Path, fsync: Literal["always", "everysec"] = "always") -> None:
        (self.port,) = free_ports(1)
        self._folder = folder
        self._password = secrets.token_hex(8)
        self.url = f"redis://:{self._password}@127.0.0.1:{self.port}/0"
        self._fsync = fsync
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
            "appendfsync": self._fsync,
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

    def pause(self) -> None:
        """Let it hang: it takes connections and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """End the pause."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self, by: signal.Signals = signal.SIGTERM) -> None:
        """End it; whoever is connected is cut off."""
        if self._process is not None:
            self.go_on()
            self._process.send_signal(by)
            self._process.wait(60)
            self._process = None


@contextmanager
def durable_redis(folder: Path) -> Iterator[DurableRedis]:
    """A running one, stopped at the end."""
    redis = DurableRedis(folder)
    redis.start()
    try:
        yield redis
    finally:
        redis.stop()
