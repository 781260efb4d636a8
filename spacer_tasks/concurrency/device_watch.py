"""What this process's GPU does, for the watchdog: passes under way, and whether it is lost.

Without torch, so that any worker can ask.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

#: when each pass that runs was begun, by a number of its own
_passes: dict[object, float] = {}
#: why the device is lost, once it is
_reason: str | None = None
#: whether a watchdog ends this process when the device is lost
_watched = False
#: seconds that a watchdog has, which looks every second and then asks Redis
END_S = 60.0


@contextmanager
def running_pass() -> Iterator[None]:
    """Around everything that waits for the device."""
    this = object()
    _passes[this] = time.monotonic()
    try:
        yield
    finally:
        del _passes[this]


def longest_pass_s() -> float:
    """Seconds since the oldest of the passes that run was begun; 0 where none runs."""
    # a copy: other threads begin and end theirs
    began = list(_passes.values())
    return time.monotonic() - min(began) if began else 0.0


def lose(reason: str) -> None:
    """Say that the device does not answer: no later call in this process can use it."""
    global _reason
    _reason = reason


def lost() -> str | None:
    """Why the device is lost; None where it is not."""
    return _reason


def watch() -> None:
    """Say that a watchdog ends this process when its device is lost."""
    global _watched
    _watched = True


def wait_for_the_end() -> None:
    """Wait until the watchdog has ended this process; return at once where none watches."""
    if _watched:
        time.sleep(END_S)
