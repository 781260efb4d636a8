"""Workers that are killed, or whose Redis is wiped, before a chosen command to Redis.

`python -m tests.support.killing` starts them; `doomed_workers` is the door for tests.

Each line of the standard input starts one, forked from this process, which has loaded what workers
load; with the end of the input all end. A line is JSON: `pool`; `task` (the end of the id of the
task from whose start on commands are counted); `only` (a text: those that hold it); `kill_at` (the
number of the command before which the process is killed that sends it, once; 0 is never, and -1 the
acknowledgement of the task); `wipes` (Redis is wiped then, and the process goes on); `killed` (a
file that says before which command it was); `arguments` (of the worker) and `log`.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis.connection
from celery import signals
from redis import Redis

from spacer_tasks import operations  # noqa: F401 -- loaded once for all
from spacer_tasks.config.settings import get_settings
from spacer_tasks.worker.delivery.unacked import FORGET
from spacer_tasks.worker.start import main
from tests.support.checkout import CHECKOUT
from tests.support.settings import forget_settings

#: as `kill_at`
ACKNOWLEDGEMENT = -1
#: so that a worker is there sooner
QUIET = ("--without-mingle", "--without-gossip", "--concurrency=1")

Start = Callable[..., "Doomed"]


@dataclass(frozen=True)
class Doomed:
    """A worker that is killed, or another of its pool's processes is, before a command."""

    process: int
    killed: Path

    def end(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process, signal.SIGKILL)


@contextmanager
def doomed_workers(folder: Path, *, task: str) -> Iterator[Start]:
    """What starts workers for the settings in the environment; they end with the block.

    Parameters
    ----------
    task
        The end of the id of the task whose commands are counted, where a start names no other.
    """
    forget_settings()
    names = itertools.count()
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.support.killing"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=CHECKOUT,
        text=True,
    )
    orders, answers = server.stdin, server.stdout
    assert orders is not None
    assert answers is not None
    usual = task

    def started(
        kill_at: int,
        *arguments: str,
        pool: str = "features",
        task: str = usual,
        only: str = "",
        wipes: bool = False,
    ) -> Doomed:
        name = f"killed{next(names)}@test"
        killed = folder / f"{name}.killed"
        order = {
            "pool": pool,
            "task": task,
            "only": only,
            "kill_at": kill_at,
            "wipes": wipes,
            "killed": str(killed),
            "arguments": [*QUIET, f"--hostname={name}", *arguments],
            "log": str(folder / f"{name}.log"),
        }
        orders.write(json.dumps(order) + "\n")
        orders.flush()
        return Doomed(int(answers.readline()), killed)

    with server:
        yield started
        orders.close()


def install(task: str, kill_at: int, only: str, killed: Path, *, wipes: bool) -> None:
    """Count the commands of the thread that runs the task."""
    running: set[int] = set()
    numbers = itertools.count(1)
    # a file, for the acknowledgement is the main process's
    began = killed.with_suffix(".began")
    connection: Any = redis.connection.AbstractConnection
    send = connection.send_packed_command

    def counted(self: Any, command: Any, *args: Any, **options: Any) -> Any:
        text = b"".join(
            part if isinstance(part, bytes) else str(part).encode()
            for part in (command if isinstance(command, list | tuple) else [command])
        )
        if kill_at == ACKNOWLEDGEMENT:
            due = FORGET.encode() in text and began.exists()
        else:
            ours = threading.get_ident() in running and only.encode() in text
            due = ours and next(numbers) == kill_at
        if due and not killed.exists():
            killed.write_bytes(text[:200])
            if wipes:
                Redis.from_url(get_settings().broker_url.get_secret_value()).flushall()
            else:
                os.kill(os.getpid(), signal.SIGKILL)
        return send(self, command, *args, **options)

    def begins(task_id: str, **_: Any) -> None:
        if task_id.endswith(task):
            running.add(threading.get_ident())
            began.touch()

    signals.task_prerun.connect(begins, weak=False)
    connection.send_packed_command = counted


def serve() -> None:
    """Start a worker for each line."""
    children = []
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child:
            # here too: whoever is told of it may kill it before it has run at all
            with suppress(PermissionError, ProcessLookupError):
                os.setpgid(child, child)
            children.append(child)
            sys.stdout.write(f"{child}\n")
            sys.stdout.flush()
            continue
        os.setpgid(0, 0)
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for stream in (1, 2):
            os.dup2(log, stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        if order["kill_at"]:
            killed = Path(order["killed"])
            install(order["task"], order["kill_at"], order["only"], killed, wipes=order["wipes"])
        main(order["pool"], order["arguments"])
        os._exit(0)
    for child in children:
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)


if __name__ == "__main__":
    serve()
