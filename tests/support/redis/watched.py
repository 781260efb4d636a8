"""A Redis, its replica, and a Sentinel that puts the one in the place of the other."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from redis import Redis
from redis.sentinel import Sentinel

from spacer_tasks.demo.processes import Process, process
from spacer_tasks.demo.services import _redis_program, free_ports
from tests.support.waiting import wait_until

PASSWORD = "of-redis"
MASTER = "reef"


class WatchedRedis:
    """Two of them, and who watches. They end with the stack."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        # of its own: a server that is started later must not end before what uses it
        self._stack, self._folder = stack.enter_context(ExitStack()), folder
        self.primary_port, self.replica_port, self._port = free_ports(3)
        self._servers: dict[int, Process] = {}
        self._start_redis(self.primary_port)
        self._start_redis(self.replica_port, follows=self.primary_port)
        self.url = f"sentinel://:{PASSWORD}@127.0.0.1:{self._port}/0"
        config = folder / "sentinel.conf"
        config.write_text(
            f"bind 127.0.0.1\nport {self._port}\n"
            f"sentinel monitor {MASTER} 127.0.0.1 {self.primary_port} 1\n"
            f"sentinel auth-pass {MASTER} {PASSWORD}\n"
            f"sentinel down-after-milliseconds {MASTER} 1500\n"
            f"sentinel failover-timeout {MASTER} 5000\n"
        )
        self._start("sentinel", [str(config), "--sentinel"], self._port, None)
        wait_until(self.in_step, 120, "the replica did not follow")

    def client(self) -> Redis:
        """A client of whichever is the primary when it connects."""
        sentinel: Any = self._sentinel()
        redis: Redis = sentinel.master_for(
            MASTER, password=PASSWORD, socket_timeout=10, socket_connect_timeout=5
        )
        return redis

    def in_step(self) -> bool:
        """Whether the replica has all that the primary has, and Sentinel knows of it."""
        masters = self._sentinel().sentinels[0].sentinel_masters()
        assert isinstance(masters, dict)
        (state,) = masters.values()
        if state["num-slaves"] != 1 or state["is_sdown"] or state["port"] != self.primary_port:
            return False
        # WAIT is for what its own connection wrote
        with _client(self.primary_port, single_connection_client=True) as redis:
            redis.set("in-step", "?")
            return bool(redis.wait(1, 1000) == 1)

    def kill_primary(self) -> None:
        """SIGKILL the primary; it stays away."""
        primary = self._servers.pop(self.primary_port)
        primary.popen.send_signal(signal.SIGKILL)
        primary.popen.wait()

    def replace_primary(self) -> None:
        """Kill the primary at a moment when its replica has all that it took, wait until that one
        is the primary, and start the old one as its replica.

        Redis replicates without waiting, so what a primary takes in its last milliseconds is lost
        with it. Here it takes nothing in these.
        """
        wait_until(self.in_step, 120, "the replica did not follow")
        old, new = self.primary_port, self.replica_port
        redis = _client(old)
        redis.client_pause(10_000, all=False)
        wait_until(lambda: _has_all(redis.info("replication")), 8, "the replica is behind")
        self.kill_primary()
        wait_until(lambda: is_primary(new), 120, "the replica was not promoted")
        self.primary_port, self.replica_port = new, old
        self._start_redis(old, follows=new)

    def _sentinel(self) -> Sentinel:
        address = ("127.0.0.1", self._port)
        return Sentinel([address], socket_timeout=5)  # type: ignore[no-untyped-call]  # of redis-py

    def _start_redis(self, port: int, follows: int | None = None) -> None:
        folder = self._folder / str(port)
        folder.mkdir(exist_ok=True)
        config = folder / "redis.conf"
        lines = [
            f"bind 127.0.0.1\nport {port}\nrequirepass {PASSWORD}\nmasterauth {PASSWORD}",
            f'dir {folder}\nsave ""\nappendonly yes\nrepl-diskless-sync-delay 0',
            *([f"replicaof 127.0.0.1 {follows}"] if follows else []),
        ]
        config.write_text("\n".join(lines) + "\n")
        self._servers[port] = self._start(str(port), [str(config)], port, PASSWORD)

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


def is_primary(port: int) -> bool:
    """Whether the Redis at this port takes writes for others to follow."""
    return bool(_client(port).info("replication")["role"] == "master")


def _has_all(replication: Any) -> bool:
    return bool(replication["slave0"]["offset"] == replication["master_repl_offset"])


def _client(port: int, **options: Any) -> Redis:
    return Redis(port=port, password=PASSWORD, socket_timeout=5, **options)
