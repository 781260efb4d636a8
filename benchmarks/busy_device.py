"""How many threads of a feature worker keep its cores and its device busy: a simulation.

    python -m benchmarks.busy_device

The batcher is the real one. Everything else sleeps for the time it would take: a download and an
upload, a decode on one of the cores, a pass on the device. So the figures do not depend on what
else this machine does, as long as it can keep some threads asleep.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock, Semaphore
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacer_tasks.extractors.runtime.micro_batcher import MicroBatcher

#: seconds; of a photo of 12 megapixels: from S3, decoded with simplejpeg, its features to S3
DOWNLOAD_S, DECODE_S, UPLOAD_S = 0.04, 0.065, 0.03
#: seconds of a pass for the call and for each patch: about a GPU of 2020 in float32
CALL_S, PATCH_S = 0.003, 0.0004
MAX_PATCHES, WAIT_S = 64, 0.005
POINTS = 25
IMAGES_A_THREAD = 12


@dataclass
class Device:
    """One pass at a time."""

    passes: int = 0
    patches: int = 0
    busy_s: float = 0

    def __post_init__(self) -> None:
        self._free = Lock()

    def __call__(self, patches: NDArray[np.uint8]) -> NDArray[np.float32]:
        with self._free:
            started = time.perf_counter()
            time.sleep(CALL_S + PATCH_S * len(patches))
            self.busy_s += time.perf_counter() - started
            self.passes += 1
            self.patches += len(patches)
        return np.zeros((len(patches), 1), np.float32)


def measure(cores: int, threads: int) -> tuple[float, float, float, float]:
    """Images a second, the busy share of the cores and of the device, patches of a pass."""
    device, core = Device(), Semaphore(cores)
    batcher = MicroBatcher(device, MAX_PATCHES, WAIT_S)
    images = threads * IMAGES_A_THREAD

    def task(_: int) -> None:
        time.sleep(DOWNLOAD_S)
        with core:
            time.sleep(DECODE_S)
        vectors = np.empty((POINTS, 1), np.float32)
        batcher.fill(vectors, _patches)
        time.sleep(UPLOAD_S)

    with ThreadPoolExecutor(threads) as pool:
        started = time.perf_counter()
        list(pool.map(task, range(images)))
        seconds = time.perf_counter() - started
    rate = images / seconds
    return rate, rate * DECODE_S / cores, device.busy_s / seconds, device.patches / device.passes


def _patches(some: slice) -> NDArray[np.uint8]:
    return np.zeros((some.stop - some.start, 1, 1, 3), np.uint8)


def main(arguments: list[str] | None = None) -> None:
    """Print a table for some numbers of cores."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.busy_device", description=__doc__)
    parser.add_argument("--cores", type=int, nargs="+", default=[2, 4, 8, 16])
    parser.add_argument("--threads-a-core", type=float, nargs="+", default=[0.5, 1, 2, 3, 4])
    options: Any = parser.parse_args(arguments)
    print("| cores | threads | images a second | cores busy | device busy | patches of a pass |")
    print("|---|---|---|---|---|---|")
    for cores in options.cores:
        for factor in options.threads_a_core:
            threads = max(1, round(cores * factor))
            rate, decode, device, patches = measure(cores, threads)
            print(
                f"| {cores} | {threads} | {rate:.0f} | {decode:.0%} | {device:.0%} |"
                f" {patches:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
