"""The researcher's three commands with a network: what they predict is right."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from tests.survey import label_of, read_predictions, run, write_photos, write_points

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures/efficientnet"
#: points a photo: the network takes some tens of milliseconds for each
POINTS_KEPT = 3


@pytest.mark.usefixtures("settings_changed")
def test_colours_are_told_apart(tmp_path: Path) -> None:
    weights = tmp_path / "weights.pt"
    subprocess.run([sys.executable, FIXTURES / "make_weights.py", weights], check=True)
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
