"""How many threads and processes of feature workers keep the cores and a card busy: a simulation.

    python -m benchmarks.busy_device
    python -m benchmarks.busy_device --photos large small --processes 1 2 4 8 --threads 32 \
        --cores 16 --card h200

The batcher is the real one. Everything else sleeps for the time it would take: a download and an
upload, a decode on one of the cores, what holds Python's lock of its process, cutting of patches,
a pass on the card. Times are stretched, so that the figures depend little on what else this machine
does; it has to keep some hundred threads asleep.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from threading import Lock, Semaphore
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacer_tasks.extractors.runtime.micro_batcher import MicroBatcher

#: seconds to get a photo from S3, and to store its features there
DOWNLOAD_S, UPLOAD_S = 0.04, 0.03
MAX_PATCHES, WAIT_S = 64, 0.005
POINTS = 25
IMAGES_A_THREAD = 12
#: how much longer everything takes than in a worker
STRETCH = 4


@dataclass(frozen=True)
class Photo:
    """What one image takes, in seconds of processor time; measured on the H200 machine's cores.

    Attributes
    ----------
    decode_s
        Without Python's lock.
    locked_s
        With it: Celery, the lock, the answer, hashing, the feature file. The rate of one process
        with cores and card idle, 91 a second, is its inverse.
    cut_s
        Of a patch, by one of the batcher's two threads: 0.016 ms inside a photo.
    """

    decode_s: float
    locked_s: float = 0.0108
    cut_s: float = 0.000016


@dataclass(frozen=True)
class Card:
    """Seconds of a pass, for itself and for each patch."""

    call_s: float
    patch_s: float


PHOTOS = {"large": Photo(decode_s=0.072), "small": Photo(decode_s=0.003)}
CARDS = {
    #: about a card of 2020 in float32
    "2020": Card(0.003, 0.0004),
    #: docs/gpu.md, graphs in the plain layout: 2.0 ms for 8 patches, 8.0 for 64
    "h200": Card(0.0011, 0.000107),
}


class Device:
    """One pass at a time, whichever process it is of."""

    def __init__(self, card: Card, stretch: float) -> None:
        self._card, self._stretch, self._free = card, stretch, Lock()
        self.passes = self.patches = 0
        self.busy_s = 0.0

    def __call__(self, patches: NDArray[np.uint8]) -> NDArray[np.float32]:
        with self._free:
            started = time.perf_counter()
            time.sleep((self._card.call_s + self._card.patch_s * len(patches)) * self._stretch)
            self.busy_s += time.perf_counter() - started
            self.passes += 1
            self.patches += len(patches)
        return np.zeros((len(patches), 1), np.float32)


@dataclass(frozen=True)
class Rates:
    """What came of a run: images a second, busy shares, and patches of a pass."""

    images: float
    cores: float
    locks: float
    device: float
    patches: float


class Process:
    """One worker: its threads share a batcher and Python's lock, and with all others the cores."""

    def __init__(self, photo: Photo, device: Device, cores: Semaphore, stretch: float) -> None:
        self._photo, self._cores, self._stretch = photo, cores, stretch
        self._lock = Lock()
        self._batcher = MicroBatcher(device, MAX_PATCHES, WAIT_S * stretch)

    def task(self, _: int) -> None:
        """One image, from its message to its answer."""
        self._sleep(DOWNLOAD_S)
        # half of it before the network, half after
        self._locked(self._photo.locked_s / 2)
        with self._cores:
            self._sleep(self._photo.decode_s)
        self._batcher.fill(np.empty((POINTS, 1), np.float32), self._cut)
        self._locked(self._photo.locked_s / 2)
        self._sleep(UPLOAD_S)

    def _cut(self, some: slice) -> NDArray[np.uint8]:
        count = some.stop - some.start
        with self._cores:
            self._sleep(self._photo.cut_s * count)
        return np.zeros((count, 1, 1, 3), np.uint8)

    def _locked(self, seconds: float) -> None:
        # who waits for the lock has no core
        with self._lock, self._cores:
            self._sleep(seconds)

    def _sleep(self, seconds: float) -> None:
        time.sleep(seconds * self._stretch)


def measure(
    cores: int, threads: int, processes: int, photo: Photo, card: Card, stretch: float = STRETCH
) -> Rates:
    """A run of so many threads in each process."""
    device, core = Device(card, stretch), Semaphore(cores)
    workers = [Process(photo, device, core, stretch) for _ in range(processes)]
    images = threads * IMAGES_A_THREAD
    with ExitStack() as stack:
        pools = [stack.enter_context(ThreadPoolExecutor(threads)) for _ in workers]
        started = time.perf_counter()
        runs = [
            pool.map(worker.task, range(images))
            for pool, worker in zip(pools, workers, strict=True)
        ]
        for run in runs:
            list(run)
        seconds = time.perf_counter() - started
    rate = processes * images / seconds * stretch
    of_core = photo.decode_s + photo.locked_s + photo.cut_s * POINTS
    return Rates(
        images=rate,
        cores=rate * of_core / cores,
        locks=rate * photo.locked_s / processes,
        device=device.busy_s / seconds,
        patches=device.patches / device.passes,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table: a row for each number of cores, processes and threads."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.busy_device", description=__doc__)
    parser.add_argument("--cores", type=int, nargs="+", default=[2, 4, 8, 16])
    parser.add_argument("--threads-a-core", type=float, nargs="+", default=[0.5, 1, 2, 3, 4])
    parser.add_argument("--threads", type=int, nargs="+", help="of a process, whatever the cores")
    parser.add_argument("--processes", type=int, nargs="+", default=[1])
    parser.add_argument("--photos", nargs="+", choices=PHOTOS, default=["large"])
    parser.add_argument("--card", choices=CARDS, default="2020")
    parser.add_argument("--stretch", type=float, default=STRETCH)
    options: Any = parser.parse_args(arguments)
    print(
        "| photos | cores | processes | tasks at once in each | images a second | cores busy |"
        " Python's lock held | card busy | patches of a pass |"
    )
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    for name in options.photos:
        for cores in options.cores:
            for processes in options.processes:
                for threads in options.threads or [
                    max(1, round(cores * factor)) for factor in options.threads_a_core
                ]:
                    found = measure(
                        cores, threads, processes, PHOTOS[name], CARDS[options.card],
                        options.stretch,
                    )  # fmt: skip
                    print(
                        f"| {name} | {cores} | {processes} | {threads} | {found.images:.0f} |"
                        f" {found.cores:.0%} | {found.locks:.0%} | {found.device:.0%} |"
                        f" {found.patches:.0f} |",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
