"""How many threads and processes of feature workers keep the cores and a card busy: a simulation.

    python -m benchmarks.busy_device
    python -m benchmarks.busy_device --photos large small --processes 1 2 4 8 --threads 32 \
        --cores 16 --card h200

The batcher is the real one. Everything else waits for the time it would take: a download and an
upload, a decode on one of the cores, what holds Python's lock of its process, cutting of patches,
a pass on the card. All of it goes by a clock of its own (`virtual_time`), so the figures are the
same on any machine, whatever else it does.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.virtual_time import Semaphore, World
from spacer_tasks.extractors.runtime import micro_batcher

#: seconds to get a photo from S3, and to store its features there
DOWNLOAD_S, UPLOAD_S = 0.04, 0.03
MAX_PATCHES, WAIT_S = 64, 0.005
POINTS = 25
IMAGES_A_THREAD = 20
#: patches of the pass that a card's best rate is of
BEST_PATCHES = 256
#: what each wait takes, beside its mean: with equal times all threads would go in step
LEAST, MOST = 0.5, 1.5


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

    @property
    def best(self) -> float:
        """Patches a second of the network alone, many at a time."""
        return BEST_PATCHES / (self.call_s + self.patch_s * BEST_PATCHES)


PHOTOS = {"large": Photo(decode_s=0.072), "small": Photo(decode_s=0.003)}
CARDS = {
    #: about a card of 2020 in float32
    "2020": Card(0.003, 0.0004),
    #: docs/gpu.md, graphs in the plain layout: 2.0 ms for 8 patches, 8.0 for 64
    "h200": Card(0.0011, 0.000107),
}


class Device:
    """One pass at a time, whichever process it is of."""

    def __init__(self, card: Card, world: World) -> None:
        self._card, self._world, self._free = card, world, Semaphore(world, 1)
        #: when each pass ended, its seconds and its patches
        self.passes: list[tuple[float, float, int]] = []

    def __call__(self, patches: NDArray[np.uint8]) -> NDArray[np.float32]:
        with self._free:
            seconds = self._card.call_s + self._card.patch_s * len(patches)
            self._world.sleep(seconds)
            self.passes.append((self._world.now, seconds, len(patches)))
        return np.zeros((len(patches), 1), np.float32)


@dataclass(frozen=True)
class Rates:
    """What came of a run: images a second, shares of what limits them, and patches of a pass.

    Attributes
    ----------
    of_decoding
        Of the rate at which all cores would decode, did they nothing else.
    of_best
        Of the network's best rate.
    cores, locks, device
        The shares of time in which they are busy.
    """

    images: float
    of_decoding: float
    of_best: float
    cores: float
    locks: float
    device: float
    patches: float


class Process:
    """One worker: its threads share a batcher and Python's lock, and with all others the cores."""

    def __init__(
        self, number: int, photo: Photo, device: Device, cores: Semaphore, world: World
    ) -> None:
        self._photo, self._cores, self._world = photo, cores, world
        self._lock = Semaphore(world, 1)
        self._random = np.random.default_rng(number)
        self._batcher = micro_batcher.MicroBatcher(device, MAX_PATCHES, WAIT_S)
        #: when each image was done
        self.done: list[float] = []

    def thread(self) -> None:
        """One image after another, each from its message to its answer."""
        for _ in range(IMAGES_A_THREAD):
            self._take(DOWNLOAD_S)
            # half of it before the network, half after
            self._locked(self._photo.locked_s / 2)
            with self._cores:
                self._take(self._photo.decode_s)
            self._batcher.fill(np.empty((POINTS, 1), np.float32), self._cut)
            self._locked(self._photo.locked_s / 2)
            self._take(UPLOAD_S)
            self.done.append(self._world.now)

    def _cut(self, some: slice) -> NDArray[np.uint8]:
        count = some.stop - some.start
        with self._cores:
            self._take(self._photo.cut_s * count)
        return np.zeros((count, 1, 1, 3), np.uint8)

    def _locked(self, seconds: float) -> None:
        # who waits for the lock has no core
        with self._lock, self._cores:
            self._take(seconds)

    def _take(self, seconds: float) -> None:
        self._world.sleep(seconds * self._random.uniform(LEAST, MOST))


def measure(cores: int, threads: int, processes: int, photo: Photo, card: Card) -> Rates:
    """A run of so many threads in each process."""
    world = World()
    with world.stands_in(micro_batcher):
        device, core = Device(card, world), Semaphore(world, cores)
        workers = [Process(number, photo, device, core, world) for number in range(processes)]
        world.run(*[worker.thread for worker in workers for _ in range(threads)])
    # without the time in which workers begin, and that in which some have nothing left to do
    done = sorted(time for worker in workers for time in worker.done)
    steady = done[len(done) // 10 : len(done) - len(done) // 10]
    low, high = steady[0], steady[-1]
    rate = (len(steady) - 1) / (high - low)
    of_core = photo.decode_s + photo.locked_s + photo.cut_s * POINTS
    passes = [each for each in device.passes if low < each[0] <= high]
    return Rates(
        images=rate,
        of_decoding=rate * photo.decode_s / cores,
        of_best=rate * POINTS / card.best,
        cores=rate * of_core / cores,
        locks=rate * photo.locked_s / processes,
        device=sum(seconds for _, seconds, _ in passes) / (high - low),
        patches=sum(patches for *_, patches in passes) / len(passes),
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
    options: Any = parser.parse_args(arguments)
    print(
        "| photos | cores | processes | tasks at once in each | images a second | of decoding alone"
        " | of the network's best | cores busy | Python's lock held | card busy | patches of a pass"
        " |"
    )
    print("|---" + "|--:" * 10 + "|")
    for name in options.photos:
        for cores in options.cores:
            for processes in options.processes:
                for threads in options.threads or [
                    max(1, round(cores * factor)) for factor in options.threads_a_core
                ]:
                    found = measure(cores, threads, processes, PHOTOS[name], CARDS[options.card])
                    print(
                        f"| {name} | {cores} | {processes} | {threads} | {found.images:.0f} |"
                        f" {found.of_decoding:.0%} | {found.of_best:.0%} | {found.cores:.0%} |"
                        f" {found.locks:.0%} | {found.device:.0%} | {found.patches:.0f} |",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
