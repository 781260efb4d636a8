"""Patches of several images, also of several tasks, merged into one pass of the network.

A GPU takes 64 patches in little more time than 10, so what the tasks of a worker have at hand goes
to it together. A CPU gains nothing: a few patches fill its caches (see `onnx_network`), and each
would only wait for others; so there an extractor has no batcher.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from threading import Condition, Lock

import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)

#: passes at once: while one is computed, the patches of the next are cut and copied
IN_FLIGHT = 2
#: passes without trouble after which twice as many patches are tried again: what took the
#: device's memory may be gone, and a worker runs for weeks
TRY_MORE_AFTER = 100

Forward = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
#: the patches of some of a request's points
Cut = Callable[[slice], NDArray[np.uint8]]


class MicroBatcher:
    """Runs `forward` over the patches of all requests, many at a time.

    A pass takes up to `max_patches`, or what there is `max_wait_s` after the first of them came,
    whichever is first. Requests share it equally, so that a small image passes a large one. Patches
    are cut when it is their turn: however many requests wait, the patches of `in_flight` passes
    are in memory.

    A request whose patches make `forward` fail gets the error; those that were in the same pass
    are run again without it. Where memory runs out (`MemoryError`), passes become smaller.

    Threads are started at the first request, and end with the batcher.

    Parameters
    ----------
    forward
        As `Extractor.forward`; called by `in_flight` threads at once.
    max_patches
        Patches of a pass.
    max_wait_s
        Seconds.
    in_flight
        Passes at once.
    """

    def __init__(
        self,
        forward: Forward,
        max_patches: int,
        max_wait_s: float,
        in_flight: int = IN_FLIGHT,
    ) -> None:
        self._forward = forward
        self._max_patches = max_patches
        self._max_wait_s = max_wait_s
        self._in_flight = in_flight
        # an idle pool's threads do not keep it, and so not the network, from being collected
        self._threads = ThreadPoolExecutor(in_flight, thread_name_prefix="micro-batch")
        self._changed = Condition()
        self._waiting: deque[_Request] = deque()
        self._running = 0
        self._limit = max_patches
        self._good_passes = 0

    @property
    def limit(self) -> int:
        """Patches of a pass at present: `max_patches`, or fewer where memory ran out."""
        return self._limit

    def fill(self, vectors: NDArray[np.float32], cut: Cut) -> None:
        """Compute the vectors of one request; returns when all are there.

        Parameters
        ----------
        vectors
            Shape (points, dimensions); it is written to.
        cut
            Gives the patches, uint8 (n, size, size, 3), of the points in a slice. Called by other
            threads, before this returns.
        """
        if not len(vectors):
            return
        request = _Request(vectors, cut)
        with self._changed:
            self._waiting.append(request)
            try:
                self._start_one()
            except BaseException:
                # the interpreter shuts down
                self._waiting.remove(request)
                raise
            self._changed.notify_all()
        try:
            request.done.result()
        finally:
            # interrupted, or failed with points left
            self._drop(request)

    def _drop(self, request: _Request) -> None:
        with self._changed:
            if request in self._waiting:
                self._waiting.remove(request)

    def _start_one(self) -> None:
        if self._running < self._in_flight:
            self._threads.submit(self._serve)
            self._running += 1

    def _serve(self) -> None:
        """Run passes until nothing waits."""
        while parts := self._next_pass():
            try:
                self._run(parts)
            # whatever it is, no request may wait for ever
            except BaseException as error:  # noqa: BLE001
                for part in parts:
                    part.request.fail(error)

    def _next_pass(self) -> list[_Part]:
        with self._changed:
            while self._waiting:
                came = min(request.came for request in self._waiting)
                left_s = came + self._max_wait_s - time.monotonic()
                if left_s <= 0 or sum(each.left for each in self._waiting) >= self._limit:
                    return self._take()
                self._changed.wait(left_s)
            self._running -= 1
            return []

    def _take(self) -> list[_Part]:
        """An equal share of each request; who gets none, or not all, is among the next."""
        counts: dict[_Request, int] = {}
        room = self._limit
        while room and self._waiting:
            share = max(1, room // len(self._waiting))
            for _ in range(min(room, len(self._waiting))):
                request = self._waiting.popleft()
                count = min(share, request.left, room)
                counts[request] = counts.get(request, 0) + count
                request.left -= count
                room -= count
                if request.left:
                    self._waiting.append(request)
        if self._waiting:
            # while the interpreter shuts down no thread starts: this one goes on alone
            with suppress(RuntimeError):
                self._start_one()
        return [request.part(count) for request, count in counts.items()]

    def _run(self, parts: list[_Part]) -> None:
        """One pass, or several where that fails; its errors are the requests'."""
        parts, patches = _cut(parts)
        count = sum(len(part) for part in parts)
        if not count:
            return
        try:
            vectors = self._forward(patches[0] if len(patches) == 1 else np.concatenate(patches))
            _hand_out(vectors, parts)
        except MemoryError as error:
            if count == 1:
                parts[0].request.fail(error)
                return
            self._take_fewer(count)
            again = _halves(parts, count // 2)
        except BaseException as error:  # noqa: BLE001 -- raised to the request
            if len(parts) == 1:
                parts[0].request.fail(error)
                return
            log.warning("a pass of %d requests failed (%r): each runs alone", len(parts), error)
            again = [[part] for part in parts]
        else:
            self._try_more()
            return
        # only here: the error's traceback holds what the pass had in memory
        del patches
        for some in again:
            self._run(some)

    def _take_fewer(self, count: int) -> None:
        with self._changed:
            self._good_passes = 0
            if count // 2 < self._limit:
                self._limit = max(1, count // 2)
                log.warning(
                    "no memory for %d patches: %d at a time from now on", count, self._limit
                )

    def _try_more(self) -> None:
        with self._changed:
            self._good_passes += 1
            if self._limit < self._max_patches and self._good_passes >= TRY_MORE_AFTER:
                self._good_passes = 0
                self._limit = min(self._max_patches, 2 * self._limit)


class _Request:
    """The points of one image."""

    def __init__(self, vectors: NDArray[np.float32], cut: Cut) -> None:
        self.vectors, self.cut = vectors, cut
        self.came = time.monotonic()
        #: points that no pass has taken
        self.left = len(vectors)
        #: points whose vectors are not there yet
        self._missing = len(vectors)
        self.done: Future[None] = Future()
        self._lock = Lock()

    def part(self, count: int) -> _Part:
        """The last `count` points that were taken."""
        stop = len(self.vectors) - self.left
        return _Part(self, stop - count, stop)

    def received(self, count: int) -> None:
        with self._lock:
            self._missing -= count
            if not self._missing and not self.done.done():
                self.done.set_result(None)

    def fail(self, error: BaseException) -> None:
        with self._lock:
            # points of one request can be in two passes
            if not self.done.done():
                self.done.set_exception(error)


class _Part:
    """The points of a request that are in one pass."""

    def __init__(self, request: _Request, start: int, stop: int) -> None:
        self.request, self.start, self.stop = request, start, stop

    def __len__(self) -> int:
        return self.stop - self.start


def _cut(parts: list[_Part]) -> tuple[list[_Part], list[NDArray[np.uint8]]]:
    """The parts whose request has not failed yet, and the patches of each."""
    kept, patches = [], []
    for part in parts:
        if part.request.done.done():
            continue
        try:
            patches.append(part.request.cut(slice(part.start, part.stop)))
        except BaseException as error:  # noqa: BLE001 -- it is the request's error
            part.request.fail(error)
        else:
            kept.append(part)
    return kept, patches


def _hand_out(vectors: NDArray[np.float32], parts: list[_Part]) -> None:
    count = sum(len(part) for part in parts)
    if len(vectors) != count:
        raise ValueError(f"the network gave {len(vectors)} vectors of {count} patches")
    start = 0
    for part in parts:
        part.request.vectors[part.start : part.stop] = vectors[start : start + len(part)]
        start += len(part)
    for part in parts:
        part.request.received(len(part))


def _halves(parts: list[_Part], count: int) -> list[list[_Part]]:
    """The first `count` points, and the rest."""
    first: list[_Part] = []
    second: list[_Part] = []
    for part in parts:
        cut = part.start + min(len(part), count)
        count -= cut - part.start
        first += [_Part(part.request, part.start, cut)] if cut > part.start else []
        second += [_Part(part.request, cut, part.stop)] if cut < part.stop else []
    return [first, second]
