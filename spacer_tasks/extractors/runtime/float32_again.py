"""Vectors that 16 bits could not hold, computed once more in float32.

float16 ends at 65,504: a single bright patch can pass it in a network whose sample patches did not.
"""

from __future__ import annotations

import logging
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from spacer_tasks.concurrency import device_counts
from spacer_tasks.config.settings import Precision
from spacer_tasks.extractors.runtime.micro_batcher import Forward

log = logging.getLogger(__name__)

#: patches computed again at once: this memory is beside that of the passes in 16 bits
AT_ONCE = 8


class Float32Again:
    """Patches to vectors in a reduced precision; those that are not finite are float32's.

    Those that are not finite in float32 either are given as they are.

    Parameters
    ----------
    forward
        In the reduced precision.
    exact
        In float32, of the same network.
    precision
        The reduced one, for the log.
    name
        The extractor's, for the log.
    """

    def __init__(self, forward: Forward, exact: Forward, precision: Precision, name: str) -> None:
        self._forward, self._exact = forward, exact
        self._precision, self._name = precision, name
        self._guard = Lock()
        self._passes = self._patches = 0

    def __call__(self, patches: NDArray[np.uint8]) -> NDArray[np.float32]:
        vectors = self._forward(patches)
        again = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if not len(again):
            return vectors
        self._say(len(again))
        vectors = vectors.copy()
        for start in range(0, len(again), AT_ONCE):
            some = again[start : start + AT_ONCE]
            vectors[some] = self._exact(patches[some])
        return vectors

    def _say(self, count: int) -> None:
        device_counts.note_again(count)
        with self._guard:
            self._passes += 1
            self._patches += count
            passes, patches = self._passes, self._patches
        # the 1st, 2nd, 4th, 8th, ...: a worker may meet thousands
        if passes & (passes - 1) == 0:
            log.warning(
                "%s: features of %d patch(es) are not finite in %s, and are computed again in"
                " float32; %d so far. If there are many, set SPACER_PRECISION to float32",
                self._name,
                count,
                self._precision,
                patches,
            )
