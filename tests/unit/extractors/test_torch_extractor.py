"""The base of torch networks: what a class states, what its module may give, and where it runs."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from spacer_tasks.concurrency import device_counts, device_watch
from spacer_tasks.config.settings import Precision
from spacer_tasks.exceptions import (
    ConfigError,
    DeviceLostError,
    FeaturesNotFiniteError,
    WeightsError,
)
from spacer_tasks.extractors import Options, Preprocessing, TorchExtractor
from spacer_tasks.extractors.runtime import running
from spacer_tasks.extractors.runtime.cuda_network import CudaNetwork
from spacer_tasks.extractors.runtime.patch_network import PatchNetwork
from tests.support import simulated_cuda

SIZE = 40
PHOTO = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
POINTS = [(5, 7), (45, 60), (89, 119), (10, 20), (80, 3)]
PATCHES = np.random.default_rng(1).integers(0, 256, (6, SIZE, SIZE, 3), dtype=np.uint8)
Choose = Callable[..., None]


class WidthOptions(Options):
    width: int = Field(4, ge=1)


class Toy(TorchExtractor):
    """A convolution and its mean."""

    crop_size = SIZE
    options_type: ClassVar[type[Options]] = WidthOptions

    def network(self, files: Mapping[str, Any]) -> nn.Module:
        torch.manual_seed(3)
        width = self.options.width
        return nn.Sequential(
            nn.Conv2d(3, width, 5, stride=2),
            nn.BatchNorm2d(width),
            nn.SiLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )


class Given(nn.Module):
    """A function of the preprocessed patches."""

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, pixels: Tensor) -> Any:
        return self.function(pixels)


def extractor_of(function: Callable[[Tensor], Any], **stated: Any) -> TorchExtractor:
    """An extractor of a class with these attributes, whose network is the function."""

    def network(self: TorchExtractor, files: Mapping[str, Any]) -> nn.Module:
        return Given(function)

    kind = type("Stated", (TorchExtractor,), {"crop_size": SIZE, **stated, "network": network})
    made: TorchExtractor = kind("stated", {})
    return made


def means(pixels: Tensor) -> Tensor:
    return pixels.mean((2, 3))


@pytest.fixture(autouse=True)
def choose(settings_changed: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> Choose:
    """Call it with settings. Networks are on the CPU, whatever the machine has."""

    def chosen(**settings: str) -> None:
        for name, value in settings.items():
            monkeypatch.setenv(f"SPACER_{name.upper()}", value)
        settings_changed()

    chosen(device="cpu")
    return chosen


@pytest.fixture(params=["torch", "onnxruntime"])
def runtime(request: pytest.FixtureRequest, choose: Choose) -> str:
    choose(cpu_runtime=request.param)
    return str(request.param)


# --- what a class states -------------------------------------------------------------------------


@pytest.mark.parametrize("channels", ["RGB", "BGR"])
@pytest.mark.parametrize("scale", [1, 255])
def test_patches_are_scaled_shifted_and_stretched_in_the_network_s_order(
    scale: float, channels: Any, runtime: str
) -> None:
    mean, deviation = (0.5, 0.25, 3.0), (2.0, 0.5, 4.0)
    preprocessing = Preprocessing(scale, mean, deviation, channels)
    found = extractor_of(means, preprocessing=preprocessing).forward(PATCHES)
    ordered = PATCHES if channels == "RGB" else PATCHES[..., ::-1]
    expected = ((ordered / scale - mean) / deviation).mean(axis=(1, 2))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_numbers_from_0_to_1_in_rgb_are_the_default(runtime: str) -> None:
    found = extractor_of(means).forward(PATCHES)
    np.testing.assert_allclose(found, PATCHES.mean(axis=(1, 2)) / 255, rtol=1e-5)


def test_patches_have_the_size_that_the_class_states(runtime: str) -> None:
    vectors = Toy("toy", {}).extract(PHOTO, POINTS)
    assert vectors.shape == (5, 4)
    assert vectors.dtype == np.float32


def test_options_reach_the_network_and_the_identity(runtime: str) -> None:
    extractor = Toy("toy", {}, WidthOptions(width=7))
    assert extractor.feature_dim == 7
    assert extractor.extract(PHOTO, POINTS).shape == (5, 7)
    assert extractor.identity == {"name": "toy", "options": {"width": 7}, "files": {}}


def test_an_option_may_set_the_size_of_patches() -> None:
    class Sized(Toy):
        def network(self, files: Mapping[str, Any]) -> nn.Module:
            self.crop_size = 8 * self.options.width
            return Given(lambda x: x[:, :, :, 0].mean(2) * 0 + x.shape[-1])

    extractor = Sized("sized", {}, WidthOptions(width=3))
    np.testing.assert_array_equal(extractor.extract(PHOTO, POINTS), np.full((5, 3), 24.0))


def test_a_stated_dimension_that_the_network_does_not_have_is_a_bug(runtime: str) -> None:
    assert extractor_of(means, feature_dim=3).feature_dim == 3
    with pytest.raises(ValueError, match=r"gives vectors of 3 numbers, Stated states 4"):
        extractor_of(means, feature_dim=4)


# --- what a network may give ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x: x, r"gives an array of shape \(2, 3, 40, 40\) for 2 patches"),
        (lambda x: x.mean(), r"gives an array of shape \(\) for 2 patches"),
        (lambda x: means(x)[:1], r"gives an array of shape \(1, 3\) for 2 patches"),
        (lambda x: means(x) - means(x).mean(0), "depends on the others in its pass"),
        (lambda x: means(x).softmax(0), "depends on the others in its pass"),
        (lambda x: means(x).flip(0), "depends on the others in its pass"),
        (lambda x: {"features": means(x)}, "gives a dict, expected a tensor"),
    ],
)
def test_what_is_not_a_vector_of_each_patch_alone_is_a_bug(
    function: Callable[[Tensor], Any], reason: str, choose: Choose
) -> None:
    choose(cpu_runtime="auto")
    with pytest.raises((ValueError, TypeError), match=reason):
        extractor_of(function)


def test_a_network_that_is_in_training_mode_is_brought_out_of_it(runtime: str) -> None:
    extractor = Toy("toy", {})
    together = extractor.forward(PATCHES)
    alone = np.concatenate([extractor.forward(PATCHES[i : i + 1]) for i in range(len(PATCHES))])
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-6)


def test_numbers_that_are_not_finite_are_found_when_the_network_is_loaded(runtime: str) -> None:
    with pytest.raises(WeightsError, match="stated: the network gives numbers that are not finite"):
        extractor_of(lambda x: means(x) / 0)


def test_numbers_that_are_not_finite_for_some_patch_are_not_given_out(runtime: str) -> None:
    # the sample's patches are not black
    extractor = extractor_of(lambda x: 1 / means(x))
    photo = PHOTO.copy()
    photo[60:] = 0
    with pytest.raises(FeaturesNotFiniteError, match="features computed in float32 are not finite"):
        extractor.extract(photo, [(20, 20), (89, 100)])


def test_a_network_of_zeros_is_taken(runtime: str) -> None:
    np.testing.assert_array_equal(extractor_of(lambda x: means(x) * 0).forward(PATCHES), 0)


@pytest.mark.parametrize("count", [0, 1, 5, 6])
def test_any_number_of_patches_gives_as_many_vectors(count: int, runtime: str) -> None:
    found = Toy("toy", {}).forward(PATCHES[:count])
    assert found.shape == (count, 4)
    assert found.dtype == np.float32


# --- on a CPU ------------------------------------------------------------------------------------


def test_both_runtimes_give_the_same_features(choose: Choose) -> None:
    choose(cpu_runtime="torch")
    in_torch = Toy("toy", {})
    choose(cpu_runtime="onnxruntime")
    in_onnx_runtime = Toy("toy", {})
    assert in_torch.batch_size == running.CPU_BATCH
    assert in_onnx_runtime.batch_size == running.ONNX_BATCH
    found, expected = (each.extract(PHOTO, POINTS) for each in (in_onnx_runtime, in_torch))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def softplus(pixels: Tensor) -> Tensor:
    return nn.functional.softplus(pixels).mean((2, 3))


def test_what_no_onnx_model_can_be_made_of_runs_in_torch_with_a_warning(
    choose: Choose, caplog: pytest.LogCaptureFixture
) -> None:
    extractor = extractor_of(softplus)
    assert extractor.batch_size == running.CPU_BATCH
    expected = np.log1p(np.exp(PATCHES / 255)).mean(axis=(1, 2))
    np.testing.assert_allclose(extractor.forward(PATCHES), expected, rtol=1e-5)
    assert "stated runs in torch, slower than in ONNX Runtime: it uses the operator softplus" in (
        caplog.text
    )


def test_asking_for_onnx_runtime_where_no_model_can_be_made_is_a_wrong_setting(
    choose: Choose,
) -> None:
    choose(cpu_runtime="onnxruntime")
    with pytest.raises(ConfigError, match=r"cannot run the network of stated: .* softplus; set it"):
        extractor_of(softplus)


def test_a_model_that_gives_other_numbers_is_not_used(
    monkeypatch: pytest.MonkeyPatch, choose: Choose, caplog: pytest.LogCaptureFixture
) -> None:
    from spacer_tasks.extractors.export import operators

    # a mistake of the export's, of the kind that no list of operators rules out
    wrong = operators._unary("Tanh")
    monkeypatch.setitem(operators.OPERATORS, "sigmoid", wrong)

    def network(pixels: Tensor) -> Tensor:
        return means(pixels).sigmoid()

    found = extractor_of(network).forward(PATCHES)
    expected = 1 / (1 + np.exp(-PATCHES.mean(axis=(1, 2)) / 255))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert "its vectors are off by" in caplog.text
    choose(cpu_runtime="onnxruntime")
    with pytest.raises(ConfigError, match="its vectors are off by"):
        extractor_of(network)


def test_without_onnxruntime_the_network_runs_in_torch(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delitem(sys.modules, "spacer_tasks.extractors.runtime.onnx_network", raising=False)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert Toy("toy", {}).batch_size == running.CPU_BATCH
    assert "onnxruntime cannot be imported" in caplog.text


def test_a_reduced_precision_is_computed_in_and_said(choose: Choose) -> None:
    exact = Toy("toy", {}).forward(PATCHES)
    choose(precision="bfloat16")
    extractor = Toy("toy", {})
    assert extractor.identity["precision"] == "bfloat16"
    off = np.abs(extractor.forward(PATCHES) - exact).max() / np.abs(exact).max()
    assert 1e-4 < off < 0.1


# --- on a simulated GPU --------------------------------------------------------------------------


class SimulatedGpu:
    """Stands where `CudaNetwork` does: computes on the CPU, and notes what it was made for."""

    def __init__(
        self, network: PatchNetwork, device: Any, size: int, max_patches: int, lanes: int
    ) -> None:
        self.network = network
        self.made_for = (size, max_patches, lanes)
        self.passes: list[int] = []

    def __call__(self, patches: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.passes.append(len(patches))
        with torch.inference_mode():
            vectors: NDArray[np.float32] = self.network(torch.from_numpy(patches)).numpy()
        return vectors.copy()


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> list[SimulatedGpu]:
    """The networks that were brought to a GPU from now on."""
    made: list[SimulatedGpu] = []

    def cuda_network(*arguments: Any, **options: Any) -> SimulatedGpu:
        made.append(SimulatedGpu(*arguments, **options))
        return made[-1]

    def run_in_torch(network: Any, device: Any, patches: NDArray[np.uint8]) -> Any:
        with torch.inference_mode():
            return network(torch.from_numpy(patches)).numpy()

    monkeypatch.setattr(running, "chosen_device", lambda: SimpleNamespace(type="cuda"))
    monkeypatch.setattr(running, "CudaNetwork", cuda_network)
    monkeypatch.setattr(running, "run_in_torch", run_in_torch)
    monkeypatch.setattr(PatchNetwork, "to", lambda self, device: self)
    return made


def test_on_a_gpu_the_patches_of_several_images_share_a_pass(
    gpus: list[SimulatedGpu], choose: Choose
) -> None:
    expected = Toy("toy", {})
    choose(gpu_batch_patches="10", gpu_batch_wait_ms="1000000000")
    extractor = Toy("toy", {})
    gpus[-1].passes.clear()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: extractor.extract(PHOTO, POINTS), range(4)))
    # a pass goes only when it is full: two images in each
    assert gpus[-1].passes == [10, 10]
    assert gpus[-1].made_for == (SIZE, 10, 2)
    assert expected.feature_dim == extractor.feature_dim == 4
    for vectors in found:
        np.testing.assert_allclose(vectors, expected.extract(PHOTO, POINTS), rtol=1e-5)


def test_a_gpu_takes_16_bits_where_they_deviate_little(
    gpus: list[SimulatedGpu], choose: Choose
) -> None:
    choose(precision="float16")
    extractor = extractor_of(lambda x: means(x).to(torch.float32) / 2)
    assert extractor.identity["precision"] == "float16"


def test_a_gpu_stays_in_float32_where_16_bits_deviate_much(
    gpus: list[SimulatedGpu], choose: Choose, caplog: pytest.LogCaptureFixture
) -> None:
    choose(precision="bfloat16")
    extractor = extractor_of(lambda x: (means(x) - 0.5) * 100)
    assert "precision" not in extractor.identity
    assert "float32 is used" in caplog.text


BRIGHT = np.full((120, 160, 3), 250, np.uint8)


def test_numbers_beyond_float16_are_computed_again_in_float32(
    gpus: list[SimulatedGpu], choose: Choose, caplog: pytest.LogCaptureFixture
) -> None:
    photo = BRIGHT.copy()
    photo[:, :80] = 100
    points = [(50, 140), (50, 20), (60, 130), (60, 30)]

    def seventy_thousand_fold(pixels: Tensor) -> Tensor:
        return means(pixels) * 7e4

    expected = extractor_of(seventy_thousand_fold).extract(photo, points)
    choose(precision="float16")
    # the sample's patches are grey in the mean, and stay below 65504
    extractor = extractor_of(seventy_thousand_fold)
    assert extractor.identity["precision"] == "float16"
    before = device_counts.so_far().patches_again
    for _ in range(2):
        found = extractor.extract(photo, points)
        assert (expected[[0, 2]] > 65504).all()
        # those that float16 holds stay float16's
        np.testing.assert_array_equal(found[[0, 2]], expected[[0, 2]])
        np.testing.assert_array_equal(found[[1, 3]], found[[1, 3]].astype(np.float16))
    assert device_counts.so_far().patches_again - before == 4
    assert "stated: features of 2 patch(es) are not finite in float16" in caplog.text
    assert "4 so far" in caplog.text


def test_numbers_that_float32_does_not_hold_either_are_an_error_and_not_given_out(
    gpus: list[SimulatedGpu], choose: Choose
) -> None:
    choose(precision="float16")
    extractor = extractor_of(lambda pixels: means(pixels) * 7e4 / (means(pixels) < 0.9))
    assert extractor.identity["precision"] == "float16"
    photo = BRIGHT.copy()
    photo[:, :80] = 100
    with pytest.raises(
        FeaturesNotFiniteError,
        match="computed in float16 and again in float32 are not finite numbers, for 2 of 3 points,"
        " the first of them at row 50, column 140",
    ):
        extractor.extract(photo, [(50, 20), (50, 140), (60, 130)])


def test_one_image_that_no_precision_holds_leaves_the_others_in_its_pass_alone(
    gpus: list[SimulatedGpu], choose: Choose
) -> None:
    choose(precision="float16", gpu_batch_patches="4", gpu_batch_wait_ms="1000000000")
    extractor = extractor_of(lambda pixels: means(pixels) * 7e4 / (means(pixels) < 0.9))
    dark = np.full_like(BRIGHT, 100)
    gpus[-1].passes.clear()
    with ThreadPoolExecutor(2) as pool:
        first, second = (
            pool.submit(extractor.extract, photo, [(50, 60), (50, 70)]) for photo in (BRIGHT, dark)
        )
    assert isinstance(first.exception(), FeaturesNotFiniteError)
    assert np.isfinite(second.result()).all()
    assert gpus[-1].passes == [4]


def test_no_memory_for_float32_makes_passes_smaller(
    gpus: list[SimulatedGpu], choose: Choose, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(precision="float16")
    extractor = extractor_of(lambda pixels: means(pixels) * 7e4)
    in_torch, asked = running.run_in_torch, []

    def two_at_most(network: Any, device: Any, patches: Any) -> Any:
        asked.append(len(patches))
        if len(patches) > 2:
            raise MemoryError("simulated")
        return in_torch(network, device, patches)

    exact = extractor._runner.forward._exact  # type: ignore[attr-defined]
    monkeypatch.setattr(
        extractor._runner.forward, "_exact", partial(two_at_most, exact.args[0], exact.args[1])
    )
    found = extractor.extract(BRIGHT, [(50, 60)] * 5)
    np.testing.assert_allclose(found, 250 / 255 * 7e4, rtol=1e-5)
    assert asked[0] == 5
    assert max(asked[1:]) <= 3


def test_bfloat16_on_a_cpu_is_computed_again_too(choose: Choose) -> None:
    choose(precision="bfloat16")

    def of_little_range(pixels: Tensor) -> Tensor:
        found = means(pixels)
        return found / 0 if pixels.dtype == torch.bfloat16 and found.max() > 0.9 else found

    extractor = extractor_of(of_little_range)
    assert extractor.identity["precision"] == "bfloat16"
    np.testing.assert_allclose(extractor.extract(BRIGHT, [(9, 9)]), 250 / 255, rtol=1e-5)


@pytest.fixture
def on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """`CudaNetwork` itself, with torch's CUDA calls done on the CPU."""
    simulated_cuda.simulate(monkeypatch)
    cpu = torch.device("cpu")
    monkeypatch.setattr(running, "chosen_device", lambda: SimpleNamespace(type="cuda"))
    monkeypatch.setattr(
        running,
        "CudaNetwork",
        lambda network, _, *given, **named: CudaNetwork(network, cpu, *given, **named),
    )
    in_torch = running.run_in_torch
    monkeypatch.setattr(
        running, "run_in_torch", lambda network, _, patches: in_torch(network, cpu, patches)
    )
    monkeypatch.setattr(PatchNetwork, "to", lambda self, _: self)


