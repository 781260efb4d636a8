"""The legacy extractor: its features agree with real Caffe's, and only its files are taken."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from spacer_tasks import operations
from spacer_tasks.data_classes.features import ImageFeatures
from spacer_tasks.data_classes.labels import Point
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import ConfigError, MessageError, WeightsError
from spacer_tasks.extractors import Extractor, load_extractor, load_image, loading
from spacer_tasks.extractors.caffe.net import CaffeNet
from spacer_tasks.extractors.runtime import running
from spacer_tasks.extractors.runtime.patch_network import PatchNetwork
from spacer_tasks.messages.specs import ExtractorSpec
from tests.support.files.caffemodels import FIXTURES

#: absolute; real Caffe differs from itself by a fifth of it when only its BLAS changes
TOLERANCE = 5e-5
CURRENT, OLDER = "tiny_vgg16", "tiny_vgg16_v1"
REFERENCE = "spacer.extractors.vgg16.VGG16CaffeExtractor"
Runtime = Callable[[str], None]


def has_caffe() -> bool:
    try:
        import caffe
    except ImportError:
        return False
    return hasattr(caffe, "Net")


needs_caffe = pytest.mark.skipif(
    not has_caffe(), reason="Caffe cannot be imported; docs/caffe.md says how to compile it"
)
RUNTIMES = ["torch", pytest.param("caffe", marks=needs_caffe)]


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


@pytest.fixture
def runtime(settings_changed: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> Runtime:
    """Call it to say what runs the nets from now on."""

    def chosen(name: str) -> None:
        monkeypatch.setenv("SPACER_CAFFE_RUNTIME", name)
        settings_changed()

    return chosen


@pytest.fixture(scope="module")
def expected() -> dict[str, NDArray[Any]]:
    with np.load(FIXTURES / "expected_fc7.npz") as arrays:
        return dict(arrays)


def location(path: Path) -> DataLocation:
    return DataLocation(storage_type="filesystem", key=str(path))


def spec_of(
    definition: Path = FIXTURES / f"{CURRENT}.prototxt",
    weights: Path = FIXTURES / f"{CURRENT}.caffemodel",
) -> ExtractorSpec:
    files = {"definition": location(definition), "weights": location(weights)}
    return ExtractorSpec(class_path=REFERENCE, data_locations=files)


def points_of(expected: dict[str, NDArray[Any]]) -> list[Point]:
    return [(row, column) for row, column in expected["rowcols"].tolist()]


def features_of(extractor: Extractor, points: list[Point]) -> NDArray[np.float32]:
    return extractor.extract(load_image((FIXTURES / "image.png").read_bytes(), "image"), points)


# --- numbers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RUNTIMES)
@pytest.mark.parametrize("weights", [CURRENT, OLDER])
@pytest.mark.parametrize("definition", [CURRENT, OLDER])
def test_features_agree_with_caffe_s_whatever_the_formats(
    definition: str, weights: str, name: str, expected: dict[str, NDArray[Any]], runtime: Runtime
) -> None:
    runtime(name)
    extractor = load_extractor(
        spec_of(FIXTURES / f"{definition}.prototxt", FIXTURES / f"{weights}.caffemodel")
    )
    found = features_of(extractor, points_of(expected))
    assert found.shape == (23, 96)
    assert found.dtype == np.float32
    assert extractor.feature_dim == 96
    assert np.abs(found - expected["fc7"]).max() <= TOLERANCE
    # after the ReLU in place: read before it, half of these would be negative
    assert (found == 0).mean() > 0.2
    assert found.min() == 0


@pytest.mark.parametrize("name", RUNTIMES)
@pytest.mark.parametrize("size", [1, 3, 12])
def test_a_batch_may_have_any_size(
    size: int, name: str, expected: dict[str, NDArray[Any]], runtime: Runtime
) -> None:
    runtime(name)
    extractor = load_extractor(spec_of())
    extractor.batch_size = size
    found = features_of(extractor, points_of(expected)[:12])
    assert np.abs(found - expected["fc7"][:12]).max() <= TOLERANCE
    assert extractor.forward(np.empty((0, 224, 224, 3), np.uint8)).shape == (0, 96)


@pytest.mark.parametrize("name", RUNTIMES)
def test_threads_over_one_network_get_what_one_thread_gets(
    name: str, expected: dict[str, NDArray[Any]], runtime: Runtime
) -> None:
    runtime(name)
    extractor = load_extractor(spec_of())
    points = points_of(expected)[:8]
    parts = [points[start : start + 2] for start in range(0, 8, 2)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda part: features_of(extractor, part), parts))
    assert np.abs(np.concatenate(found) - expected["fc7"][:8]).max() <= TOLERANCE


@pytest.mark.parametrize("name", RUNTIMES)
def test_the_reference_s_message_is_answered(
    name: str, expected: dict[str, NDArray[Any]], runtime: Runtime, tmp_path: Path
) -> None:
    runtime(name)
    message = {
        "job_token": "1",
        "extractor": {**spec_of().model_dump(mode="json"), "data_hashes": {}},
        "rowcols": expected["rowcols"].tolist(),
        "image_loc": location(FIXTURES / "image.png").model_dump(),
        "feature_loc": location(tmp_path / "image.png.featurevector").model_dump(),
    }
    answer = operations.extract_features(json.loads(json.dumps(message)))
    assert not answer.extractor_loaded_remotely
    data = (tmp_path / "image.png.featurevector").read_bytes()
    features = ImageFeatures.from_bytes(data, "features")
    assert features.rowcols() == points_of(expected)
    assert np.abs(features.vectors - expected["fc7"]).max() <= TOLERANCE
    assert features.origin["extractor"]["name"] == "spacer_tasks.extractors.VGG16CaffeExtractor"
    assert operations.features_are_current(message)


# --- one load, one identity --------------------------------------------------------------------


@pytest.mark.parametrize(
    "alias",
    [
        "vgg16",
        REFERENCE,
        "spacer.extractors.VGG16CaffeExtractor",
        "spacer.extract_features.VGG16CaffeExtractor",
        "spacer_tasks.extractors.VGG16CaffeExtractor",
    ],
)
def test_every_name_gives_the_one_that_is_loaded(alias: str) -> None:
    extractor = load_extractor(spec_of())
    assert load_extractor(spec_of().model_copy(update={"class_path": alias})) is extractor


@needs_caffe
def test_both_runtimes_give_the_same_identity(runtime: Runtime) -> None:
    in_torch = load_extractor(spec_of()).identity
    loading.forget_extractors()
    runtime("caffe")
    assert load_extractor(spec_of()).identity == in_torch


def test_the_files_are_closed_when_the_network_is_made() -> None:
    load_extractor(spec_of())
    open_files = [str(each.resolve()) for each in Path("/proc/self/fd").iterdir()]
    assert not any(str(FIXTURES) in each for each in open_files)


# --- what is not taken ---------------------------------------------------------------------------


def edited(folder: Path, before: str, after: str) -> Path:
    text = (FIXTURES / f"{CURRENT}.prototxt").read_text()
    assert before in text
    path = folder / "edited.prototxt"
    path.write_text(text.replace(before, after, 1))
    return path


@pytest.mark.parametrize("name", RUNTIMES)
@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        (
            'name: "conv3_2"',
            'name: "conv3_x"',
            r"layer conv3_x \(Convolution\): its weights are mi",
        ),
        (
            'type: "Softmax"',
            'type: "Sigmoid"',
            r"layer prob \(Sigmoid\): layers of the type Sigmoid",
        ),
        ("num_output: 64", "num_output: 65", r"layer fc6 \(InnerProduct\): weights 0 have shape"),
        (
            "input_dim: 224",
            "input_dim: 223",
            r"the net takes \(3, 223, 224\) of an image, expected",
        ),
        ("input_dim: 3", "input_dim: 4", r"layer conv1_1 \(Convolution\): weights 0 have shape"),
        ('bottom: "fc6"', 'bottom: "fc9"', "no layer or input before it gives its blob fc9"),
        (
            'bottom: "data"',
            'bottom: "conv1_2"',
            r"layer conv1_1 \(Convolution\): no layer or input",
        ),
        (
            'top: "pool5"',
            'top: "pool4"',
            r"layer pool5 \(Pooling\): its blob pool4 is already given",
        ),
    ],
)
def test_a_net_that_cannot_be_computed_is_refused_by_the_layer_s_name(
    before: str, after: str, fault: str, name: str, tmp_path: Path, runtime: Runtime
) -> None:
    runtime(name)
    with pytest.raises(WeightsError, match=fault):
        load_extractor(spec_of(definition=edited(tmp_path, before, after)))


def test_a_net_without_fc7_is_refused(tmp_path: Path) -> None:
    text = (FIXTURES / f"{CURRENT}.prototxt").read_text().replace('"fc7"', '"fc_seven"')
    (tmp_path / "net.prototxt").write_text(text)
    with pytest.raises(WeightsError, match=r"the definition \(\.prototxt\) has no blob fc7"):
        load_extractor(spec_of(definition=tmp_path / "net.prototxt"))


def test_files_that_are_mixed_up_are_named() -> None:
    definition = FIXTURES / f"{CURRENT}.prototxt"
    weights = FIXTURES / f"{CURRENT}.caffemodel"
    with pytest.raises(WeightsError, match=r"the definition \(\.prototxt\) is not a text"):
        load_extractor(spec_of(definition=weights))
    with pytest.raises(WeightsError, match=r"the weights file \(\.caffemodel\) is damaged or not"):
        load_extractor(spec_of(weights=definition))


def test_both_files_must_be_given() -> None:
    spec = ExtractorSpec(
        class_path=REFERENCE,
        data_locations={"weights": location(FIXTURES / f"{CURRENT}.caffemodel")},
    )
    with pytest.raises(MessageError, match="data_locations lacks definition"):
        load_extractor(spec)


# --- where it runs -------------------------------------------------------------------------------


@pytest.mark.parametrize("installed", [None, ModuleType("caffe")])
def test_caffe_asked_for_and_not_there_is_a_wrong_setting(
    installed: ModuleType | None, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    # none, or the empty package of that name
    monkeypatch.setitem(sys.modules, "caffe", installed)
    runtime("caffe")
    with pytest.raises(ConfigError, match="SPACER_CAFFE_RUNTIME is caffe"):
        load_extractor(spec_of())


@pytest.mark.skipif(torch.cuda.is_available(), reason="shows what happens without CUDA")
def test_cuda_asked_for_and_absent_is_a_wrong_setting(
    settings_changed: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPACER_DEVICE", "cuda")
    settings_changed()
    with pytest.raises(ConfigError, match="SPACER_DEVICE is cuda"):
        load_extractor(spec_of())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_features_on_cuda_agree_with_caffe_s(
    expected: dict[str, NDArray[Any]],
    settings_changed: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SPACER_DEVICE", "cuda")
    settings_changed()
    found = features_of(load_extractor(spec_of()), points_of(expected))
    assert np.abs(found - expected["fc7"]).max() <= TOLERANCE


def test_no_memory_on_the_device_is_a_memory_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

    extractor = load_extractor(spec_of())
    monkeypatch.setattr(CaffeNet, "forward", full)
    with pytest.raises(MemoryError, match="on the CUDA device"):
        extractor.forward(np.zeros((2, 224, 224, 3), np.uint8))


def test_no_memory_for_the_weights_is_a_memory_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(PatchNetwork, "to", full)
    # where there is no device
    monkeypatch.setattr(running, "chosen_device", lambda: torch.device("cuda"))
    with pytest.raises(MemoryError, match="on the CUDA device"):
        load_extractor(spec_of())


def test_warming_changes_nothing(expected: dict[str, NDArray[Any]]) -> None:
    extractor = load_extractor(spec_of())
    before = features_of(extractor, points_of(expected)[:1])
    extractor.warm()
    np.testing.assert_array_equal(features_of(extractor, points_of(expected)[:1]), before)
