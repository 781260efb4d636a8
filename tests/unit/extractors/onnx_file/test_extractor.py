"""The extractor `onnx`: features are what the file's network gives, by options that are checked."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper
from torch.nn import functional

from spacer_tasks.config.settings import get_settings
from spacer_tasks.exceptions import (
    ConfigError,
    HashMismatchError,
    LocationNotAllowedError,
    MessageError,
    WeightsError,
)
from spacer_tasks.extractors import Extractor, load_extractor, loading
from spacer_tasks.extractors.runtime import onnx_network
from spacer_tasks.messages.specs import ExtractorSpec
from tests.support.command_line import run
from tests.support.files import onnx_models
from tests.support.files.onnx_models import OPTIONS, SIZE, body, model, pool, weights
from tests.support.survey import write_photos, write_points

PATCHES = np.random.default_rng(1).integers(0, 256, (5, SIZE, SIZE, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def nothing_loaded() -> Iterator[None]:
    loading.forget_extractors()
    yield
    loading.forget_extractors()


def spec_of(path: Path, **options: Any) -> ExtractorSpec:
    return ExtractorSpec.model_validate(
        {
            "class_path": "onnx",
            "data_locations": {"weights": {"storage_type": "filesystem", "key": str(path)}},
            **OPTIONS,
            **options,
        }
    )


def extractor_of(made: onnx.ModelProto, folder: Path, **options: Any) -> Extractor:
    path = folder / "net.onnx"
    path.write_bytes(made.SerializeToString())
    return load_extractor(spec_of(path, **options))


def maps_of(pixels: NDArray[np.uint8], **options: Any) -> NDArray[np.float32]:
    """What `body` gives, by torch."""
    given = {"scale": 255, "channels": "RGB", **OPTIONS, **options}
    x = pixels[..., ::-1] if given["channels"] == "BGR" else pixels
    x = (x.astype(np.float64) / given["scale"] - given["mean"]) / given["deviation"]
    x = np.ascontiguousarray(x.transpose(0, 3, 1, 2), np.float32)
    kernel, bias = (torch.from_numpy(weights()[each]) for each in ("kernel", "bias"))
    maps: NDArray[np.float32] = (
        functional.conv2d(torch.from_numpy(x), kernel, bias, stride=2, padding=1).relu().numpy()
    )
    return maps


def same(found: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"channels": "BGR"},
        {"scale": 1, "mean": [127, 120, 110], "deviation": [128, 64, 60]},
        {"scale": 1, "mean": [0, 0, 0], "deviation": [1, 1, 1], "channels": "BGR"},
    ],
)
def test_patches_are_prepared_as_the_options_say(options: dict[str, Any], tmp_path: Path) -> None:
    extractor = extractor_of(model(), tmp_path, **options)
    assert extractor.feature_dim == onnx_models.CHANNELS
    same(extractor.forward(PATCHES), maps_of(PATCHES, **options).mean((2, 3)))


@pytest.mark.parametrize("pooling", ["average", "max"])
def test_maps_are_pooled(pooling: str, tmp_path: Path) -> None:
    extractor = extractor_of(model(body(), outputs=["maps"]), tmp_path, pooling=pooling)
    maps = maps_of(PATCHES)
    same(extractor.forward(PATCHES), getattr(maps, {"average": "mean"}.get(pooling, "max"))((2, 3)))


@pytest.mark.parametrize("pooling", ["average", "max", "first"])
def test_tokens_are_pooled(pooling: str, tmp_path: Path) -> None:
    nodes = [
        *body(),
        helper.make_node("Reshape", ["maps", "flat"], ["f"]),
        helper.make_node("Transpose", ["f"], ["y"], perm=[0, 2, 1]),
    ]
    flat = onnx_models.integers(0, onnx_models.CHANNELS, -1)
    extractor = extractor_of(model(nodes, {"flat": flat}), tmp_path, pooling=pooling)
    tokens = maps_of(PATCHES).reshape(len(PATCHES), onnx_models.CHANNELS, -1).transpose(0, 2, 1)
    expected = {"average": tokens.mean(1), "max": tokens.max(1), "first": tokens[:, 0]}
    same(extractor.forward(PATCHES), expected[pooling])


def test_a_file_for_one_patch_at_a_time_serves(tmp_path: Path) -> None:
    extractor = extractor_of(model(shape=[1, 3, SIZE, SIZE]), tmp_path)
    same(extractor.forward(PATCHES), maps_of(PATCHES).mean((2, 3)))


def test_channels_may_be_last(tmp_path: Path) -> None:
    nodes = [helper.make_node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]), *body(), *pool()]
    nodes[1].input[0] = "t"
    extractor = extractor_of(model(nodes, shape=["n", SIZE, SIZE, 3]), tmp_path)
    same(extractor.forward(PATCHES), maps_of(PATCHES).mean((2, 3)))


def test_half_floats_are_taken(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["w"], to=TensorProto.FLOAT),
        *body(),
        *pool(),
        helper.make_node("Cast", ["y"], ["half"], to=TensorProto.FLOAT16),
    ]
    nodes[1].input[0] = "w"
    made = model(nodes, element=TensorProto.FLOAT16, outputs=["half"])
    found = extractor_of(made, tmp_path).forward(PATCHES)
    np.testing.assert_allclose(found, maps_of(PATCHES).mean((2, 3)), rtol=2e-2, atol=1e-3)


def test_an_output_is_chosen_by_its_name(tmp_path: Path) -> None:
    made = model(outputs=["y", "maps"])
    extractor = extractor_of(made, tmp_path, output="maps", pooling="max")
    same(extractor.forward(PATCHES), maps_of(PATCHES).max((2, 3)))
    with pytest.raises(WeightsError, match="no output 'features'; there are: 'y', 'maps'"):
        extractor_of(made, tmp_path, output="features")


def test_names_in_the_file_do_not_meet_those_that_are_added(tmp_path: Path) -> None:
    made = model()
    made.graph.node[0].output[0] = made.graph.node[1].input[0] = "patches_in"
    same(extractor_of(made, tmp_path).forward(PATCHES), maps_of(PATCHES).mean((2, 3)))


def test_features_say_which_file_and_options_they_are_of(tmp_path: Path) -> None:
    extractor = extractor_of(model(), tmp_path)
    data = (tmp_path / "net.onnx").read_bytes()
    assert extractor.identity["name"] == "spacer_tasks.extractors.OnnxExtractor"
    assert extractor.identity["files"] == {"weights": hashlib.sha256(data).hexdigest()}
    assert extractor.identity["options"]["mean"] == [0.5, 0.4, 0.3]
    other = extractor_of(model(), tmp_path, channels="BGR")
    assert other.identity != extractor.identity


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"mean": None}, "option mean"),
        ({"mean": [0.5, 0.5]}, "option mean"),
        ({"mean": [float("nan")] * 3}, "option mean"),
        ({"mean": [-1, 0, 0]}, "expected 0 to 1"),
        ({"mean": [127, 127, 127]}, "bytes are divided by the scale, 255, first"),
        ({"deviation": [0.2, 0.2, 0]}, "expected numbers above 0"),
        ({"scale": 1}, "make numbers up to"),
        ({"scale": 0}, "option scale"),
        ({"channels": "RBG"}, "option channels"),
        ({"pooling": "mean"}, "option pooling"),
        ({"patch_size": 10**6}, "option patch_size"),
        ({"patch_size": 32.5}, "option patch_size"),
        ({"providers": ["x"]}, "unknown option providers"),
    ],
)
def test_a_wrong_option_is_refused_before_the_file_is_read(
    options: dict[str, Any], told: str, tmp_path: Path
) -> None:
    with pytest.raises(MessageError, match=told):
        load_extractor(spec_of(tmp_path / "missing.onnx", **options))


def test_the_options_without_a_default_are_named(tmp_path: Path) -> None:
    spec = ExtractorSpec.model_validate(
        {"class_path": "onnx", "data_locations": spec_of(tmp_path).data_locations}
    )
    with pytest.raises(MessageError, match="option mean is missing; option deviation is missing"):
        load_extractor(spec)


def test_another_file_than_the_hash_says_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(model().SerializeToString())
    with pytest.raises(HashMismatchError, match="the message expects 0000"):
        load_extractor(spec_of(path, data_hashes={"weights": "0" * 64}))


@pytest.mark.usefixtures("settings_changed")
def test_a_file_outside_the_allowed_places_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(model().SerializeToString())
    (tmp_path / "allowed").mkdir()
    monkeypatch.setenv("SPACER_ALLOWED_ROOTS", str(tmp_path / "allowed"))
    get_settings.cache_clear()
    with pytest.raises(LocationNotAllowedError):
        load_extractor(spec_of(path))


@pytest.mark.usefixtures("settings_changed")
def test_a_gpu_is_asked_of_onnx_runtime(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with caplog.at_level(logging.WARNING):
        assert not onnx_network.runs_on_cuda("net")
    assert "net runs on the CPU" in caplog.text
    monkeypatch.setenv("SPACER_DEVICE", "cuda")
    get_settings.cache_clear()
    with pytest.raises(ConfigError, match="no CUDA provider here; install onnxruntime-gpu"):
        extractor_of(model(), tmp_path)


@pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(),
    reason="there is a provider",
)
def test_a_provider_that_does_not_start_is_an_error() -> None:
    made = model().SerializeToString()
    with (
        pytest.warns(UserWarning, match="CUDA"),
        pytest.raises(ConfigError, match="does not start"),
    ):
        onnx_network.CudaOnnxNetwork(made, 4)


@pytest.mark.usefixtures("settings_changed")
def test_on_the_command_line(tmp_path: Path) -> None:
    names = write_photos(tmp_path / "photos", 6)
    points = write_points(tmp_path / "points.csv", names)
    path = tmp_path / "net.onnx"
    path.write_bytes(model().SerializeToString())
    command: list[str | Path] = [
        "extract",
        tmp_path / "photos",
        "--points",
        points,
        "--weights",
        path,
    ]
    command += ["--features", tmp_path / "features", "--extractor", "onnx"]
    for name, value in OPTIONS.items():
        command += ["--extractor-option", f"{name}={value}"]
    ran = run(*command)
    assert ran.code == 0, ran.err
    ran = run(*command)
    assert "6 skipped" in ran.out + ran.err
    ran = run(*command, "--extractor-option", "channels=BGR")
    assert "6 images extracted" in ran.out + ran.err
    ran = run(*command, "--extractor-option", "pooling=first")
    assert ran.code == 2
    assert "pooling=none serves" in " ".join(ran.err.split())
