"""`classify` on features of another network than the classifier's."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from spacer_tasks.data_classes.features import ImageFeatures
from tests.support.command_line import Ran, run
from tests.support.survey import DUMMY, read_predictions, write_photos, write_points


@pytest.fixture(autouse=True)
def trained(
    settings_changed: Callable[[], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Photos, features and a classifier in the current folder."""
    for name in [name for name in os.environ if name.startswith("SPACER_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    settings_changed()
    write_points(tmp_path / "points.csv", write_photos(tmp_path / "photos", 6))
    where = ("--points", "points.csv", "--features", "features")
    run("extract", "photos", *where, *DUMMY)
    run("train", *where, "--classifier", "c.safetensors", "--epochs", "1")


def features_say(*, extractor: dict[str, object] | None) -> None:
    """Have the features of one photo name another extractor, or none."""
    path = Path("features/3.png.npz")
    features = ImageFeatures.from_bytes(path.read_bytes(), "3")
    said = {key: value for key, value in features.origin.items() if key != "extractor"}
    origin = said | ({"extractor": extractor} if extractor else {})
    path.write_bytes(replace(features, origin=origin).to_bytes())


def classify(*more: str) -> Ran:
    return run("classify", "--classifier", "c.safetensors", "-o", "p.csv", *more)


def test_the_same_network_needs_no_word() -> None:
    ran = classify("--features", "features")
    assert ran.code == 0
    assert "network" not in ran.err
    ran = classify("photos", "--points", "points.csv", *DUMMY)
    assert "network" not in ran.err


def test_another_network_warns_and_is_refused_by_strict() -> None:
    features_say(extractor={"name": "b.Net", "options": {}, "files": {"weights": "2" * 64}})
    ran = classify("--features", "features")
    assert ran.code == 0
    assert "warning: 1 image (3.png): its features are from Net (sha256 22222222…)" in ran.err
    assert len(read_predictions(Path("p.csv"))) == 54
    ran = classify("--features", "features", "--strict")
    assert ran.code == 1
    assert "3.png: its features are from Net" in ran.err
    assert len(read_predictions(Path("p.csv"))) == 45


def test_a_classifier_that_does_not_know_says_so() -> None:
    features_say(extractor=None)
    where = ("--points", "points.csv", "--features", "features")
    run("train", *where, "--classifier", "c.safetensors", "--epochs", "1")
    ran = classify("--features", "features", "--strict")
    assert ran.code == 0
    assert "warning: the classifier does not say which network" in ran.err


def test_a_photo_in_another_size_of_vectors_names_both_networks() -> None:
    ran = classify(
        "photos", "--points", "points.csv", "--extractor", "dummy", "--extractor-option",
        "feature_dim=8",
    )  # fmt: skip
    assert ran.code == 1
    assert "8 dimensions, but the classifier was trained on 16; its features are from" in ran.err
