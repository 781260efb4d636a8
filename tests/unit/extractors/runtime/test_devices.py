"""What a device that fails is: no memory, lost, or an error like any other. No device is needed."""

from __future__ import annotations

import gc
import time
import weakref
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from spacer_tasks.concurrency import device_watch
from spacer_tasks.exceptions import ConfigError, DeviceLostError
from spacer_tasks.extractors.runtime import devices
from spacer_tasks.extractors.runtime.devices import check_device, chosen_device, device_errors
from spacer_tasks.extractors.runtime.micro_batcher import MicroBatcher
from spacer_tasks.worker import start, watchdog
from spacer_tasks.worker.watchdog import DEVICE, PASS_LIMIT_S, Watchdog

ASSERTION = "CUDA error: device-side assert triggered\nSearch for `cudaErrorAssert' in ..."


@pytest.fixture(autouse=True)
def nothing_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_watch, "_reason", None)
    monkeypatch.setattr(device_watch, "_watched", False)


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that is in use, and answers."""
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _: None)


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that fails at whatever is asked, as after an assertion."""

    def fails(_: int) -> None:
        raise RuntimeError(ASSERTION)

    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", fails)


@pytest.fixture
def no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 392.00 MiB."),
        # as a card said them
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_no_memory_on_the_device_is_a_memory_error(error: Exception, answering: None) -> None:
    with pytest.raises(MemoryError, match="on the CUDA device"), device_errors():
        raise error
    assert device_watch.lost() is None


def test_an_error_of_a_device_that_answers_stays_what_it_is(answering: None) -> None:
    with pytest.raises(RuntimeError, match="shapes"), device_errors():
        raise RuntimeError("shapes do not fit")
    assert device_watch.lost() is None


def test_an_error_in_a_process_without_a_device_stays_what_it_is() -> None:
    with pytest.raises(RuntimeError, match="out of memory"), device_errors():
        raise RuntimeError("out of memory")


def test_a_device_that_does_not_answer_is_lost(silent: None) -> None:
    with pytest.raises(DeviceLostError, match=r"device-side assert triggered$"), device_errors():
        raise RuntimeError(ASSERTION)
    assert device_watch.lost() == ASSERTION.splitlines()[0]


def test_a_device_that_hangs_when_it_is_asked_is_seen_by_the_watchdog(
    answering: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []
    monkeypatch.setattr(
        torch.cuda, "synchronize", lambda _: seen.append(device_watch.longest_pass_s())
    )
    with pytest.raises(RuntimeError, match="launch failure"), device_errors():
        raise RuntimeError("unspecified launch failure")
    assert seen[0] > 0
    assert device_watch.longest_pass_s() == 0


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory."),
        torch.AcceleratorError("CUDA error: out of memory"),
        torch.AcceleratorError("CUDA error: uncorrectable ECC error encountered"),
    ],
)
def test_an_error_of_a_lost_device_is_no_lack_of_memory_unless_torch_s_allocator_says_so(
    error: Exception, silent: None
) -> None:
    expected = MemoryError if isinstance(error, torch.cuda.OutOfMemoryError) else DeviceLostError
    with pytest.raises(expected), device_errors():
        raise error


class Tensors:
    """What a pass has on the device."""


def test_a_smaller_pass_finds_the_memory_of_the_one_that_failed(no_collection: None) -> None:
    passes: list[weakref.ref[Tensors]] = []
    alive: list[int] = []

    def network(patches: NDArray[np.uint8]) -> NDArray[np.float32]:
        on_the_device = Tensors()
        passes.append(weakref.ref(on_the_device))
        if len(patches) > 2:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return np.zeros((len(patches), 1), np.float32)

    def forward(patches: NDArray[np.uint8]) -> NDArray[np.float32]:
        alive.append(sum(each() is not None for each in passes))
        with device_errors():
            return network(patches)

    batcher = MicroBatcher(forward, 16, 0)
    batcher.fill(np.empty((16, 1), np.float32), lambda some: _patches(some))
    assert len(alive) > 2
    # with a generator's context manager they are, on Python 3.12
    assert not any(alive)


def test_an_error_that_is_kept_holds_nothing_of_the_device(no_collection: None) -> None:
    made: list[weakref.ref[Tensors]] = []

    def network() -> None:
        on_the_device = Tensors()
        made.append(weakref.ref(on_the_device))
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(MemoryError) as kept, device_errors():
        network()
    assert made[0]() is None
    assert kept.value.__cause__ is not None


def _patches(some: slice) -> NDArray[np.uint8]:
    return np.zeros((some.stop - some.start, 1, 1, 3), np.uint8)


