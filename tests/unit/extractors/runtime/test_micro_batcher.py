"""The micro-batcher on a simulated device: what goes into a pass, and whose errors are whose.

No time is asserted. The device says what each pass held; it can be held up, so that requests wait
for certain, and a limit that would never be reached makes a wrong batcher hang, not fail by chance.
"""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from spacer_tasks import operations, storage
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import ImageError
from spacer_tasks.extractors.dummy import DummyExtractor, DummyOptions
from spacer_tasks.extractors.runtime import micro_batcher
from spacer_tasks.extractors.runtime.micro_batcher import MicroBatcher

#: seconds that a busy machine may take; only reached by a test that fails
PATIENCE_S = 120
#: longer than any test
NEVER_S = 1e6


class Device:
    """A device that takes so long for a call and so long for a patch, and remembers every pass.

    A patch is one number: 1000 × its request + its point. Its vector is that number and its half.
    """

    def __init__(self, call_s: float = 0, patch_s: float = 0) -> None:
        self.call_s, self.patch_s = call_s, patch_s
        #: for each pass that ended well, or failed, its patches' numbers
        self.passes: list[list[int]] = []
        self.failed: list[list[int]] = []
        self.bad: set[int] = set()
        self.memory = 10**9
        #: passes wait until it is set
        self.free = threading.Event()
        self.free.set()
        #: passes that have begun
        self.entered = threading.Semaphore(0)
        self.running = self.most_running = 0
        self._lock = threading.Lock()

    def __call__(self, patches: NDArray[np.uint8]) -> NDArray[np.float32]:
        numbers = patches.view(np.int64).ravel()
        with self._lock:
            self.running += 1
            self.most_running = max(self.running, self.most_running)
        self.entered.release()
        try:
            assert self.free.wait(PATIENCE_S)
            time.sleep(self.call_s + self.patch_s * len(numbers))
            failure: Exception | None = None
            if len(numbers) > self.memory:
                failure = MemoryError(f"no room for {len(numbers)}")
            elif bad := self.bad & set(numbers.tolist()):
                failure = ValueError(f"bad patches {sorted(bad)}")
            with self._lock:
                (self.failed if failure else self.passes).append(numbers.tolist())
            if failure:
                raise failure
        finally:
            with self._lock:
                self.running -= 1
        return np.stack([numbers, numbers / 2], axis=1).astype(np.float32)

    def wait_until_busy(self) -> None:
        assert self.entered.acquire(timeout=PATIENCE_S)

    def counts(self) -> list[dict[int, int]]:
        """For each pass, how many patches of which request."""
        return [dict(Counter(number // 1000 for number in each)) for each in self.passes]


def numbers_of(request: int, points: int) -> NDArray[np.int64]:
    return 1000 * request + np.arange(points)


def patches_of(request: int, points: int) -> NDArray[np.uint8]:
    return numbers_of(request, points).view(np.uint8).reshape(points, 1, 1, 8)


@pytest.fixture
def callers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(64) as pool:
        yield pool


Ask = Callable[..., "Future[NDArray[np.float32]]"]


@pytest.fixture
def ask(callers: ThreadPoolExecutor) -> Ask:
    """Send a request from a thread of its own; it is with the batcher when this returns."""

    def send(batcher: MicroBatcher, request: int, points: int) -> Future[NDArray[np.float32]]:
        patches = patches_of(request, points)
        vectors = np.full((points, 2), np.nan, np.float32)
        cuts: list[slice] = []

        def cut(some: slice) -> NDArray[np.uint8]:
            cuts.append(some)
            return patches[some]

        def run() -> NDArray[np.float32]:
            batcher.fill(vectors, cut)
            return vectors

        def has_arrived() -> bool:
            with batcher._changed:
                waiting = [each.vectors for each in batcher._waiting]
            return bool(cuts) or any(each is vectors for each in waiting)

        future = callers.submit(run)
        until(has_arrived)
        return future

    return send


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end
        time.sleep(0.001)


def check(vectors: NDArray[np.float32], request: int) -> None:
    numbers = numbers_of(request, len(vectors))
    np.testing.assert_array_equal(vectors, np.stack([numbers, numbers / 2], axis=1))


# --- what goes into a pass ---------------------------------------------------------------------


def test_what_waits_while_the_device_is_busy_goes_into_one_pass(ask: Ask) -> None:
    device = Device(call_s=0.002, patch_s=0.0001)
    batcher = MicroBatcher(device, 64, 0, in_flight=1)
    device.free.clear()
    futures = [ask(batcher, 0, 1)]
    device.wait_until_busy()
    futures += [ask(batcher, request, 10) for request in range(1, 6)]
    device.free.set()
    for request, future in enumerate(futures):
        check(future.result(PATIENCE_S), request)
    assert device.counts() == [{0: 1}, dict.fromkeys(range(1, 6), 10)]


def test_a_full_pass_waits_for_no_time(ask: Ask) -> None:
    device = Device()
    batcher = MicroBatcher(device, 20, NEVER_S)
    futures = [ask(batcher, 0, 7), ask(batcher, 1, 13)]
    for request, future in enumerate(futures):
        check(future.result(PATIENCE_S), request)
    assert device.counts() == [{0: 7, 1: 13}]


def test_patches_wait_for_others_until_there_are_enough(ask: Ask) -> None:
    device = Device()
    batcher = MicroBatcher(device, 20, NEVER_S)
    first = ask(batcher, 0, 19)
    assert not device.entered.acquire(timeout=0.2)
    second = ask(batcher, 1, 1)
    check(first.result(PATIENCE_S), 0)
    check(second.result(PATIENCE_S), 1)


def test_a_pass_that_does_not_fill_goes_when_its_time_is_up(ask: Ask) -> None:
    device = Device()
    batcher = MicroBatcher(device, 10**6, 0.01)
    check(ask(batcher, 3, 5).result(PATIENCE_S), 3)
    assert device.counts() == [{3: 5}]


def test_a_small_image_passes_a_large_one(ask: Ask) -> None:
    device = Device()
    batcher = MicroBatcher(device, 64, 0, in_flight=1)
    device.free.clear()
    large = ask(batcher, 1, 1000)
    device.wait_until_busy()
    small = ask(batcher, 2, 10)
    device.free.set()
    check(small.result(PATIENCE_S), 2)
    check(large.result(PATIENCE_S), 1)
    counts = device.counts()
    assert counts[:2] == [{1: 64}, {1: 54, 2: 10}]
    # full to the end: 1010 patches are 15 passes of 64 and one of 50
    assert [sum(each.values()) for each in counts] == [64] * 15 + [50]


def test_each_request_gets_the_same_share_of_a_pass(ask: Ask) -> None:
    device = Device()
    batcher = MicroBatcher(device, 60, 0, in_flight=1)
    device.free.clear()
    futures = [ask(batcher, 0, 1)]
    device.wait_until_busy()
    futures += [ask(batcher, request, points) for request, points in ((1, 500), (2, 5), (3, 90))]
    device.free.set()
    for request, future in enumerate(futures):
        check(future.result(PATIENCE_S), request)
    counts = device.counts()
    # a third each; what the small one leaves is shared again
    assert counts[1] == {1: 28, 2: 5, 3: 27} or counts[1] == {1: 27, 2: 5, 3: 28}
    assert counts[2] == {1: 30, 3: 30}


def test_of_more_requests_than_a_pass_has_places_each_comes_in_turn(ask: Ask) -> None:
    device = Device()
    batcher = MicroBatcher(device, 4, 0, in_flight=1)
    device.free.clear()
    futures = [ask(batcher, 0, 1)]
    device.wait_until_busy()
    futures += [ask(batcher, request, 2) for request in range(1, 11)]
    device.free.set()
    for request, future in enumerate(futures):
        check(future.result(PATIENCE_S), request)
    order = [number // 1000 for each in device.passes for number in each]
    assert order[1:11] == list(range(1, 11))
    assert sorted(order[11:]) == list(range(1, 11))


def test_many_small_images_take_few_passes(ask: Ask) -> None:
    device = Device(call_s=0.005)
    batcher = MicroBatcher(device, 64, 0.001)
    futures = [ask(batcher, request, 10) for request in range(40)]
    for request, future in enumerate(futures):
        check(future.result(PATIENCE_S), request)
    assert sum(len(each) for each in device.passes) == 400
    assert max(len(each) for each in device.passes) <= 64
    assert device.most_running <= micro_batcher.IN_FLIGHT


def test_one_pass_is_prepared_while_another_is_computed(ask: Ask) -> None:
    device = Device()
    batcher = MicroBatcher(device, 4, 0)
    device.free.clear()
    future = ask(batcher, 1, 20)
    for _ in range(micro_batcher.IN_FLIGHT):
        device.wait_until_busy()
    # and no more: the patches of the others are not cut yet
    assert not device.entered.acquire(timeout=0.1)
    device.free.set()
    check(future.result(PATIENCE_S), 1)


def test_patches_are_cut_only_for_the_passes_at_hand(callers: ThreadPoolExecutor) -> None:
    device = Device()
    batcher = MicroBatcher(device, 8, 0)
    device.free.clear()
    cut: list[int] = []
    patches = patches_of(1, 500)

    def some(points: slice) -> NDArray[np.uint8]:
        cut.append(points.stop - points.start)
        return patches[points]

    vectors = np.empty((500, 2), np.float32)
    future = callers.submit(batcher.fill, vectors, some)
    for _ in range(micro_batcher.IN_FLIGHT):
        device.wait_until_busy()
    assert sum(cut) == 8 * micro_batcher.IN_FLIGHT
    device.free.set()
    future.result(PATIENCE_S)
    check(vectors, 1)


def test_no_points_are_no_pass() -> None:
    device = Device()
    batcher = MicroBatcher(device, 8, NEVER_S)
    batcher.fill(np.empty((0, 2), np.float32), lambda some: patches_of(0, 0))
    assert device.passes == []


# --- errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_flight", [1, 2])
def test_an_error_is_raised_to_the_request_that_causes_it_and_to_no_other(
    ask: Ask, in_flight: int
) -> None:
    device = Device()
    device.bad = {2004}
    batcher = MicroBatcher(device, 30, NEVER_S, in_flight)
    futures = {request: ask(batcher, request, 10) for request in (1, 2, 3)}
    check(futures[1].result(PATIENCE_S), 1)
    check(futures[3].result(PATIENCE_S), 3)
    with pytest.raises(ValueError, match=r"bad patches \[2004\]"):
        futures[2].result(PATIENCE_S)
    assert [len(each) for each in device.failed] == [30, 10]
    assert device.counts() == [{1: 10}, {3: 10}]


def test_the_rest_of_a_request_that_failed_is_not_computed(ask: Ask) -> None:
    device = Device()
    device.bad = {1000}
    batcher = MicroBatcher(device, 10, 0, in_flight=1)
    device.free.clear()
    failing = ask(batcher, 1, 900)
    device.wait_until_busy()
    device.free.set()
    with pytest.raises(ValueError, match="bad patches"):
        failing.result(PATIENCE_S)
    # the failed request is gone when its caller has the error
    computed = len(device.passes)
    check(ask(batcher, 2, 10).result(PATIENCE_S), 2)
    assert device.counts()[computed:] == [{2: 10}]


def test_patches_that_cannot_be_cut_fail_their_request_alone(
    ask: Ask, callers: ThreadPoolExecutor
) -> None:
    device = Device()
    batcher = MicroBatcher(device, 20, NEVER_S)

    def broken(_: slice) -> NDArray[np.uint8]:
        raise IndexError("no such row")

    other = ask(batcher, 1, 10)
    future = callers.submit(batcher.fill, np.empty((10, 2), np.float32), broken)
    with pytest.raises(IndexError, match="no such row"):
        future.result(PATIENCE_S)
    check(other.result(PATIENCE_S), 1)


def test_a_network_that_gives_too_few_vectors_is_an_error(ask: Ask) -> None:
    device = Device()
    batcher = MicroBatcher(lambda patches: device(patches)[1:], 10, 0)
    with pytest.raises(ValueError, match="gave 9 vectors of 10 patches"):
        ask(batcher, 1, 10).result(PATIENCE_S)


def test_where_memory_runs_out_passes_become_smaller_for_all(ask: Ask) -> None:
    device = Device()
    device.memory = 20
    batcher = MicroBatcher(device, 64, NEVER_S, in_flight=1)
    futures = {request: ask(batcher, request, 32) for request in (1, 2)}
    for request, future in futures.items():
        check(future.result(PATIENCE_S), request)
    assert [len(each) for each in device.failed] == [64, 32, 32]
    assert [len(each) for each in device.passes] == [16, 16, 16, 16]
    assert batcher.limit == 16
    # from then on without trying
    check(ask(batcher, 3, 32).result(PATIENCE_S), 3)
    assert len(device.failed) == 3


def test_when_memory_is_back_passes_become_larger(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(micro_batcher, "TRY_MORE_AFTER", 3)
    device = Device()
    device.memory = 8
    batcher = MicroBatcher(device, 32, 0, in_flight=1)
    check(ask(batcher, 1, 32).result(PATIENCE_S), 1)
    assert batcher.limit == 8
    device.memory = 10**9
    check(ask(batcher, 2, 900).result(PATIENCE_S), 2)
    assert batcher.limit == 32


def test_one_patch_that_memory_does_not_hold_is_its_request_s_error(ask: Ask) -> None:
    device = Device()
    device.memory = 0
    batcher = MicroBatcher(device, 4, 0)
    with pytest.raises(MemoryError):
        ask(batcher, 1, 4).result(PATIENCE_S)
    device.memory = 4
    check(ask(batcher, 2, 4).result(PATIENCE_S), 2)


# --- its end -----------------------------------------------------------------------------------


def test_a_batcher_that_nobody_holds_ends_its_threads_and_lets_the_network_go(ask: Ask) -> None:
    device = Device()
    batcher = MicroBatcher(device, 4, 0)
    check(ask(batcher, 1, 40).result(PATIENCE_S), 1)
    threads = [each for each in threading.enumerate() if each.name.startswith("micro-batch")]
    assert threads
    del batcher
    gc.collect()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert not any(thread.is_alive() for thread in threads)


def test_a_process_that_ends_with_requests_in_hand_answers_them_and_ends() -> None:
    code = """
import threading, time
import numpy as np
from spacer_tasks.extractors.runtime.micro_batcher import MicroBatcher
def forward(patches):
    time.sleep(0.05)
    return np.ones((len(patches), 2), np.float32)
batcher = MicroBatcher(forward, 4, 0.001)
def task(points, begun):
    vectors = np.zeros((points, 2), np.float32)
    def cut(some):
        begun.set()
        return np.zeros((some.stop - some.start, 1, 1, 3), np.uint8)
    batcher.fill(vectors, cut)
    print(int(vectors.sum()))
for points in (20, 30):
    begun = threading.Event()
    threading.Thread(target=task, args=(points, begun)).start()
    begun.wait()
"""
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE_S, check=True
    )
    assert sorted(ran.stdout.split()) == ["40", "60"], ran.stderr


# --- all together ------------------------------------------------------------------------------


def test_requests_of_all_sizes_with_errors_among_them_each_get_their_own(
    callers: ThreadPoolExecutor,
) -> None:
    random = np.random.default_rng(5)
    points = random.integers(1, 200, 300).tolist()
    device = Device()
    device.memory = 40
    device.bad = {1000 * request + points[request] // 2 for request in range(0, 300, 25)}
    batcher = MicroBatcher(device, 64, 0.001)

    def run(request: int) -> str:
        patches = patches_of(request, points[request])
        vectors = np.full((points[request], 2), np.nan, np.float32)
        try:
            batcher.fill(vectors, lambda some: patches[some])
        except ValueError as error:
            return str(error)
        check(vectors, request)
        return "right"

    answers = list(callers.map(run, range(300), timeout=PATIENCE_S))
    assert [request for request, answer in enumerate(answers) if answer != "right"] == list(
        range(0, 300, 25)
    )
    for request in range(0, 300, 25):
        assert answers[request] == f"bad patches [{1000 * request + points[request] // 2}]"


class Counting(DummyExtractor):
    """Remembers how many patches each pass had."""

    passes: list[int]

    def forward(self, patches: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.passes.append(len(patches))
        return super().forward(patches)


def test_an_extractor_that_merges_images_gives_the_same_vectors_in_fewer_passes(
    callers: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
    settings_changed: Callable[[], None],
) -> None:
    monkeypatch.setenv("SPACER_GPU_BATCH_WAIT_MS", str(1000 * NEVER_S))
    settings_changed()
    photos = [np.random.default_rng(i).integers(0, 256, (250, 300, 3), np.uint8) for i in range(4)]
    points = [[(i * row, 7 * i) for i in range(25)] for row in range(4)]
    plain, merging = (Counting("dummy", {}, DummyOptions(feature_dim=5)) for _ in range(2))
    plain.passes, merging.passes = [], []
    merging.batch_size = 50
    merging.merge_images()
    alone = [plain.extract(photo, some) for photo, some in zip(photos, points, strict=True)]
    merged = list(callers.map(merging.extract, photos, points, timeout=PATIENCE_S))
    np.testing.assert_array_equal(merged, alone)
    assert plain.passes == [10, 10, 5] * 4
    # a pass goes only when it is full: each has patches of two images or more
    assert merging.passes == [50, 50]


def test_tasks_of_a_worker_s_threads_are_merged_and_a_bad_image_fails_alone(
    callers: ThreadPoolExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extractor = Counting("dummy", {}, DummyOptions(feature_dim=5))
    extractor.passes = []
    extractor.batch_size = 64
    extractor.merge_images()
    monkeypatch.setattr(operations, "load_extractor", lambda _: extractor)
    for number in range(8):
        photo = np.random.default_rng(number).integers(0, 256, (250, 300, 3), np.uint8)
        Image.fromarray(photo).save(tmp_path / f"{number}.png")
    (tmp_path / "3.png").write_bytes(b"no image")

    def task(number: int) -> str:
        message = {
            "job_token": str(number),
            "extractor": {"class_path": "dummy", "feature_dim": 5},
            "rowcols": [(row, 2 * row) for row in range(10)],
            "image_loc": DataLocation.parse(str(tmp_path / f"{number}.png")).model_dump(),
            "feature_loc": DataLocation.parse(str(tmp_path / f"{number}.npz")).model_dump(),
        }
        try:
            operations.extract_features(message)
        except ImageError:
            return "bad image"
        return "stored" if (tmp_path / f"{number}.npz").exists() else "not stored"

    answers = list(callers.map(task, range(8), timeout=PATIENCE_S))
    assert answers == ["bad image" if number == 3 else "stored" for number in range(8)]
    assert sum(extractor.passes) == 70


def test_features_are_stored_while_the_network_computes_those_of_another_task(
    callers: ThreadPoolExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second_computed = threading.Event()

    class Watched(DummyExtractor):
        def forward(self, patches: NDArray[np.uint8]) -> NDArray[np.float32]:
            # both may be in one pass
            if (patches[:, 0, 0, 0] == 2).any():
                second_computed.set()
            return super().forward(patches)

    extractor = Watched("dummy", {}, DummyOptions(feature_dim=5))
    extractor.merge_images()
    monkeypatch.setattr(operations, "load_extractor", lambda _: extractor)
    stored: list[str] = []
    store = storage.store_once

    def slow_store(loc: DataLocation, data: bytes) -> bool:
        # the first is not stored before the network has the second
        if loc.key.endswith("1.npz"):
            assert second_computed.wait(PATIENCE_S)
        stored.append(loc.key)
        return store(loc, data)

    monkeypatch.setattr(storage, "store_once", slow_store)

    def task(number: int) -> None:
        photo = np.full((250, 300, 3), number, np.uint8)
        Image.fromarray(photo).save(tmp_path / f"{number}.png")
        operations.extract_features(
            {
                "job_token": str(number),
                "extractor": {"class_path": "dummy", "feature_dim": 5},
                "rowcols": [(100, 100)],
                "image_loc": DataLocation.parse(str(tmp_path / f"{number}.png")).model_dump(),
                "feature_loc": DataLocation.parse(str(tmp_path / f"{number}.npz")).model_dump(),
            }
        )

    for future in [callers.submit(task, number) for number in (1, 2)]:
        future.result(PATIENCE_S)
    assert len(stored) == 2


def test_on_a_cpu_no_image_waits_for_another() -> None:
    extractor = Counting("dummy", {}, DummyOptions(feature_dim=5))
    extractor.passes = []
    extractor.extract(np.zeros((250, 300, 3), np.uint8), [(5, 5)])
    assert extractor._batcher is None
    assert extractor.passes == [1]
