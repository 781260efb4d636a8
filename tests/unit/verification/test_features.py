"""`spacer-tasks verify features`: stored vectors are computed again and compared."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spacer_tasks.data_classes.features import ImageFeatures
from spacer_tasks.verification.features import relative_errors
from tests.support.command_line import run
from tests.support.survey import DUMMY, POINTS, read_predictions, write_photos, write_points

IMAGES = 6


@pytest.fixture(autouse=True)
def survey(
    settings_changed: Callable[[], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Path:
    """Photos with features that say where they come from."""
    monkeypatch.chdir(tmp_path)
    names = write_photos(tmp_path / "photos", IMAGES)
    write_points(tmp_path / "points.csv", names)
    run("extract", "photos", "--points", "points.csv", "--features", "features", *DUMMY)
    return tmp_path


def features_of(path: Path) -> ImageFeatures:
    return ImageFeatures.from_bytes(path.read_bytes(), str(path))


def change(name: str, **fields: Any) -> None:
    path = Path("features", name)
    path.write_bytes(replace(features_of(path), **fields).to_bytes())


def as_the_reference_stores(path: Path, features: ImageFeatures) -> None:
    """Compressed float64, without a word of where it comes from."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        np.savez_compressed(
            stream,
            meta=np.array([True, len(features), features.dimensions]),
            rows=np.array(features.rows, dtype=np.uint16),
            cols=np.array(features.cols, dtype=np.uint16),
            feat=features.vectors.astype(float),
        )


def rows_of(path: str) -> dict[str, dict[str, str]]:
    return {Path(row["file"]).name: row for row in read_predictions(Path(path))}


def test_features_that_are_as_computed_pass() -> None:
    ran = run("verify", "features", "features", "--report", "report.csv")
    assert ran.code == 0, ran.err
    assert f"sample      {IMAGES} of {IMAGES} files in features (seed 0)" in ran.out
    assert f"verified    {IMAGES} files" in ran.out
    assert "over        0 over the tolerance of 0.0001" in ran.out
    row = rows_of("report.csv")["3.png.npz"]
    assert row["outcome"] == "equal"
    assert row["points"] == str(len(POINTS))
    assert float(row["difference"]) == 0
    assert row["computed_from"] == str(Path("photos/3.png").resolve())
    assert row["by"] == "spacer_tasks.extractors.DummyExtractor"


def test_a_vector_that_is_off_is_found_with_its_point() -> None:
    vectors = features_of(Path("features/3.png.npz")).vectors.copy()
    vectors[4] *= 1.01
    change("3.png.npz", vectors=vectors)
    ran = run("verify", "features", "features", "-o", "report.csv")
    assert ran.code == 1
    row, column = POINTS[4]
    (line,) = [line for line in ran.out.splitlines() if "differs" in line]
    assert line.startswith("3.png.npz")
    assert f"9.9e-03  differs, most at row {row} column {column}" in line
    assert "worst       9.9e-03" in ran.out
    assert "median      0" in ran.out
    assert "over        1 over" in ran.out
    found = rows_of("report.csv")["3.png.npz"]
    assert [found["worst_row"], found["worst_column"]] == [str(row), str(column)]
    assert run("verify", "features", "features", "--tolerance", "0.02").code == 0


def test_what_cannot_be_verified_is_told_and_does_not_fail_the_rest() -> None:
    vectors = features_of(Path("features/1.png.npz")).vectors
    Path("features/1.png.npz").write_text(json.dumps(vectors.tolist()))
    change("2.png.npz", origin={})
    Path("photos/3.png").unlink()
    files = {"weights": "ab" * 32}
    said = {"name": "spacer_tasks.extractors.EfficientNetExtractor", "options": {}, "files": files}
    change("4.png.npz", origin={"image": "photos/4.png", "extractor": said})
    ran = run("verify", "features", "features")
    assert ran.code == 0
    assert "verified    2 files" in ran.out
    assert "4 files not verified:" in ran.err
    for text in (
        "  1.png.npz: of the old format without rows and columns",
        "  2.png.npz: it does not say which extractor computed it: give one",
        "  3.png.npz: no file",
        f"  4.png.npz: computed by {said['name']}, whose files must be given: weights with"
        f" SHA-256 {'ab' * 32}",
    ):
        assert text in ran.err


def test_files_that_come_with_a_package_need_not_be_given() -> None:
    run("extract", "photos", "--points", "points.csv", "--features", "lite")
    ran = run("verify", "features", "lite")
    assert ran.code == 0, ran.err
    assert f"verified    {IMAGES} files" in ran.out
    path = Path("lite/1.png.npz")
    said = features_of(path).origin["extractor"]
    assert set(said["files"]) == {"weights"}
    # by other weights of that package: computed, found to differ, and told why
    vectors = features_of(path).vectors + np.float32(0.5)
    said["files"] = {"weights": "ab" * 32}
    origin = {**features_of(path).origin, "extractor": said}
    path.write_bytes(replace(features_of(path), vectors=vectors, origin=origin).to_bytes())
    ran = run("verify", "features", "lite", "-o", "report.csv")
    assert ran.code == 1
    assert "the extractor had other files" in rows_of("report.csv")["1.png.npz"]["note"]