# --- a worker ------------------------------------------------------------------------------------


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The exit codes that the watchdog ended its worker with."""
    codes: list[int] = []
    monkeypatch.setattr(watchdog, "exit_at_once", lambda _worker, _keys, code: codes.append(code))
    return codes


def a_watchdog(**parts: Any) -> Watchdog:
    consumer: Any = SimpleNamespace(controller=None, hub=SimpleNamespace(**parts))
    keys: Any = None
    return Watchdog(consumer, keys, threads=True)


def test_the_watchdog_ends_a_worker_whose_device_is_lost(ends: list[int]) -> None:
    a_watchdog()._watch_device()
    assert ends == []
    device_watch.lose("CUDA error: unspecified launch failure")
    a_watchdog()._watch_device()
    assert ends == [DEVICE]


def test_the_watchdog_ends_a_worker_one_of_whose_passes_takes_too_long(
    ends: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with device_watch.running_pass():
        a_watchdog()._watch_device()
        assert ends == []
        monkeypatch.setattr(device_watch, "longest_pass_s", lambda: PASS_LIMIT_S + 1)
        a_watchdog()._watch_device()
    assert ends == [DEVICE]


def test_a_task_whose_device_is_lost_waits_for_its_worker_s_end_where_one_is_watched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    device_watch.wait_for_the_end()
    assert slept == []
    device_watch.watch()
    device_watch.wait_for_the_end()
    assert slept == [device_watch.END_S]


@pytest.mark.skipif(torch.cuda.is_available(), reason="shows what happens without CUDA")
def test_a_worker_that_is_to_use_cuda_and_has_none_does_not_start(
    monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]
) -> None:
    monkeypatch.setenv("SPACER_DEVICE", "cuda")
    monkeypatch.delenv("SPACER_WARM_EXTRACTOR", raising=False)
    settings_changed()
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    with pytest.raises(ConfigError, match="torch finds no CUDA device"):
        start._warm_network(2)


@pytest.mark.parametrize("kind", [RuntimeError, torch.cuda.DeferredCudaCallError, AssertionError])
def test_a_worker_whose_device_cannot_compute_does_not_start(
    kind: type[Exception],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise kind("CUDA error: no kernel image is available for execution on the device")

    monkeypatch.setattr(devices, "chosen_device", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch, "ones", fails)
    with pytest.raises(ConfigError, match=r"cannot use .*no kernel image"):
        check_device()


# --- TF32 ----------------------------------------------------------------------------------------


SWITCHES: tuple[Any, ...] = (torch.backends.cudnn, torch.backends.cuda.matmul)


@pytest.fixture
def switches() -> Iterator[None]:
    before = [switch.allow_tf32 for switch in SWITCHES]
    yield
    for switch, allowed in zip(SWITCHES, before, strict=True):
        switch.allow_tf32 = allowed


@pytest.mark.parametrize(("precision", "allowed"), [("float32", False), ("tf32", True)])
def test_the_setting_alone_says_whether_a_process_multiplies_in_tf32(
    precision: str,
    allowed: bool,
    monkeypatch: pytest.MonkeyPatch,
    settings_changed: Callable[[], None],
    switches: None,
) -> None:
    monkeypatch.setenv("SPACER_DEVICE", "cuda")
    monkeypatch.setenv("SPACER_PRECISION", precision)
    settings_changed()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    for switch in SWITCHES:
        # whatever was loaded before
        switch.allow_tf32 = not allowed
    assert chosen_device() == torch.device("cuda", 0)
    assert [switch.allow_tf32 for switch in SWITCHES] == [allowed, allowed]


# --- one card of several -------------------------------------------------------------------------


@pytest.fixture
def two_cards(monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]) -> Any:
    """Call it with what SPACER_DEVICE says."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)

    def say(device: str) -> None:
        monkeypatch.setenv("SPACER_DEVICE", device)
        settings_changed()

    return say


@pytest.mark.parametrize(
    ("device", "index"), [("auto", 0), ("cuda", 0), ("cuda:0", 0), ("cuda:1", 1)]
)
def test_a_device_has_its_index(device: str, index: int, two_cards: Any, switches: None) -> None:
    two_cards(device)
    assert chosen_device() == torch.device("cuda", index)


@pytest.mark.parametrize("device", ["cuda:2", "cuda:999"])
def test_an_index_that_there_is_not_is_a_config_error(device: str, two_cards: Any) -> None:
    two_cards(device)
    with pytest.raises(ConfigError, match=f"SPACER_DEVICE is {device}, but torch finds 2 CUDA"):
        chosen_device()


@pytest.mark.parametrize(
    "device", ["cuda:", "cuda:-1", "cuda:01", "cuda:1 ", "cuda:1,2", "CUDA", "gpu", "cuda:¹", "1"]
)
def test_a_malformed_device_is_a_config_error(device: str, two_cards: Any) -> None:
    two_cards(device)
    with pytest.raises(ConfigError, match="expected auto, cpu, cuda, or cuda: and an index"):
        chosen_device()


def test_only_the_process_s_own_card_is_asked_whether_it_answers(
    two_cards: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_cards("cuda:1")
    asked: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", asked.append)
    with pytest.raises(RuntimeError, match="shapes"), device_errors():
        raise RuntimeError("shapes do not fit")
    assert asked == [1]
