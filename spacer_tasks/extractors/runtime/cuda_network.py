"""Run a torch network over patches on a CUDA device.

Bytes cross to the device from pinned memory, and vectors back into it. The kernels for a few
numbers of patches are recorded once as CUDA graphs, which start with one call instead of some three
hundred. Two lanes, each with a stream and memory of its own, let two threads in at once: while the
patches of one are computed, those of the other cross.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from queue import SimpleQueue
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spacer_tasks.concurrency.device_counts import counted_pass
from spacer_tasks.concurrency.device_watch import running_pass
from spacer_tasks.extractors.runtime.devices import device_errors

log = logging.getLogger(__name__)

#: shares of the largest batch that have a graph; a batch is filled up to the next, so that at most
#: half of it is wasted, but for the smallest
GRAPH_SHARES = (1, 2, 4, 8)
#: passes before a graph is recorded: libraries choose their kernels and take their memory
WARM_UP_PASSES = 3
#: torch records one graph at a time in a process
_RECORDING = Lock()


def release_memory() -> None:
    """Give back to the device what networks that are gone have left in torch's hands.

    Errors are those of `device_errors`.
    """
    # the stubs leave out its types
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        # torch fails if it is asked to while it records
        with _RECORDING, device_errors():
            torch.cuda.empty_cache()


class CudaNetwork:
    """Patches, uint8 (n, size, size, 3), to vectors, float32 (n, dimensions), on a CUDA device.

    Several threads may call it; beyond `lanes` of them wait. Errors of the device are those of
    `device_errors`.

    Parameters
    ----------
    network
        From patches on the device, uint8, to float32 vectors there; without a step that waits for
        the device. Called in inference mode.
    device
        A CUDA device.
    size
        Rows and columns of a patch.
    max_patches
        Patches of one pass; a call with more makes several.
    lanes
        Calls at once.
    """

    def __init__(
        self,
        network: Callable[[Tensor], Tensor],
        device: torch.device,
        size: int,
        max_patches: int,
        lanes: int,
    ) -> None:
        self._max_patches = max_patches
        self._lanes: SimpleQueue[_Lane] = SimpleQueue()
        for _ in range(lanes):
            self._lanes.put(_Lane(network, device, size, max_patches))

    def __call__(self, patches: NDArray[np.uint8]) -> NDArray[np.float32]:
        lane = self._lanes.get()
        try:
            steps = range(0, max(1, len(patches)), self._max_patches)
            found = []
            for start in steps:
                some = patches[start : start + self._max_patches]
                with running_pass(), counted_pass(len(some)), device_errors():
                    found.append(lane.run(some))
            return np.concatenate(found)
        finally:
            self._lanes.put(lane)


class _Lane:
    """A stream, memory for one batch on both sides, and graphs that work on it."""

    def __init__(
        self,
        network: Callable[[Tensor], Tensor],
        device: torch.device,
        size: int,
        max_patches: int,
    ) -> None:
        self._network = network
        # the stubs leave out its types
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        shape = (max_patches, size, size, 3)
        self._pinned = torch.zeros(shape, dtype=torch.uint8, pin_memory=True)
        self._patches = torch.zeros(shape, dtype=torch.uint8, device=device)
        #: room for a pass's vectors, made when it is known how long they are
        self._vectors: Tensor | None = None
        # a thread that waits for it sleeps; one that waits for a copy or a stream takes a core
        self._done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        #: the numbers of patches that are computed, smallest first
        self._counts = sorted({-(-max_patches // share) for share in GRAPH_SHARES})
        #: by number of patches: the graph, and where it leaves its vectors
        self._graphs: dict[int, tuple[torch.cuda.CUDAGraph, Tensor]] = {}
        # the zeros are written, and the network was brought there, on other streams
        torch.cuda.synchronize(device)
        try:
            self._graphs = self._recorded()
        # the device's memory, or an operation that cannot be recorded
        except RuntimeError as error:
            log.warning("no CUDA graphs, the network runs step by step: %s", error)

    def _recorded(self) -> dict[int, tuple[torch.cuda.CUDAGraph, Tensor]]:
        graphs = {}
        pool = None
        with _RECORDING, torch.inference_mode(), torch.cuda.stream(self._stream):
            # the largest first: the others find room in its memory, since a lane runs one at a time
            for count in reversed(self._counts):
                patches = self._patches[:count]
                # a network that a task loads may meet a card that hangs, too
                with running_pass():
                    for _ in range(WARM_UP_PASSES):
                        self._network(patches)
                    self._stream.synchronize()
                graph = torch.cuda.CUDAGraph()
                # other threads may use the device meanwhile
                with torch.cuda.graph(
                    graph, pool=pool, stream=self._stream, capture_error_mode="thread_local"
                ):
                    vectors = self._network(patches)
                pool = graph.pool()
                graphs[count] = (graph, vectors)
        return graphs

    def run(self, patches: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Vectors of no more patches than there is room for."""
        count = len(patches)
        # beyond `count` are patches of before, whose vectors nobody reads
        computed = next(each for each in self._counts if each >= count)
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            self._pinned[:count].copy_(torch.from_numpy(patches))
            self._patches[:count].copy_(self._pinned[:count], non_blocking=True)
            if computed in self._graphs:
                graph, vectors = self._graphs[computed]
                graph.replay()
            else:
                vectors = self._network(self._patches[:computed])
            if self._vectors is None:
                room = (len(self._pinned), *vectors.shape[1:])
                self._vectors = torch.empty(room, dtype=vectors.dtype, pin_memory=True)
            self._vectors[:count].copy_(vectors[:count], non_blocking=True)
            self._done.record(self._stream)
            # other threads run meanwhile
            self._done.synchronize()
            # a copy: the next run writes to the same memory
            found: NDArray[np.float32] = self._vectors[:count].numpy().copy()
        return found
