"""The network on a CUDA device, as far as that can be shown on a CPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from spacer_tasks.concurrency import device_watch
from spacer_tasks.extractors.runtime.cuda_network import CudaNetwork
from tests.support.simulated_cuda import Event, simulate

SIZE = 4
MAX_PATCHES = 8


@pytest.fixture(autouse=True)
def cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    simulate(monkeypatch)


def mean(patches: Tensor) -> Tensor:
    return patches.to(torch.float32).mean((1, 2))


def network(lanes: int = 2) -> CudaNetwork:
    return CudaNetwork(mean, torch.device("cpu"), SIZE, MAX_PATCHES, lanes)


def some_patches(count: int, seed: int = 0) -> NDArray[np.uint8]:
    shape = (count, SIZE, SIZE, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 20])
def test_any_number_of_patches_gives_its_own_vectors(count: int) -> None:
    patches = some_patches(count)
    found = network()(patches)
    np.testing.assert_allclose(found, patches.mean((1, 2)).reshape(count, 3), rtol=1e-6)


def test_vectors_stay_what_they_are_when_their_lane_is_used_again() -> None:
    calls = network(lanes=1)
    first = calls(some_patches(5, seed=1))
    kept = first.copy()
    calls(some_patches(5, seed=2))
    np.testing.assert_array_equal(first, kept)


def test_a_thread_that_waits_for_the_device_sleeps() -> None:
    calls = network(lanes=1)
    calls(some_patches(3))
    (event,) = Event.made
    # torch waits in a loop, for copies too, unless an event says otherwise
    assert event.options == {"blocking": True}
    assert event.waits == 1


def test_a_network_leaves_cudnn_s_settings_of_the_process_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    network()
    assert not torch.backends.cudnn.benchmark


def test_a_pass_is_watched_while_it_runs() -> None:
    seen = []

    def watched(patches: Tensor) -> Tensor:
        seen.append(device_watch.longest_pass_s())
        return mean(patches)

    calls = CudaNetwork(watched, torch.device("cpu"), SIZE, MAX_PATCHES, 1)
    seen.clear()
    calls(some_patches(2))
    assert seen[0] > 0
    assert device_watch.longest_pass_s() == 0
