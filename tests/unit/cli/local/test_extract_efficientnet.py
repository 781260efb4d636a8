"""The researcher's three commands with a network: what they predict is right."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from spacer_tasks.data_classes.features import ImageFeatures
from tests.support.checkout import FIXTURES_FOLDER
from tests.support.command_line import run
from tests.support.survey import label_of, read_predictions, write_photos, write_points

FIXTURES = FIXTURES_FOLDER / "efficientnet"
#: points a photo: the network takes some tens of milliseconds for each
POINTS_KEPT = 3


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "weights.pt"
    subprocess.run([sys.executable, FIXTURES / "make_weights.py", path], check=True)
    return path


@pytest.mark.usefixtures("settings_changed")
def test_features_of_the_reference_s_network_are_verified(weights: Path, tmp_path: Path) -> None:
    expected = np.load(FIXTURES / "expected_features.npz")
    # some of them: each takes some tens of milliseconds
    rowcols, vectors = expected["rowcols"][:5], expected["features"][:5].astype(np.float32)
    features = ImageFeatures.of_points([(int(row), int(col)) for row, col in rowcols], vectors)
    shutil.copy(FIXTURES / "image.jpg", tmp_path)
    (tmp_path / "image.jpg.featurevector").write_bytes(features.to_bytes())
    ran = run("verify", "features", tmp_path, "--weights", weights, "-o", tmp_path / "report.csv")
    assert ran.code == 0, ran.out + ran.err
    (row,) = read_predictions(tmp_path / "report.csv")
    assert row["outcome"] == "equal"
    assert 0 < float(row["difference"]) <= 1e-4
    assert row["points"] == str(len(rowcols))


@pytest.mark.usefixtures("settings_changed")
def test_colours_are_told_apart(weights: Path, tmp_path: Path) -> None:
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    names = write_photos(tmp_path / "photos", 12)
    points = write_points(tmp_path / "points.csv", names, unlabelled=names[9:])
    lines = points.read_text().splitlines()
    points.write_text("\n".join([lines[0], *lines[1::POINTS_KEPT]]))
    where = ("--points", points, "--features", tmp_path / "features")
    model = ("--classifier", tmp_path / "reef.safetensors")

    ran = run("extract", tmp_path / "photos", *where, "--weights", weights, "--sha256", sha256)
    assert ran.code == 0, ran.err
    ran = run(
        "train", *where, *model, "--split-mode", "points_stratified", "--ratios", "0.2", "0.2"
    )
    assert ran.code == 0, ran.err
    ran = run("classify", *where[2:], *model, "-o", tmp_path / "predictions.csv")
    assert ran.code == 0, ran.err
    rows = [
        row for row in read_predictions(tmp_path / "predictions.csv") if row["image"] in names[9:]
    ]
    assert len(rows) == 3 * POINTS_KEPT
    right = [row["label"] == label_of(int(Path(row["image"]).stem)) for row in rows]
    # chance is a third
    assert sum(right) >= 8


@pytest.mark.usefixtures("settings_changed")
def test_without_weights_the_three_commands_work_with_lite0(tmp_path: Path) -> None:
    names = write_photos(tmp_path / "photos", 12)
    points = write_points(tmp_path / "points.csv", names)
    lines = points.read_text().splitlines()
    points.write_text("\n".join([lines[0], *lines[1::POINTS_KEPT]]))
    where = ("--points", points, "--features", tmp_path / "features")
    model = ("--classifier", tmp_path / "reef.safetensors")

    ran = run("extract", tmp_path / "photos", *where)
    assert ran.code == 0, ran.err
    assert "efficientnet-lite0" in ran.out + ran.err
    features = ImageFeatures.from_bytes((tmp_path / "features/0.png.npz").read_bytes(), "0.png")
    assert features.origin["extractor"]["name"].endswith("EfficientNetLite0Extractor")
    ran = run(
        "train", *where, *model, "--split-mode", "points_stratified", "--ratios", "0.2", "0.2"
    )
    assert ran.code == 0, ran.err
    photos = ("classify", tmp_path / "photos", "--points", points, *model)
    ran = run(*photos, "-o", tmp_path / "predictions.csv")
    assert ran.code == 0, ran.err
    rows = read_predictions(tmp_path / "predictions.csv")
    assert len(rows) == 12 * POINTS_KEPT
    right = [row["label"] == label_of(int(Path(row["image"]).stem)) for row in rows]
    assert sum(right) > 0.8 * len(rows)
