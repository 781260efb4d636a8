"""What is run while coverage is measured, and not measured itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from coverage import Coverage


@contextmanager
def unmeasured() -> Iterator[None]:
    """Run a block whose lines are not counted, for loops of a million steps.

    The first steps show which lines are run, as they do in smaller tests, and counting makes them
    several times as slow. What other threads run is not counted from here on.
    """
    coverage = Coverage.current()
    if coverage is None:
        yield
        return
    coverage.stop()
    try:
        yield
    finally:
        coverage.start()


def unmeasured_environment() -> dict[str, str]:
    """For a process whose lines are not counted."""
    return {key: os.environ[key] for key in os.environ if not key.startswith("COVERAGE_PROCESS_")}
