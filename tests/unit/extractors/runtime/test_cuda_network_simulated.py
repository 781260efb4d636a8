"""The network on a CUDA device, as far as that can be shown on a CPU."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spacer_tasks.concurrency import device_watch
from spacer_tasks.exceptions import DeviceLostError
from spacer_tasks.extractors.runtime.cuda_network import CudaNetwork
from tests.support.simulated_cuda import FAULTS, Event, Graph, simulate

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


# --- graphs --------------------------------------------------------------------------------------


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs are recorded and replayed."""
    simulate(monkeypatch, records=True)


@pytest.fixture(scope="module")
def layers() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    ).requires_grad_(False)


def of_layers(layers: nn.Module, lanes: int) -> CudaNetwork:
    return CudaNetwork(
        lambda patches: layers(patches.permute(0, 3, 1, 2).to(torch.float32)),
        *(torch.device("cpu"), SIZE, MAX_PATCHES, lanes),
    )


def in_turn(layers: nn.Module, patches: NDArray[np.uint8]) -> NDArray[np.float32]:
    with torch.inference_mode():
        found: NDArray[np.float32] = layers(
            torch.from_numpy(patches).permute(0, 3, 1, 2).to(torch.float32)
        ).numpy()
    return found


def graphs_of(network: CudaNetwork, lanes: int) -> list[dict[int, tuple[Graph, Tensor]]]:
    taken = [network._lanes.get() for _ in range(lanes)]
    for lane in taken:
        network._lanes.put(lane)
    found: list[dict[int, tuple[Graph, Tensor]]] = [lane._graphs for lane in taken]  # type: ignore[misc]
    return found


def test_each_share_of_the_batch_has_a_graph(recorded: None, layers: nn.Module) -> None:
    for graphs in graphs_of(of_layers(layers, 2), 2):
        assert sorted(graphs) == [1, 2, 4, 8]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 8, 9, 20])
def test_graphs_give_what_the_network_gives(count: int, recorded: None, layers: nn.Module) -> None:
    network = of_layers(layers, 1)
    # what a pass leaves behind must not show in the next
    network(some_patches(MAX_PATCHES, seed=9))
    before = sum(graph.replays for graph, _ in graphs_of(network, 1)[0].values())
    patches = some_patches(count)
    np.testing.assert_allclose(network(patches), in_turn(layers, patches), rtol=1e-4, atol=1e-4)
    (graphs,) = graphs_of(network, 1)
    assert sum(graph.replays for graph, _ in graphs.values()) - before == max(1, -(-count // 8))


def test_threads_at_once_each_get_their_own(recorded: None, layers: nn.Module) -> None:
    network = of_layers(layers, 2)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda seed: network(some_patches(11, seed)), range(40)))
    for seed, vectors in enumerate(found):
        expected = in_turn(layers, some_patches(11, seed))
        np.testing.assert_allclose(vectors, expected, rtol=1e-4, atol=1e-4)


def test_one_lane_that_cannot_be_recorded_runs_step_by_step_beside_the_other(
    recorded: None,
    layers: nn.Module,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    made: list[Graph] = []

    def third_fails() -> Graph:
        # the second lane's, of which there are four each, when some of it are recorded
        if len(made) == 6:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        made.append(Graph())
        return made[-1]

    monkeypatch.setattr(torch.cuda, "CUDAGraph", third_fails)
    network = of_layers(layers, 2)
    assert [sorted(graphs) for graphs in graphs_of(network, 2)] == [[1, 2, 4, 8], []]
    assert caplog.text.count("no CUDA graphs, the network runs step by step") == 1
    for seed in range(4):
        # each lane in its turn
        patches = some_patches(6, seed)
        np.testing.assert_allclose(network(patches), in_turn(layers, patches), rtol=1e-4, atol=1e-4)
    # one that is loaded after it has its own
    made.clear()
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    assert [sorted(graphs) for graphs in graphs_of(of_layers(layers, 2), 2)] == [[1, 2, 4, 8]] * 2


def test_what_makes_the_host_wait_runs_step_by_step(
    recorded: None, caplog: pytest.LogCaptureFixture
) -> None:
    def waiting(patches: Tensor) -> Tensor:
        return mean(patches) + float(patches[0, 0, 0, 0].item() * 0)

    network = CudaNetwork(waiting, torch.device("cpu"), SIZE, MAX_PATCHES, 1)
    assert "no CUDA graphs" in caplog.text
    patches = some_patches(5)
    np.testing.assert_allclose(network(patches), patches.mean((1, 2)), rtol=1e-6)


# --- faults --------------------------------------------------------------------------------------


def test_a_card_that_dies_between_passes_is_lost_for_every_lane(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recorded: None, layers: nn.Module
) -> None:
    monkeypatch.setenv(FAULTS, str(tmp_path))
    lost: list[str] = []
    monkeypatch.setattr(device_watch, "lose", lost.append)
    network = of_layers(layers, 2)
    assert len(network(some_patches(3))) == 3
    (tmp_path / "dead-0").touch()
    with pytest.raises(DeviceLostError, match=r"device-side assert triggered$"):
        network(some_patches(3))
    # it looks well from outside again, but not to this process
    (tmp_path / "dead-0").unlink()
    for _ in range(3):
        with pytest.raises(DeviceLostError):
            network(some_patches(3))
    assert lost == ["CUDA error: device-side assert triggered"] * 4


def test_a_lane_that_hangs_leaves_the_other_to_work_and_its_pass_is_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hangs, over = threading.Event(), threading.Event()
    network = CudaNetwork(mean, torch.device("cpu"), SIZE, MAX_PATCHES, 2)
    first, second = Event.made

    def wait_for_ever() -> None:
        hangs.set()
        over.wait()

    monkeypatch.setattr(first, "synchronize", wait_for_ever)
    with ThreadPoolExecutor(1) as pool:
        hung = pool.submit(network, some_patches(2))
        assert hangs.wait(60)
        try:
            for seed in range(3):
                before = device_watch.longest_pass_s()
                assert before > 0
                patches = some_patches(4, seed)
                np.testing.assert_allclose(network(patches), patches.mean((1, 2)), rtol=1e-6)
                # the oldest pass is the one that hangs
                assert device_watch.longest_pass_s() > before
            assert second.waits == 3
            assert not hung.done()
        finally:
            over.set()
        assert len(hung.result()) == 2
    assert device_watch.longest_pass_s() == 0


def test_a_card_that_hangs_while_a_network_is_loaded_is_seen_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[float] = []
    monkeypatch.setattr(
        torch.cuda.Stream, "synchronize", lambda _: seen.append(device_watch.longest_pass_s())
    )
    CudaNetwork(mean, torch.device("cpu"), SIZE, MAX_PATCHES, 1)
    assert seen
    assert all(seconds > 0 for seconds in seen)
