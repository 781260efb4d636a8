"""Wait for what other processes do."""

from __future__ import annotations

import time
from collections.abc import Callable

#: seconds; for what should come, on a busy machine
PATIENCE_S = 120


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Look again until it holds; a failure says what did not come."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError(f"after {seconds} s: {what}")


def until(condition: Callable[[], bool], what: str) -> None:
    """The same for what should come soon, on a busy machine too."""
    wait_until(condition, PATIENCE_S, what)
