"""EfficientNet-B0's features agree with the reference's, and only its weights are taken."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import ConfigError, WeightsError
from spacer_tasks.extractors import Extractor, load_extractor, load_image, loading
from spacer_tasks.extractors.efficientnet.network import EfficientNetB0
from spacer_tasks.messages.specs import ExtractorSpec
from tests.support.checkout import FIXTURES_FOLDER

FIXTURES = FIXTURES_FOLDER / "efficientnet"
#: relative L2 error per vector that is allowed, in the default precision
TOLERANCE = 1e-4
Runtime = Callable[[str], None]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def nothing_loaded() -> Iterator[None]:
    loading.forget_extractors()
    yield
    loading.forget_extractors()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights that the expected features were computed with."""
    spec = importlib.util.spec_from_file_location("make_weights", FIXTURES / "make_weights.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    path = tmp_path_factory.mktemp("weights") / "efficientnet.pt"
    module.main(str(path))
    return path


@pytest.fixture(scope="module")
def net(weights: Path) -> dict[str, torch.Tensor]:
    """The state dict in it, every key behind `module.`."""
    content: dict[str, dict[str, torch.Tensor]] = torch.load(weights, weights_only=True)
    return content["net"]


@pytest.fixture(scope="module")
def expected() -> dict[str, NDArray[Any]]:
    with np.load(FIXTURES / "expected_features.npz") as arrays:
        return dict(arrays)


def extractor_of(path: Path) -> Extractor:
    return load_extractor(
        ExtractorSpec(
            class_path="spacer.extractors.EfficientNetExtractor",
            data_locations={"weights": DataLocation(storage_type="filesystem", key=str(path))},
        )
    )


def extractor_from(content: Any, folder: Path) -> Extractor:
    torch.save(content, folder / "net.pt")
    return extractor_of(folder / "net.pt")


def features_at(
    extractor: Extractor, expected: dict[str, NDArray[Any]], points: slice
) -> NDArray[np.float32]:
    image = load_image((FIXTURES / "image.jpg").read_bytes(), "image.jpg")
    rowcols = [(row, col) for row, col in expected["rowcols"][points].tolist()]
    return extractor.extract(image, rowcols)


def largest_error(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Relative L2 error of the vector that is farthest off."""
    off = np.linalg.norm(found.astype(np.float64) - expected, axis=1)
    return float((off / np.linalg.norm(expected, axis=1)).max())


def without_prefix(net: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key.removeprefix("module."): tensor for key, tensor in net.items()}


# --- numbers -----------------------------------------------------------------------------------


@pytest.fixture
def runtime(settings_changed: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> Runtime:
    """Call it to say what runs networks on a CPU from now on."""

    def chosen(name: str) -> None:
        monkeypatch.setenv("SPACER_CPU_RUNTIME", name)
        settings_changed()

    return chosen


@pytest.mark.parametrize(
    ("name", "threads"), [("torch", 1), ("onnxruntime", 1), ("onnxruntime", 3)]
)
def test_features_agree_with_the_reference_s(
    name: str, threads: int, weights: Path, expected: dict[str, NDArray[Any]], runtime: Runtime
) -> None:
    runtime(name)
    torch.set_num_threads(threads)
    extractor = extractor_of(weights)
    found = features_at(extractor, expected, slice(None))
    assert found.shape == (23, 1280)
    assert found.dtype == np.float32
    assert extractor.feature_dim == 1280
    assert largest_error(found, expected["features"]) <= TOLERANCE


@pytest.mark.parametrize("variant", ["no prefix", "no classification layer", "no counters"])
def test_features_are_the_same_however_the_weights_were_saved(
    variant: str,
    net: dict[str, torch.Tensor],
    expected: dict[str, NDArray[Any]],
    tmp_path: Path,
) -> None:
    tensors = without_prefix(net)
    if variant == "no classification layer":
        tensors = {key: tensor for key, tensor in tensors.items() if not key.startswith("_fc.")}
    if variant == "no counters":
        tensors = {key: tensor for key, tensor in tensors.items() if "num_batches" not in key}
    extractor = extractor_from({"net": tensors}, tmp_path)
    found = features_at(extractor, expected, slice(2))
    assert largest_error(found, expected["features"][:2]) <= TOLERANCE


def test_numbers_of_numpy_beside_the_weights_are_taken(
    net: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    beside = {"acc": np.float64(0.8), "loss": np.float32(0.1), "epoch": np.int64(3), "lr": 0.1}
    assert extractor_from({"net": net, **beside}, tmp_path).feature_dim == 1280


def test_numbers_of_numpy_1_beside_the_weights_are_taken(
    net: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    stream = BytesIO()
    torch.save({"net": net, "acc": np.float64(0.8)}, stream, _use_new_zipfile_serialization=False)
    # what numpy 1 wrote, in the older file format, where it is not behind a checksum
    older = stream.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    (tmp_path / "net.pt").write_bytes(older)
    assert b"cnumpy.core.multiarray\nscalar" in older
    assert extractor_of(tmp_path / "net.pt").feature_dim == 1280


@pytest.mark.parametrize("name", ["torch", "onnxruntime"])
def test_threads_over_one_network_get_what_one_thread_gets(
    name: str, weights: Path, expected: dict[str, NDArray[Any]], runtime: Runtime
) -> None:
    runtime(name)
    extractor = extractor_of(weights)
    parts = [slice(start, start + 2) for start in range(0, 8, 2)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda part: features_at(extractor, expected, part), parts))
    assert largest_error(np.concatenate(found), expected["features"][:8]) <= TOLERANCE


def test_no_more_threads_run_than_torch_is_told_to_take(
    weights: Path, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime("onnxruntime")
    # what a site sets for torch and numpy must not multiply with the threads of the tasks
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    extractor = extractor_of(weights)
    before = threads_of_this_process()
    torch.set_num_threads(2)
    highest = before
    with ThreadPoolExecutor(1) as pool:
        forward = pool.submit(extractor.forward, np.zeros((40, 224, 224, 3), np.uint8))
        while not forward.done():
            highest = max(highest, threads_of_this_process())
    assert forward.result().shape == (40, 1280)
    # the one that asked, which waits, and two
    assert highest <= before + 3
    # one that has ended is listed for a moment more
    end = time.monotonic() + 10
    while threads_of_this_process() > before and time.monotonic() < end:
        time.sleep(0.01)
    assert threads_of_this_process() <= before


def threads_of_this_process() -> int:
    """Of all libraries, not only Python's."""
    return len(list(Path("/proc/self/task").iterdir()))


def test_no_patches_give_no_vectors(weights: Path, runtime: Runtime) -> None:
    runtime("onnxruntime")
    found = extractor_of(weights).forward(np.zeros((0, 224, 224, 3), np.uint8))
    assert found.shape == (0, 1280)


def test_both_runtimes_give_the_same_identity(weights: Path, runtime: Runtime) -> None:
    runtime("torch")
    in_torch = extractor_of(weights).identity
    loading.forget_extractors()
    runtime("onnxruntime")
    assert extractor_of(weights).identity == in_torch


def test_without_onnxruntime_torch_computes_and_the_log_says_so(
    weights: Path,
    expected: dict[str, NDArray[Any]],
    runtime: Runtime,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for module in ("runtime.onnx_network", "efficientnet.onnx_graph"):
        monkeypatch.delitem(sys.modules, f"spacer_tasks.extractors.{module}", raising=False)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    runtime("auto")
    found = features_at(extractor_of(weights), expected, slice(2))
    assert largest_error(found, expected["features"][:2]) <= TOLERANCE
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "onnxruntime cannot be imported" in caplog.text
    loading.forget_extractors()
    runtime("onnxruntime")
    with pytest.raises(ConfigError, match="SPACER_CPU_RUNTIME is onnxruntime"):
        extractor_of(weights)


def test_warming_changes_nothing(weights: Path, expected: dict[str, NDArray[Any]]) -> None:
    extractor = extractor_of(weights)
    before = features_at(extractor, expected, slice(1))
    extractor.warm()
    np.testing.assert_array_equal(features_at(extractor, expected, slice(1)), before)


def test_folding_the_batch_norms_keeps_the_function(net: dict[str, torch.Tensor]) -> None:
    network = EfficientNetB0().eval()
    network.load_state_dict(without_prefix(net), strict=False)
    network.double()
    patch = torch.rand(1, 3, 64, 50, dtype=torch.float64)
    with torch.inference_mode():
        before = network(patch)
    network.fold_batch_norm()
    with torch.inference_mode():
        torch.testing.assert_close(network(patch), before, rtol=1e-9, atol=1e-9)


# --- what is not this network ------------------------------------------------------------------


class Call:
    """Unpickles as a call of a function of its choosing."""

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return eval, ("open('called', 'w')",)


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"PK\x03\x04 not a zip", b"\x80\x02.", bytes(5000)], ids=repr
)
def test_a_file_that_is_no_weights_file_is_named(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "net.pt").write_bytes(data)
    with pytest.raises(WeightsError, match="`weights` is not a weights file; expected what torch"):
        extractor_of(tmp_path / "net.pt")


def test_weights_cut_short_are_no_weights_file(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "net.pt").write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(WeightsError, match="is not a weights file"):
        extractor_of(tmp_path / "net.pt")


def test_code_in_a_weights_file_is_not_run(
    net: dict[str, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match="is not a weights file"):
        extractor_from({"net": net, "beside": Call()}, tmp_path)
    assert not Path("called").exists()


@pytest.mark.parametrize("content", [[1, 2], {"model": {}}, {"net": 5}, torch.zeros(3)])
def test_a_file_without_a_state_dict_says_so(content: Any, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="has no state dict `net`"):
        extractor_from(content, tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        ("_conv_stem.weight", torch.zeros(32, 1, 3, 3), r"shape \(32, 1, 3, 3\), expected \(32, 3"),
        ("_blocks.3._bn1.running_var", None, "_blocks.3._bn1.running_var is missing"),
        ("_blocks.16._bn0.weight", torch.zeros(3), "_blocks.16._bn0.weight is not of this network"),
        ("_bn1.bias", torch.full((1280,), torch.nan), "_bn1.bias holds numbers that are not fin"),
        ("_bn1.bias", torch.zeros(1280, dtype=torch.int64), "_bn1.bias is not a tensor of floati"),
        ("_bn1.bias", torch.zeros(1280, device="meta"), "_bn1.bias is not a tensor of floating"),
        ("_bn1.bias", [0.0] * 1280, "_bn1.bias is not a tensor of floating-point numbers"),
    ],
)
def test_a_tensor_that_is_not_of_this_network_is_named(
    key: str, value: Any, fault: str, net: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    tensors: dict[str, Any] = {**without_prefix(net), key: value}
    if value is None:
        del tensors[key]
    with pytest.raises(WeightsError, match=f"not of EfficientNet-B0: .*{fault}"):
        extractor_from({"net": tensors}, tmp_path)


def test_of_another_network_the_first_tensors_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        extractor_from({"net": torch.nn.Linear(3, 4).state_dict()}, tmp_path)
    assert "_conv_stem.weight is missing" in str(caught.value)
    assert len(str(caught.value)) < 400


# --- device ------------------------------------------------------------------------------------


@pytest.mark.skipif(torch.cuda.is_available(), reason="shows what happens without CUDA")
def test_cuda_asked_for_and_absent_is_a_wrong_setting(
    weights: Path, settings_changed: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPACER_DEVICE", "cuda")
    settings_changed()
    with pytest.raises(ConfigError, match="SPACER_DEVICE is cuda"):
        extractor_of(weights)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_features_on_cuda_agree_with_the_reference_s(
    weights: Path,
    expected: dict[str, NDArray[Any]],
    settings_changed: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SPACER_DEVICE", "cuda")
    settings_changed()
    found = features_at(extractor_of(weights), expected, slice(None))
    assert largest_error(found, expected["features"]) <= TOLERANCE


def test_onnx_runtime_sends_no_reports() -> None:
    # where it may keep nothing, it says that it cannot keep the number by which it reports
    code = (
        "import sys, spacer_tasks.extractors.runtime.onnx_network as network;"
        "import os; assert 'onnxruntime' in sys.modules; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    )
    env = {**os.environ, "HOME": "/proc", "XDG_CACHE_HOME": "/proc"}
    env.pop("ORT_DISABLE_TELEMETRY", None)
    ran = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert ran.stdout == "1\n"
    assert "elemetry" not in ran.stderr
