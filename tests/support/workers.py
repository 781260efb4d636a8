"""Worker processes as an operator starts them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from spacer_tasks.app import app
from spacer_tasks.demo.processes import Process, process
from tests.support.checkout import CHECKOUT

#: seconds for a worker process to be there: torch takes some to import on a busy machine
START_S = 240
#: seconds for one that does not start to say so
END_S = 300

StartWorker = Callable[..., Process]


def run_worker(
    module: str, env: Mapping[str, str], *arguments: str, cwd: Path = CHECKOUT
) -> subprocess.CompletedProcess[str]:
    """A worker that is expected not to start."""
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env={**os.environ, **env},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=END_S,
        check=False,
    )


def check_threads(log: Path) -> None:
    """A worker's own threads renew locks and ask for what is away: none of them may end."""
    _, dead, after = log.read_text(errors="replace").partition("Exception in thread")
    assert not dead, f"{log.name}: a thread ended: {after[:2000]}"


def worker_starter(stack: ExitStack, logs: Path) -> StartWorker:
    """What starts workers that end with `stack`."""

    def start(kind: str, *arguments: str, name: str | None = None, **env: str) -> Process:
        name = name or kind
        command = [sys.executable, "-m", f"workers.{kind}_worker", *arguments]
        if "--hostname" not in " ".join(arguments):
            command.append(f"--hostname={name}@test")

        def ready() -> bool:
            return bool(app.control.ping(destination=[f"{name}@test"], timeout=0.5))

        return stack.enter_context(
            process(
                command,
                env={**os.environ, **env},
                cwd=CHECKOUT,
                log_path=logs / f"{name}.log",
                ready=ready,
                ready_timeout_s=START_S,
                name=name,
            )
        )

    return start