def test_on_a_gpu_float32_is_in_plain_layout_and_other_precisions_are_not(
    on_cuda: None, choose: Choose
) -> None:
    plain: list[bool] = []

    def network(pixels: Tensor) -> Tensor:
        plain.append(pixels.is_contiguous())
        return means(pixels)

    extractor_of(network).forward(PATCHES)
    assert all(plain)
    plain.clear()
    choose(precision="tf32")
    extractor = extractor_of(network)
    plain.clear()
    extractor.forward(PATCHES)
    assert not any(plain)


@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16"])
def test_a_gpu_multiplies_in_tf32_by_setting_only(
    precision: str, on_cuda: None, choose: Choose, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed: list[bool] = []
    monkeypatch.setattr(running, "allow_tf32", allowed.append)
    choose(precision=precision)
    extractor_of(means)
    assert allowed[0] is False
    assert allowed[-1] is (precision == "tf32")
    # also where the network is not taken
    with pytest.raises(WeightsError):
        extractor_of(lambda x: means(x) / 0)
    assert allowed[-1] is (precision == "tf32")


def test_a_pass_is_seen_by_the_watchdog_and_no_memory_makes_passes_smaller(on_cuda: None) -> None:
    seen: list[float] = []
    counts: list[int] = []

    def network(pixels: Tensor) -> Tensor:
        seen.append(device_watch.longest_pass_s())
        counts.append(len(pixels))
        if len(pixels) > 16:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return means(pixels)

    extractor = extractor_of(network)
    seen.clear()
    with pytest.raises(MemoryError, match="on the CUDA device"):
        extractor.forward(PATCHES.repeat(10, axis=0))
    assert all(each > 0 for each in seen)
    counts.clear()
    vectors = extractor.extract(PHOTO, POINTS * 10)
    assert vectors.shape == (50, 3)
    assert max(counts) > 16
    assert counts[-1] <= 16
    assert device_watch.longest_pass_s() == 0


def test_a_device_that_is_lost_ends_the_pass_and_is_said(
    on_cuda: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = False

    def network(pixels: Tensor) -> Tensor:
        if lost:
            raise RuntimeError("CUDA error: device-side assert triggered")
        return means(pixels)

    def synchronize(*_: Any) -> None:
        if lost:
            raise RuntimeError("CUDA error: device-side assert triggered")

    said: list[str] = []
    monkeypatch.setattr(device_watch, "lose", said.append)
    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    extractor = extractor_of(network)
    lost = True
    with pytest.raises(DeviceLostError, match="device-side assert"):
        extractor.extract(PHOTO, POINTS)
    assert said == ["CUDA error: device-side assert triggered"]
    # while it is loaded too
    with pytest.raises(DeviceLostError, match="device-side assert"):
        extractor_of(network)


def test_an_extractor_that_is_dropped_leaves_the_device_at_once(
    on_cuda: None, caplog: pytest.LogCaptureFixture
) -> None:
    # what is logged of graphs that cannot be recorded here would be kept, with its traceback
    caplog.set_level("ERROR", CudaNetwork.__module__)
    extractor = extractor_of(means)
    extractor.extract(PHOTO, POINTS)
    gone = Event()
    weakref.finalize(extractor._runner.forward, gone.set)
    # the thread of the last pass may be about to let go of it
    gc.disable()
    try:
        del extractor
        assert gone.wait(60)
    finally:
        gc.enable()


def own_model_of(scale: float) -> type[TorchExtractor]:
    """A class whose own ONNX model gives what its module gives, times a number."""
    from spacer_tasks.extractors.export.model import onnx_model as exported
    from spacer_tasks.extractors.export.recording import MOST

    class Own(TorchExtractor):
        crop_size = SIZE

        def network(self, files: Mapping[str, Any]) -> nn.Module:
            return Given(means)

        def onnx_model(self, network: nn.Module) -> bytes:
            other = PatchNetwork(Given(lambda x: means(x) * scale), self.preprocessing)
            return exported(other, PATCHES[:MOST]).model

    return Own


def test_a_network_s_own_onnx_model_is_used(
    choose: Choose, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(cpu_runtime="onnxruntime")
    made = own_model_of(1)("own", {})
    monkeypatch.setattr(PatchNetwork, "forward", None)
    np.testing.assert_allclose(made.forward(PATCHES), PATCHES.mean((1, 2)) / 255, rtol=1e-5)


def test_an_own_onnx_model_that_gives_other_numbers_is_not_used(
    choose: Choose, caplog: pytest.LogCaptureFixture
) -> None:
    made = own_model_of(1.001)("own", {})
    np.testing.assert_allclose(made.forward(PATCHES), PATCHES.mean((1, 2)) / 255, rtol=1e-5)
    assert "own runs in torch" in caplog.text
    choose(cpu_runtime="onnxruntime")
    with pytest.raises(ConfigError, match="cannot run the network of own: its vectors are off by"):
        own_model_of(1.001)("own", {})


def test_the_real_one_takes_what_the_simulated_one_does() -> None:
    import inspect

    real, simulated = (
        list(inspect.signature(kind.__init__).parameters) for kind in (CudaNetwork, SimulatedGpu)
    )
    assert real == simulated


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16", "float16"])
def test_on_a_real_gpu_features_are_those_of_the_cpu(precision: Precision, choose: Choose) -> None:
    expected = Toy("toy", {}).extract(PHOTO, POINTS)
    choose(device="cuda", precision=precision)
    found = Toy("toy", {}).extract(PHOTO, POINTS)
    tolerance = 1e-4 if precision == "float32" else 2e-2
    off = np.linalg.norm(found - expected, axis=1) / np.linalg.norm(expected, axis=1)
    assert off.max() < tolerance