@pytest.mark.parametrize(
    "said",
    [
        "dummy",
        {"name": "dummy"},
        {"name": ["dummy"], "options": {}, "files": {}},
        {"name": "dummy", "options": [], "files": {}},
        {"name": "dummy", "options": {}, "files": ["weights"]},
    ],
)
def test_what_a_file_says_in_another_way_names_no_extractor(said: object) -> None:
    change("1.png.npz", origin={"image": "photos/1.png", "extractor": said})
    ran = run("verify", "features", "features")
    assert ran.code == 0
    assert "1.png.npz: it does not say which extractor computed it" in ran.err
    assert "Traceback" not in ran.err


def test_features_of_an_extractor_that_is_not_installed_are_not_verified() -> None:
    for name, files in (("1.png.npz", {}), ("2.png.npz", {"weights": "ab" * 32})):
        said = {"name": "reef.extractors.Mine", "options": {}, "files": files}
        change(name, origin={"image": "photos/1.png", "extractor": said})
    ran = run("verify", "features", "features")
    assert ran.code == 0
    assert "2 files not verified:" in ran.err
    assert "1.png.npz, 2.png.npz: computed by another extractor: no extractor 'reef" in ran.err


def test_a_damaged_file_or_image_is_a_failure() -> None:
    Path("features/1.png.npz").write_bytes(Path("features/1.png.npz").read_bytes()[:500])
    Path("photos/2.png").write_bytes(b"no image any more")
    ran = run("verify", "features", "features", "-o", "report.csv")
    assert ran.code == 1
    assert "2 files failed:" in ran.err
    assert "  1.png.npz: a damaged feature file" in ran.err
    assert "not an image that can be read" in ran.err
    outcomes = [row["outcome"] for row in rows_of("report.csv").values()]
    assert sorted(outcomes) == ["equal"] * 4 + ["failed"] * 2


def test_files_of_the_reference_are_verified_with_the_image_beside_them() -> None:
    for number in range(IMAGES):
        name = f"{number}.png"
        features = features_of(Path("features", f"{name}.npz"))
        as_the_reference_stores(Path("media/deep", f"{name}.featurevector"), features)
        shutil.copy(Path("photos", name), Path("media/deep", name))
    ran = run("verify", "features", "media", *DUMMY)
    assert ran.code == 0, ran.err
    assert f"{IMAGES} of {IMAGES} files in media" in ran.out
    assert "deep/3.png.featurevector" in ran.out
    # one file by itself, and elsewhere than its image
    one = "media/deep/3.png.featurevector"
    assert run("verify", "features", one, *DUMMY).code == 0
    Path("media/deep/3.png").unlink()
    assert run("verify", "features", one, *DUMMY).code == 2
    ran = run("verify", "features", one, *DUMMY, "--images", "photos/{name}")
    assert ran.code == 0
    ran = run("verify", "features", one, *DUMMY, "--images", "{folder}/../../photos/{name}")
    assert ran.code == 0


def test_features_of_another_extractor_are_not_compared() -> None:
    other = ("--extractor", "dummy", "--extractor-option", "feature_dim=17")
    ran = run("verify", "features", "features", *other)
    assert ran.code == 2
    assert "error: no file could be verified" in ran.err
    assert "computed by an extractor with options {'feature_dim': 16}, not" in ran.err
    change("0.png.npz", origin={"image": "photos/0.png"})
    ran = run("verify", "features", "features/0.png.npz", *other)
    assert "its vectors have 16 dimensions, those of" in ran.err


def test_an_image_that_was_replaced_since_explains_a_difference() -> None:
    shutil.copy("photos/2.png", "photos/1.png")
    ran = run("verify", "features", "features", "-o", "report.csv")
    assert ran.code == 1
    assert rows_of("report.csv")["1.png.npz"]["note"] == "the image was replaced or copied since"


def test_a_sample_is_random_and_the_same_each_time() -> None:
    samples: dict[str, set[str]] = {}
    for seed in ("1", "2", "1"):
        where = ("features", "--sample", "3", "--seed", seed, "-o", "report.csv")
        assert "sample      3 of 6 files" in run("verify", "features", *where).out
        found = set(rows_of("report.csv"))
        assert samples.setdefault(seed, found) == found
    assert samples["1"] != samples["2"]
    ran = run("verify", "features", "features", "--match", "[24]*")
    assert "2 of 2 files" in ran.out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("nowhere",), "nothing to verify is there"),
        (("photos",), "photos: nothing to verify is there"),
        (("features", "--extractor", "resnet"), "no extractor 'resnet'"),
        (("features", "--sha256", "0" * 64), "there is no --weights to check"),
    ],
)
def test_what_cannot_begin(arguments: tuple[str, ...], text: str) -> None:
    ran = run("verify", "features", *arguments)
    assert ran.code == 2
    assert text in ran.err


def test_relative_errors_are_of_the_stored_vector() -> None:
    stored = np.array([[3, 4], [0, 0], [0, 0], [1, 0]], dtype=np.float32)
    computed = np.array([[3, 4.5], [0, 0], [0, 1], [1, 0]], dtype=np.float32)
    np.testing.assert_allclose(relative_errors(stored, computed), [0.1, 0, np.inf, 0])
