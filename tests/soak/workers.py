"""Worker processes that are started again when they end, as compose does."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.checkout import CHECKOUT

#: seconds between a worker's end and its next start, as compose waits
RESTART_S = 0.5
#: seconds for a worker to finish what it has in hand after SIGTERM
GRACE_S = 20


@dataclass
class Slot:
    """One worker's place: the process in it changes."""

    kind: str
    name: str
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    #: ended on purpose and not to be started again
    gone: bool = False
    exits: list[int] = field(default_factory=list)


class Workers:
    """Several workers. Use `workers()`, which ends them."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self._environment = dict(environment)
        self._folder = folder
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self.slots: list[Slot] = []

    def add(self, kind: str, count: int = 1) -> None:
        """More workers of a kind: "feature", "classify" or "trainer"."""
        with self._lock:
            for _ in range(count):
                slot = Slot(kind, f"{kind}{len(self.slots)}")
                self.slots.append(slot)
                self._start(slot)

    def one_of(self, kind: str) -> subprocess.Popen[bytes] | None:
        """One that runs, drawn by chance."""
        with self._lock:
            there = [slot.process for slot in self.slots if slot.kind == kind and not slot.gone]
        running = [process for process in there if process is not None]
        return random.choice(running) if running else None

    def running(self) -> list[subprocess.Popen[bytes]]:
        """All of them."""
        with self._lock:
            return [slot.process for slot in self.slots if slot.process is not None]

    def stranger(
        self, kind: str, name: str, code: str | None = None, **environment: str
    ) -> subprocess.Popen[bytes]:
        """One more that is not started again, with other settings or another program."""
        slot = Slot(kind, name, gone=True)
        with self._lock:
            self.slots.append(slot)
            self._start(slot, ["-c", code] if code else None, environment)
            assert slot.process is not None
            return slot.process

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """SIGKILL it with all its children, as when its container is killed."""
        _kill_group(process, signal.SIGKILL)

    def pause(self, process: subprocess.Popen[bytes]) -> None:
        """SIGSTOP it with all its children."""
        _kill_group(process, signal.SIGSTOP)

    def go_on(self, process: subprocess.Popen[bytes]) -> None:
        """End the pause."""
        _kill_group(process, signal.SIGCONT)

    def remove(self, process: subprocess.Popen[bytes]) -> None:
        """SIGTERM it; it is not started again, and killed if it takes too long."""
        with self._lock:
            for slot in self.slots:
                if slot.process is process:
                    slot.gone = True
        process.send_signal(signal.SIGTERM)
        threading.Thread(target=_grace, args=(process,), daemon=True).start()

    def watch(self) -> None:
        """Start again what ended, until `end`."""
        while not self._ended.wait(RESTART_S):
            with self._lock:
                for slot in self.slots:
                    code = slot.process.poll() if slot.process else None
                    if code is None:
                        continue
                    slot.exits.append(code)
                    slot.process = None
                    if not slot.gone:
                        self._start(slot)

    def end(self) -> None:
        """Kill them all."""
        self._ended.set()
        with self._lock:
            for slot in self.slots:
                slot.gone = True
                if slot.process is not None:
                    _kill_group(slot.process, signal.SIGKILL)
                    slot.process.wait()

    def _start(
        self,
        slot: Slot,
        program: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        slot.starts += 1
        log = (self._folder / f"{slot.name}.log").open("ab")
        with log:
            slot.process = subprocess.Popen(
                [
                    sys.executable,
                    *(program or ("-m", f"workers.{slot.kind}_worker")),
                    "--concurrency=2" if slot.kind != "trainer" else "--concurrency=1",
                    f"--hostname={slot.name}@soak",
                ],
                env={**self._environment, **(environment or {})},
                cwd=CHECKOUT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


def _grace(process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + GRACE_S
    while process.poll() is None and time.monotonic() < end:
        time.sleep(0.1)
    _kill_group(process, signal.SIGKILL)


def _kill_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


@contextmanager
def workers(environment: Mapping[str, str], folder: Path) -> Iterator[Workers]:
    """None at first; all are ended afterwards."""
    some = Workers(environment, folder)
    thread = threading.Thread(target=some.watch, daemon=True)
    thread.start()
    try:
        yield some
    finally:
        some.end()
        thread.join()
