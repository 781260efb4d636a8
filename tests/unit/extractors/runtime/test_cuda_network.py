"""The network on a CUDA device: its graphs give what the plain network gives, for any thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spacer_tasks.extractors.runtime.cuda_network import CudaNetwork

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

SIZE = 32
MAX_PATCHES = 16


@pytest.fixture(autouse=True)
def no_tf32() -> Iterator[None]:
    allowed = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = allowed


@pytest.fixture(scope="module")
def layers() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def network_of(layers: nn.Module) -> Callable[[Tensor], Tensor]:
    return lambda patches: layers(patches.permute(0, 3, 1, 2).to(torch.float32))


def on_device(layers: nn.Module, lanes: int = 2) -> CudaNetwork:
    device = torch.device("cuda")
    return CudaNetwork(network_of(layers.to(device)), device, SIZE, MAX_PATCHES, lanes)


def some_patches(count: int, seed: int = 0) -> NDArray[np.uint8]:
    shape = (count, SIZE, SIZE, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def plainly(layers: nn.Module, patches: NDArray[np.uint8]) -> NDArray[np.float32]:
    with torch.inference_mode():
        vectors = network_of(layers.to("cuda"))(torch.from_numpy(patches).cuda())
    found: NDArray[np.float32] = vectors.cpu().numpy()
    return found


def test_each_share_of_the_batch_has_a_graph(layers: nn.Module) -> None:
    network = on_device(layers, lanes=1)
    assert sorted(network._lanes.get()._graphs) == [2, 4, 8, 16]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 8, 15, 16, 17, 40])
def test_any_number_of_patches_gives_what_the_plain_network_gives(
    count: int, layers: nn.Module
) -> None:
    network = on_device(layers)
    # what a pass leaves behind must not show in the next
    network(some_patches(MAX_PATCHES, seed=9))
    patches = some_patches(count)
    found = network(patches)
    assert found.shape == (count, 8)
    np.testing.assert_allclose(found, plainly(layers, patches), rtol=1e-4, atol=1e-4)


def test_threads_at_once_each_get_their_own(layers: nn.Module) -> None:
    network = on_device(layers)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda seed: network(some_patches(11, seed)), range(64)))
    for seed, vectors in enumerate(found):
        expected = plainly(layers, some_patches(11, seed))
        np.testing.assert_allclose(vectors, expected, rtol=1e-4, atol=1e-4)


def test_what_cannot_be_recorded_runs_step_by_step(
    layers: nn.Module, caplog: pytest.LogCaptureFixture
) -> None:
    device = torch.device("cuda")
    plain = network_of(layers.to(device))

    def waiting(patches: Tensor) -> Tensor:
        # a number that is fetched makes the host wait, which a graph cannot
        return plain(patches) + float(patches[0, 0, 0, 0].item() * 0)

    network = CudaNetwork(waiting, device, SIZE, MAX_PATCHES, lanes=1)
    assert "no CUDA graphs" in caplog.text
    patches = some_patches(5)
    np.testing.assert_allclose(network(patches), plainly(layers, patches), rtol=1e-4, atol=1e-4)


def test_memory_that_runs_out_is_a_memory_error(layers: nn.Module) -> None:
    device = torch.device("cuda")
    free = torch.cuda.mem_get_info(device)[0]

    def large(patches: Tensor) -> Tensor:
        return patches.new_empty((len(patches), free), dtype=torch.float32)

    network = CudaNetwork(large, device, SIZE, 2, lanes=1)
    with pytest.raises(MemoryError, match="on the CUDA device"):
        network(some_patches(2))
