"""A reduced precision: what it deviates by, where it is refused, and that features say it."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spacer_tasks import operations
from spacer_tasks.config.settings import Precision
from spacer_tasks.data_classes.features import ImageFeatures
from spacer_tasks.data_classes.labels import ImageLabels
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import ConfigError
from spacer_tasks.extractors import Extractor, load_extractor, load_image, loading
from spacer_tasks.extractors.runtime.precision import (
    MAX_RELATIVE_ERROR,
    MIN_COSINE,
    deviation,
    is_taken,
    sample_patches,
)
from spacer_tasks.messages.specs import ExtractorSpec
from spacer_tasks.storage import load
from spacer_tasks.training.feature_matrix import load_sets
from tests.support.checkout import FIXTURES_FOLDER

FIXTURES = FIXTURES_FOLDER / "efficientnet"
POINTS = [(100, 100), (200, 300)]
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
Choose = Callable[[str], None]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "efficientnet.pt"
    subprocess.run([sys.executable, FIXTURES / "make_weights.py", path], check=True)
    return path


@pytest.fixture
def choose(
    settings_changed: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Choose]:
    """Call it with a precision: what is loaded from then on is in it."""

    def chosen(precision: str) -> None:
        monkeypatch.setenv("SPACER_PRECISION", precision)
        settings_changed()
        loading.forget_extractors()

    yield chosen
    loading.forget_extractors()


@pytest.fixture
def on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACER_DEVICE", "cpu")


def spec_of(weights: Path) -> ExtractorSpec:
    return ExtractorSpec(
        class_path="spacer_tasks.extractors.EfficientNetExtractor",
        data_locations={"weights": DataLocation.parse(str(weights))},
    )


def message(weights: Path, folder: Path, name: str = "image") -> dict[str, Any]:
    return {
        "job_token": "1",
        "extractor": spec_of(weights).model_dump(),
        "rowcols": POINTS,
        "image_loc": DataLocation.parse(str(FIXTURES / "image.jpg")).model_dump(),
        "feature_loc": DataLocation.parse(str(folder / f"{name}.features")).model_dump(),
    }


def at_the_fixture_s_points(extractor: Extractor) -> tuple[Any, Any]:
    """The features, and the reference's."""
    with np.load(FIXTURES / "expected_features.npz") as arrays:
        rowcols = [(row, col) for row, col in arrays["rowcols"].tolist()]
        image = load_image((FIXTURES / "image.jpg").read_bytes(), "image.jpg")
        return extractor.extract(image, rowcols), arrays["features"]


# --- on a CPU ----------------------------------------------------------------------------------


def test_bfloat16_on_a_cpu_deviates_by_what_the_documentation_says(
    weights: Path, choose: Choose, on_cpu: None
) -> None:
    choose("bfloat16")
    extractor = load_extractor(spec_of(weights))
    assert extractor.identity["precision"] == "bfloat16"
    off = deviation(*at_the_fixture_s_points(extractor))
    # 0.08 and 0.9975; far from float32's, so it is bfloat16 that ran
    assert 1e-2 < off.relative_error < 0.12
    assert 0.995 < off.cosine < 0.9999


@pytest.mark.parametrize("patches", [0, 1, 5])
def test_any_number_of_patches_gives_as_many_vectors(
    patches: int, weights: Path, choose: Choose, on_cpu: None
) -> None:
    choose("bfloat16")
    extractor = load_extractor(spec_of(weights))
    vectors = extractor.forward(sample_patches()[:patches])
    assert vectors.shape == (patches, 1280)
    assert vectors.dtype == np.float32


def test_the_deviation_over_a_sample_is_logged(
    weights: Path, choose: Choose, on_cpu: None, caplog: pytest.LogCaptureFixture
) -> None:
    choose("bfloat16")
    with caplog.at_level(logging.INFO):
        load_extractor(spec_of(weights))
    assert "features in bfloat16, beside float32 over a sample: relative L2 error" in caplog.text


