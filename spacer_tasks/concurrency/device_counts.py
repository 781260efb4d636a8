"""What this process's networks have computed, for its metrics.

Without torch and without a metrics library: what counts knows nothing of who reads.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock

#: seconds; a pass on a GPU takes some milliseconds, the watchdog ends one after two minutes
PASS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 120.0)
#: patches of a pass, of which there are `SPACER_GPU_BATCH_PATCHES` at most
PASS_PATCHES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)


@dataclass
class Histogram:
    """How many values were not above each bound, as Prometheus counts them."""

    bounds: tuple[float, ...]
    total: float = 0
    #: of each bound alone; the last is of values beyond all
    counts: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def add(self, value: float) -> None:
        """Count one value."""
        place = next((i for i, bound in enumerate(self.bounds) if value <= bound), -1)
        self.counts[place] += 1
        self.total += value


@dataclass
class DeviceCounts:
    """Since the process was started."""

    pass_s: Histogram = field(default_factory=lambda: Histogram(PASS_S))
    pass_patches: Histogram = field(default_factory=lambda: Histogram(PASS_PATCHES))
    failed_passes: int = 0
    #: patches whose features were not finite in 16 bits, and were computed again in float32
    patches_again: int = 0


_counts = DeviceCounts()
_guard = Lock()


@contextmanager
def counted_pass(patches: int) -> Iterator[None]:
    """Around one pass of a network on a GPU."""
    started = time.perf_counter()
    try:
        yield
    except BaseException:
        with _guard:
            _counts.failed_passes += 1
        raise
    seconds = time.perf_counter() - started
    with _guard:
        _counts.pass_s.add(seconds)
        _counts.pass_patches.add(patches)


def note_again(patches: int) -> None:
    """Count patches that are computed again in float32."""
    with _guard:
        _counts.patches_again += patches


def so_far() -> DeviceCounts:
    """A copy of the counts, which belong together."""
    with _guard:
        copy = DeviceCounts(
            failed_passes=_counts.failed_passes, patches_again=_counts.patches_again
        )
        for mine, other in (
            (copy.pass_s, _counts.pass_s),
            (copy.pass_patches, _counts.pass_patches),
        ):
            mine.total, mine.counts = other.total, other.counts.copy()
    return copy
