"""Threads on a clock of their own, so that a simulation gives the same figures on any machine.

One thread runs at a time, until it waits. When all wait, the clock goes on to the moment that the
first of them waits for. What this machine does meanwhile changes nothing.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from heapq import heappop, heappush
from itertools import count
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import patch


class _Thread:
    """One that waits for its turn."""

    def __init__(self) -> None:
        self.turn = threading.Semaphore(0)
        #: grows each time it is woken: what was to wake it before has no effect
        self.woken = 0
        self.was_called = False


class World:
    """A clock and the threads that live by it; who makes it is the first of them."""

    def __init__(self) -> None:
        self.now = 0.0
        self._first = self._running = _Thread()
        self._ready: deque[_Thread] = deque()
        self._due: list[tuple[float, int, _Thread, int]] = []
        self._numbers = count()
        self._failed: BaseException | None = None

    def sleep(self, seconds: float) -> None:
        """Let others run until so much time has passed."""
        self._wait(seconds)

    def start(self, work: Callable[[], Any]) -> None:
        """Run `work` in a thread of its own, from when the one that calls waits."""
        thread = _Thread()

        def run() -> None:
            thread.turn.acquire()
            try:
                work()
            except BaseException as error:  # noqa: BLE001 -- `run` raises it
                self._fail(error)
            else:
                self._next()

        # one that waits for ever keeps no process
        threading.Thread(target=run, daemon=True).start()
        self._ready.append(thread)

    def run(self, *works: Callable[[], Any]) -> None:
        """Run each in a thread of its own, until all have ended.

        Raises
        ------
        BaseException
            What a thread of this world raised; RuntimeError where all wait for each other.
        """
        left = len(works)
        ended = Semaphore(self, 0)

        def counted(work: Callable[[], Any]) -> None:
            nonlocal left
            work()
            left -= 1
            if not left:
                ended.release()

        for work in works:
            self.start(partial(counted, work))
        ended.acquire()

    @contextmanager
    def stands_in(self, module: ModuleType) -> Iterator[None]:
        """Give a module this world's time, threads and locks, by the names that it imports."""
        own: dict[str, Any] = {
            "time": SimpleNamespace(monotonic=lambda: self.now, sleep=self.sleep),
            "Lock": lambda: Semaphore(self, 1),
            "Condition": lambda: Condition(self),
            "Future": lambda: Future(self),
            "ThreadPoolExecutor": lambda *_, **__: SimpleNamespace(submit=self.start),
        }
        with patch.multiple(
            module, **{name: part for name, part in own.items() if hasattr(module, name)}
        ):
            yield

    def _wait(self, seconds: float | None = None) -> bool:
        """Wait until called, or for so long; whether it was called."""
        this = self._running
        if seconds is not None:
            heappush(self._due, (self.now + seconds, next(self._numbers), this, this.woken))
        self._next()
        this.turn.acquire()
        if this is self._first and self._failed is not None:
            raise self._failed
        return this.was_called

    def _call(self, thread: _Thread) -> None:
        """Wake one that waits, when the others wait."""
        self._wake(thread, called=True)

    def _wake(self, thread: _Thread, *, called: bool) -> None:
        thread.woken += 1
        thread.was_called = called
        self._ready.append(thread)

    def _next(self) -> None:
        while not self._ready:
            if not self._due:
                self._fail(RuntimeError("all threads wait, and nothing will wake one"))
                return
            moment, _, thread, woken = heappop(self._due)
            if woken == thread.woken:
                self.now = moment
                self._wake(thread, called=False)
        self._running = self._ready.popleft()
        self._running.turn.release()

    def _fail(self, error: BaseException) -> None:
        # nothing else runs from here on
        self._failed = error
        self._running = self._first
        self._first.turn.release()


class Semaphore:
    """As `threading.Semaphore`; who waits longest comes first. With 1 it is a lock."""

    def __init__(self, world: World, free: int) -> None:
        self._world, self._free = world, free
        self._waiting: deque[_Thread] = deque()

    def acquire(self) -> None:
        if self._free:
            self._free -= 1
        else:
            self._waiting.append(self._world._running)
            self._world._wait()

    def release(self) -> None:
        if self._waiting:
            # what is released is the one's that waited
            self._world._call(self._waiting.popleft())
        else:
            self._free += 1

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class Condition:
    """As `threading.Condition`. It locks nothing: only who waits lets others run."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._waiting: list[_Thread] = []

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass

    def wait(self, seconds: float | None = None) -> bool:
        this = self._world._running
        self._waiting.append(this)
        if was_called := self._world._wait(seconds):
            return was_called
        self._waiting.remove(this)
        return False

    def notify_all(self) -> None:
        for thread in self._waiting:
            self._world._call(thread)
        self._waiting.clear()


class Future:
    """As `concurrent.futures.Future`, without cancelling and callbacks."""

    def __init__(self, world: World) -> None:
        self._changed = Condition(world)
        self._is_done = False
        self._result: Any = None
        self._error: BaseException | None = None

    def done(self) -> bool:
        return self._is_done

    def set_result(self, result: Any) -> None:
        self._is_done, self._result = True, result
        self._changed.notify_all()

    def set_exception(self, error: BaseException) -> None:
        self._is_done, self._error = True, error
        self._changed.notify_all()

    def result(self) -> Any:
        while not self._is_done:
            self._changed.wait()
        if self._error is not None:
            raise self._error
        return self._result
