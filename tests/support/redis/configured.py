"""Redis servers with a configuration of the test's own."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from spacer_tasks.demo.processes import HOST, Process, process
from spacer_tasks.demo.services import _redis_program, free_ports


@contextmanager
def redis_with(
    folder: Path,
    lines: list[str],
    program: Path | None = None,
    port_name: str = "port",
    ready: Callable[[int], bool] | None = None,
) -> Iterator[tuple[int, Process]]:
    """A Redis of these configuration lines on a free port; the port and its process."""
    folder.mkdir(parents=True, exist_ok=True)
    (port,) = free_ports(1)
    config = folder / "redis.conf"
    ports = [f"{port_name} {port}"] + (["port 0"] if port_name != "port" else [])
    config.write_text("\n".join([f"bind {HOST}", *ports, 'save ""', "appendonly no", *lines, ""]))

    def listens(at: int) -> bool:
        with socket.create_connection((HOST, at), timeout=2):
            return True

    with process(
        [program or _redis_program(), config],
        log_path=folder / "redis.log",
        cwd=folder,
        ready=lambda: (ready or listens)(port),
        name="Redis",
    ) as started:
        yield port, started


def redis_with_tls(folder: Path) -> Path | None:
    """A redis-server that was built with TLS, or None where there is none.

    Debian's is the same program as `redis-check-rdb` of its package redis-tools, which brings no
    service that would be started. The environment's TEST_REDIS_SERVER names another one.
    """
    named = os.environ.get("TEST_REDIS_SERVER")
    for found in (named, shutil.which("redis-server"), shutil.which("redis-check-rdb")):
        if found and b"tls-cert-file" in Path(found).resolve().read_bytes():
            link = folder / "redis-server"
            link.symlink_to(Path(found).resolve())
            return link
    return None
