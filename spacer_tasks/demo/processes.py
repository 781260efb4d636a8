"""Child processes that are stopped whatever happens to the parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from spacer_tasks.exceptions import SpacerError
from spacer_tasks.printable import LISTED

#: where private servers listen: this machine only
HOST = "127.0.0.1"
#: lines of a log that an error carries: enough for a traceback
TAIL_LINES = 40
#: seconds between two looks at a process that starts or stops
POLL_S = 0.05

#: Runs in the child before the command: asks Linux for a SIGTERM when the parent dies, even by
#: SIGKILL. A small program, because code between fork and exec is unsafe beside threads.
_TIED_TO_PARENT = """
import os, signal, sys
parent = int(sys.argv[1])
# held back while the parent started this
signal.pthread_sigmask(signal.SIG_SETMASK, [])
if sys.platform == "linux":
    import ctypes
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit("the parent ended first")
os.execvp(sys.argv[2], sys.argv[2:])
"""


class ServiceError(SpacerError):
    """A child process did not start, or ended by itself. The text has the end of its log."""


@dataclass(frozen=True)
class Process:
    """A running child, the leader of a process group of its own."""

    name: str
    popen: subprocess.Popen[bytes]
    log_path: Path

    @property
    def pid(self) -> int:
        """The process id, which is also its group's."""
        return self.popen.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.popen.poll() is None

    def check(self) -> None:
        """Raise `ServiceError` if it ended."""
        code = self.popen.poll()
        if code is not None:
            raise ServiceError(f"{self.name} ended with exit code {code}.{self._log_end()}")

    def failed(self, what: str) -> ServiceError:
        """An error that says what went wrong and carries the end of the log."""
        return ServiceError(f"{self.name} {what}.{self._log_end()}")

    def _log_end(self) -> str:
        try:
            lines = self.log_path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        if not lines:
            return f" Its log {self.log_path} is empty."
        return LISTED.join([f" The end of its log {self.log_path}:", *lines[-TAIL_LINES:]])


@contextmanager
def process(
    command: Sequence[str | Path],
    *,
    log_path: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    ready: Callable[[], bool] = lambda: True,
    ready_timeout_s: float = 60,
    stop_timeout_s: float = 15,
    name: str | None = None,
) -> Iterator[Process]:
    """A child process, ready to work; stopped with all its own children at the end.

    It gets SIGTERM first, alone, so that a worker can finish its task and end its pool; what is
    left of its group after `stop_timeout_s` seconds is killed. On Linux it also ends when the
    thread that started it dies.

    Parameters
    ----------
    command
        Program and arguments.
    log_path
        File for its output, made anew.
    env
        Its whole environment; None for this process's.
    ready
        Tells whether it can work. Asked again and again; it may also raise OSError.
    name
        What errors call it; the program's name where not given.

    Raises
    ------
    ServiceError
        It cannot be started, ended early, or was not ready in time.
    """
    arguments = [str(part) for part in command]
    name = name or Path(arguments[0]).name
    log_path.parent.mkdir(parents=True, exist_ok=True)
    guard = [sys.executable, "-I", "-S", "-c", _TIED_TO_PARENT, str(os.getpid())]
    child = None
    try:
        # a signal between the start and the assignment would leave a child that nobody stops
        with _signals_held(), log_path.open("wb") as log:
            popen = subprocess.Popen(
                [*guard, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=None if env is None else dict(env),
                cwd=cwd,
                start_new_session=True,
            )
            child = Process(name, popen, log_path)
        _wait_until_ready(child, ready, ready_timeout_s)
        yield child
    except OSError as error:
        if child is not None:
            raise
        raise ServiceError(f"{name} cannot be started: {error}") from error
    finally:
        if child is not None:
            _stop(child, stop_timeout_s)


@contextmanager
def _signals_held() -> Iterator[None]:
    """Signals that end this process come after the block."""
    before = signal.pthread_sigmask(
        signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    )
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _wait_until_ready(child: Process, ready: Callable[[], bool], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        child.check()
        with suppress(OSError):
            if ready():
                return
        if time.monotonic() > deadline:
            raise child.failed(f"was not ready after {timeout_s:g} seconds")
        time.sleep(POLL_S)


def _stop(child: Process, timeout_s: float) -> None:
    try:
        if child.running:
            child.popen.terminate()
            # too slow: it is killed below, with what is left of its group
            with suppress(subprocess.TimeoutExpired):
                child.popen.wait(timeout_s)
    finally:
        # also after a second Ctrl+C in the wait above: nothing of the group may stay
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        child.popen.wait()


@contextmanager
def exit_on_sigterm() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise SystemExit, so that `with` blocks end their children.

    Does nothing outside the main thread, where Python allows no handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
