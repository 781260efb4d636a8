"""The demo's seeded network loads where a real one does, and its features tell textures apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from spacer_tasks.demo.network import seeded_network, write_network
from spacer_tasks.demo.photographs import PHOTOGRAPHS, part_of
from spacer_tasks.demo.quadrats import Quadrats, make_quadrats
from spacer_tasks.extractors.efficientnet.extractor import EfficientNetExtractor
from spacer_tasks.extractors.efficientnet.network import EfficientNetB0
from spacer_tasks.extractors.files.weights import ExtractorFile


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    made: Quadrats = make_quadrats(tmp_path_factory.mktemp("quadrats"), 2, 0)
    return [made.folder / name for name in (*made.training, *made.test)]


@pytest.fixture(scope="module")
def network(photos: list[Path]) -> EfficientNetB0:
    """The network of seed 0."""
    return seeded_network(photos, 0)


def test_the_extractor_takes_its_file(photos: list[Path], tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    write_network(path, photos, seed=3)
    file = ExtractorFile(path.read_bytes(), "", False)
    extractor = EfficientNetExtractor("test", {"weights": file})
    random = np.random.default_rng(0)
    vectors = extractor.forward(random.integers(0, 256, (2, 224, 224, 3), dtype=np.uint8))
    assert vectors.shape == (2, 1280)
    assert np.isfinite(vectors).all()


def test_the_seed_decides_the_network(photos: list[Path], network: EfficientNetB0) -> None:
    first = network.state_dict()
    again, other = (seeded_network(photos, seed).state_dict() for seed in (0, 1))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["_conv_stem.weight"], other["_conv_stem.weight"])


def test_its_features_tell_textures_apart(network: EfficientNetB0) -> None:
    """Each patch's nearest other patch, by features, mostly shows the same photograph."""
    random = np.random.default_rng(0)
    patches, labels = [], []
    for photograph in PHOTOGRAPHS:
        if photograph.label in ("brick", "coins", "gravel", "moon"):
            pixels = part_of(photograph, "training")
            for _ in range(6):
                row, column = (int(random.integers(0, length - 120)) for length in pixels.shape)
                crop = Image.fromarray(pixels[row : row + 120, column : column + 120])
                turned = crop.rotate(90 * int(random.integers(4))).resize((224, 224))
                patches.append(np.asarray(turned.convert("RGB")))
                labels.append(photograph.label)
    inputs = torch.from_numpy(np.stack(patches)).permute(0, 3, 1, 2).to(torch.float32).div_(255)
    with torch.inference_mode():
        vectors = network(inputs).numpy()
    vectors = (vectors - vectors.mean(axis=0)) / vectors.std(axis=0)
    distances = ((vectors[:, None] - vectors[None]) ** 2).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    same = [labels[i] == labels[nearest] for i, nearest in enumerate(distances.argmin(axis=1))]
    # by chance 5 of 23
    assert np.mean(same) > 0.6
