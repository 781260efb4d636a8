"""The command line with the legacy network: an operator sees that stored features agree."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from spacer_tasks.data_classes.features import ImageFeatures
from tests.support.command_line import run
from tests.support.files.caffemodels import FIXTURES, blob, layer
from tests.support.survey import read_predictions

DEFINITION, WEIGHTS = FIXTURES / "tiny_vgg16.prototxt", FIXTURES / "tiny_vgg16.caffemodel"
NETWORK = ("--definition", DEFINITION, "--weights", WEIGHTS)
#: points of the image: each takes some milliseconds
KEPT = 6


@pytest.fixture(autouse=True)
def _own_settings(settings_changed: Any) -> None:
    """What is loaded by one test is not found by the next."""


@pytest.fixture(scope="module")
def expected() -> dict[str, NDArray[Any]]:
    with np.load(FIXTURES / "expected_fc7.npz") as arrays:
        return {name: arrays[name][:KEPT] for name in arrays.files}


@pytest.fixture
def media(tmp_path: Path, expected: dict[str, NDArray[Any]]) -> Path:
    """An image with the features that the reference stored beside it: float64, compressed."""
    shutil.copy(FIXTURES / "image.png", tmp_path)
    rows, columns = expected["rowcols"].T
    with (tmp_path / "image.png.featurevector").open("wb") as stream:
        np.savez_compressed(
            stream,
            meta=np.array([True, KEPT, 96]),
            rows=rows.astype(np.uint16),
            cols=columns.astype(np.uint16),
            feat=expected["fc7"].astype(float),
        )
    return tmp_path


def test_features_are_extracted(tmp_path: Path, expected: dict[str, NDArray[Any]]) -> None:
    with (tmp_path / "points.csv").open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["image", "row", "column"])
        rows.writerows(["image.png", *point] for point in expected["rowcols"].tolist())
    where = ("--points", tmp_path / "points.csv", "--features", tmp_path / "features")
    ran = run("extract", FIXTURES / "image.png", *where, *NETWORK)
    assert ran.code == 0, ran.err
    data = (tmp_path / "features" / "image.png.npz").read_bytes()
    features = ImageFeatures.from_bytes(data, "features")
    assert np.abs(features.vectors - expected["fc7"]).max() <= 5e-5
    # what is stored says by which network, so it is verified against another one's files only so
    assert run("verify", "features", tmp_path / "features", *NETWORK).code == 0
    ran = run("verify", "features", tmp_path / "features")
    assert "computed by spacer_tasks.extractors.VGG16CaffeExtractor, whose files must" in ran.err


def test_features_that_caffe_computed_are_verified_and_the_differences_printed(
    media: Path,
) -> None:
    ran = run("verify", "features", media, *NETWORK, "-o", media / "report.csv")
    assert ran.code == 0, ran.out + ran.err
    (row,) = read_predictions(media / "report.csv")
    assert row["outcome"] == "equal"
    assert 0 < float(row["difference"]) <= 1e-4
    assert row["points"] == str(KEPT)
    assert row["by"] == "spacer_tasks.extractors.VGG16CaffeExtractor"
    (line,) = [line for line in ran.out.splitlines() if line.startswith("image.png.featurevector")]
    assert f"{float(row['difference']):.1e}" in line
    assert "equal" in line
    assert "worst       " in ran.out


def test_another_network_s_features_differ_by_what_is_printed(media: Path) -> None:
    data = WEIGHTS.read_bytes()
    # of layers with one name the last counts
    shifted = layer("fc7", [blob(np.zeros((96, 64))), blob(np.ones(96))])
    (media / "other.caffemodel").write_bytes(data + shifted)
    network = ("--definition", DEFINITION, "--weights", media / "other.caffemodel")
    ran = run("verify", "features", media, *network)
    assert ran.code == 1
    (line,) = [line for line in ran.out.splitlines() if line.startswith("image.png.featurevector")]
    assert "differs, most at row" in line
    assert "over        1 over the tolerance of 0.0001" in ran.out


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--definition", DEFINITION), "vgg16 needs its file weights"),
        (
            ("--extractor", "vgg16", "--weights", WEIGHTS),
            "vgg16 needs its file definition",
        ),
        (
            ("--extractor", "efficientnet", *NETWORK),
            "unknown data location definition; it takes weights",
        ),
        (("--definition", "nowhere.prototxt", "--weights", WEIGHTS), "no file"),
    ],
)
def test_what_cannot_begin(options: tuple[str | Path, ...], text: str, media: Path) -> None:
    ran = run("verify", "features", media, *options)
    assert ran.code == 2
    assert text in ran.err
