"""A Redis that can be stopped and started again, on the same port, with what it held."""

from __future__ import annotations

import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from spacer_tasks.demo.services import _redis_program, free_ports


class DurableRedis:
    """Writes each command to its append-only file before it answers."""

    def __init__(self, folder: Path) -> None:
        (self.port,) = free_ports(1)
        self._folder = folder
        self._password = secrets.token_hex(8)
        self.url = f"redis://:{self._password}@127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "requirepass": self._password,
            "dir": str(self._folder),
            "save": "",
            "appendonly": "yes",
            "appendfsync": "always",
            "logfile": str(self._folder / "redis.log"),
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        self._process = subprocess.Popen([_redis_program(), *arguments])
        end = time.monotonic() + 30
        while True:
            try:
                Redis.from_url(self.url).ping()
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

    def stop(self) -> None:
        """End it; whoever is connected is cut off."""
        if self._process is not None:
            self.go_on()
            self._process.terminate()
            self._process.wait(30)
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