@pytest.mark.parametrize("precision", ["tf32", "float16"])
def test_what_only_gpus_compute_in_is_float32_on_a_cpu_with_a_warning(
    precision: str,
    weights: Path,
    choose: Choose,
    on_cpu: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    choose(precision)
    extractor = load_extractor(spec_of(weights))
    assert f"SPACER_PRECISION is {precision}" in caplog.text
    assert "precision" not in extractor.identity
    assert deviation(*at_the_fixture_s_points(extractor)).relative_error < 1e-4


def test_a_runtime_without_the_precision_is_a_wrong_setting(
    weights: Path, choose: Choose, on_cpu: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPACER_CPU_RUNTIME", "onnxruntime")
    choose("bfloat16")
    with pytest.raises(ConfigError, match="onnxruntime, which does not compute in bfloat16"):
        load_extractor(spec_of(weights))


def test_another_precision_is_a_malformed_setting(choose: Choose, weights: Path) -> None:
    choose("int8")
    with pytest.raises(ConfigError, match="SPACER_PRECISION"):
        load_extractor(spec_of(weights))


# --- features say it ---------------------------------------------------------------------------


def test_features_in_another_precision_are_not_current(
    weights: Path, choose: Choose, on_cpu: None, tmp_path: Path
) -> None:
    asked = message(weights, tmp_path)
    choose("float32")
    operations.extract_features(asked)
    assert operations.features_are_current(asked)
    choose("bfloat16")
    assert not operations.features_are_current(asked)
    operations.extract_features(asked)
    assert operations.features_are_current(asked)
    choose("float32")
    assert not operations.features_are_current(asked)


def test_a_training_on_two_precisions_warns_and_names_a_file_of_each(
    weights: Path, choose: Choose, on_cpu: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, precision in (("one", "float32"), ("two", "bfloat16"), ("three", "bfloat16")):
        choose(precision)
        operations.extract_features(message(weights, tmp_path, name))

    def read(*names: str) -> list[str]:
        caplog.clear()
        files = [DataLocation.parse(str(tmp_path / f"{name}.features")) for name in names]
        points = [(*POINTS[0], "coral"), (*POINTS[1], "sand")]
        load_sets({"train": ImageLabels(dict.fromkeys(files, points))}, ["coral", "sand"])
        return [record.getMessage() for record in caplog.records]

    (warning,) = read("one", "two", "three")
    assert "features of 2 precisions" in warning
    assert str(tmp_path / "one.features") in warning
    assert str(tmp_path / "two.features") in warning
    assert '"precision": "bfloat16"' in warning
    assert read("two", "three") == []


def test_float32_is_not_said_so_that_older_files_are_of_the_same_extractor(
    weights: Path, choose: Choose, on_cpu: None, tmp_path: Path
) -> None:
    choose("float32")
    asked = message(weights, tmp_path)
    operations.extract_features(asked)
    stored = ImageFeatures.from_bytes(load(DataLocation(**asked["feature_loc"])), "stored")
    assert sorted(stored.origin["extractor"]) == ["files", "name", "options"]


# --- what a GPU is allowed ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("precision", "device", "error", "taken"),
    [
        ("float16", "cuda", 0.5e-3, True),
        ("float16", "cuda", 2e-3, False),
        ("bfloat16", "cuda", 2e-3, False),
        ("float16", "cuda", np.nan, False),
        # chosen, and said
        ("tf32", "cuda", 2e-3, True),
        ("bfloat16", "cpu", 5e-2, True),
    ],
)
def test_16_bits_are_taken_on_a_gpu_only_where_they_deviate_little(
    precision: Precision,
    device: str,
    error: float,
    taken: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    expected = np.random.default_rng(1).random((8, 1280), dtype=np.float32)
    found = (expected * (1 + error)).astype(np.float32)
    assert is_taken(precision, torch.device(device), found, expected) is taken
    assert ("float32 is used" in caplog.text) is not taken


def test_a_direction_that_is_off_is_not_allowed_either() -> None:
    assert MIN_COSINE == 0.9999
    assert MAX_RELATIVE_ERROR == 1e-3
    a, b = np.array([[1, 0]], np.float32), np.array([[1, 0.02]], np.float32)
    assert not deviation(a, b).is_allowed
    assert deviation(a, a).is_allowed


def test_a_number_that_overflowed_is_not_allowed() -> None:
    a = np.array([[np.inf, 1]], np.float32)
    assert not deviation(a, np.ones((1, 2), np.float32)).is_allowed


def test_the_sample_is_the_same_in_every_process_and_not_flat() -> None:
    sample = sample_patches()
    assert sample.shape == (8, 224, 224, 3)
    code = (
        "from spacer_tasks.extractors.runtime.precision import sample_patches;"
        "print(int(sample_patches().astype('u8').sum()))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(ran.stdout) == int(sample.astype(np.uint64).sum())
    assert sample.std() > 30


@needs_cuda
@pytest.mark.parametrize("precision", ["tf32", "bfloat16", "float16"])
def test_a_gpu_takes_the_precision_or_stays_within_float32(
    precision: str, weights: Path, choose: Choose
) -> None:
    choose(precision)
    extractor = load_extractor(spec_of(weights))
    off = deviation(*at_the_fixture_s_points(extractor))
    if "precision" in extractor.identity:
        assert off.relative_error < 0.1
    else:
        assert off.relative_error < 1e-4
