"""Feature files of labelled points, read into one matrix per set."""

from __future__ import annotations

import json
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spacer_tasks.data_classes.features import ImageFeatures
from spacer_tasks.data_classes.labels import ImageLabels
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import (
    FeatureDimensionError,
    FeatureFileError,
    ObjectNotFoundError,
    RowColumnMismatchError,
    RowColumnMissingError,
    StorageUnavailableError,
)
from spacer_tasks.storage import delete, store
from spacer_tasks.storage.memory import MEMORY
from spacer_tasks.training.feature_matrix import load_sets


def at(name: str) -> DataLocation:
    return DataLocation(storage_type="memory", key=name)


@pytest.fixture(autouse=True)
def _stored_features() -> object:
    """Images a to e, points (0, 0) to (0, 3); a vector is [image number, point number, 1]."""
    for number, name in enumerate("abcde"):
        vectors = np.array([[number, point, 1] for point in range(4)], dtype=np.float32)
        rowcols = [(0, point) for point in range(4)]
        store(at(name), ImageFeatures.of_points(rowcols, vectors).to_bytes())
    yield
    MEMORY.clear()


LABELS = ImageLabels({at(name): [(0, 2, "x"), (0, 1, "y")] for name in "abcde"})


def test_each_set_has_its_vectors_in_the_order_of_its_labels() -> None:
    other = ImageLabels({at("d"): [(0, 0, "y")], at("b"): [(0, 3, "x"), (0, 3, "y")]})
    seen: list[tuple[int, int]] = []
    sets = load_sets(
        {"train": LABELS, "val": other}, ["x", "y"], lambda done, total: seen.append((done, total))
    )
    train, val = sets["train"], sets["val"]
    assert train.vectors.dtype == np.float32
    assert train.vectors.tolist() == [[i, p, 1] for i in range(5) for p in (2, 1)]
    assert train.targets.tolist() == [0, 1] * 5
    assert train.rows_of([4, 0]).tolist() == [8, 9, 0, 1]
    assert val.vectors.tolist() == [[3, 0, 1], [1, 3, 1], [1, 3, 1]]
    assert val.targets.tolist() == [1, 0, 1]
    assert val.starts.tolist() == [0, 1, 3]
    assert seen == [(done, 5) for done in range(1, 6)]


def test_another_dimension_is_named_with_both_numbers_and_files() -> None:
    store(at("c"), ImageFeatures.of_points([(0, 1), (0, 2)], np.ones((2, 7), "f4")).to_bytes())
    with pytest.raises(
        FeatureDimensionError, match=r"memory://c: 7 dimensions, expected 3 as in memory://a"
    ):
        load_sets({"train": LABELS}, ["x", "y"])


def test_an_image_without_labels_has_a_place_and_its_file_is_read() -> None:
    store(at("wide"), ImageFeatures.of_points([(0, 0)], np.ones((1, 9), np.float32)).to_bytes())
    # also before the others: its dimensions do not matter
    labels = ImageLabels({at("wide"): [], **LABELS.root})
    found = load_sets({"train": labels}, ["x", "y"])["train"]
    assert found.starts.tolist() == [0, 0, 2, 4, 6, 8, 10]
    assert found.vectors.shape == (10, 3)
    delete(at("wide"))
    with pytest.raises(ObjectNotFoundError, match="wide"):
        load_sets({"train": labels}, ["x", "y"])


def test_numbers_too_large_for_float32_are_named_where_a_labelled_point_has_them() -> None:
    vectors = np.ones((4, 3))
    vectors[0, 1] = 1e39
    store(at("c"), ImageFeatures.of_points([(0, i) for i in range(4)], vectors).to_bytes())
    load_sets({"train": LABELS}, ["x", "y"])
    with pytest.raises(FeatureFileError, match=r"c: holds numbers beyond 3.4e\+38.*extract"):
        load_sets({"train": ImageLabels({at("c"): [(0, 0, "x")]})}, ["x"])


def test_a_labelled_point_that_is_not_in_the_file_is_named() -> None:
    labels = ImageLabels({at("a"): [(0, 1, "x")], at("b"): [(0, 0, "x"), (7, 9, "y")]})
    with pytest.raises(RowColumnMismatchError, match=r"memory://b: .*\(7, 9\)"):
        load_sets({"train": labels}, ["x", "y"])


def test_old_features_without_rows_and_columns_are_named() -> None:
    store(at("e"), json.dumps([[1.0, 2.0, 3.0]] * 4).encode())
    with pytest.raises(RowColumnMissingError, match="memory://e"):
        load_sets({"train": LABELS}, ["x", "y"])


@pytest.mark.parametrize("content", [b"", b"PK damaged", b"\xff\xd8 a photo"])
@pytest.mark.parametrize("name", ["a", "d"])
def test_a_damaged_file_is_named(name: str, content: bytes) -> None:
    store(at(name), content)
    with pytest.raises(FeatureFileError, match=f"memory://{name}"):
        load_sets({"train": LABELS}, ["x", "y"])


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_named(number: float) -> None:
    vectors = np.ones((4, 3), dtype=np.float32)
    vectors[2, 1] = number
    rowcols = [(0, point) for point in range(4)]
    store(at("d"), ImageFeatures.of_points(rowcols, vectors).to_bytes())
    with pytest.raises(FeatureFileError, match=r"memory://d: .*not finite"):
        load_sets({"train": LABELS}, ["x", "y"])


@pytest.mark.parametrize("name", ["a", "d"])
def test_a_missing_file_is_named(name: str) -> None:
    delete(at(name))
    with pytest.raises(ObjectNotFoundError, match=name):
        load_sets({"train": LABELS}, ["x", "y"])


def test_more_than_fits_the_budget_is_in_a_file_that_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, settings_changed: Any, tmp_path: Path
) -> None:
    in_memory = load_sets({"train": LABELS, "val": LABELS}, ["x", "y"])
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("SPACER_TRAINING_MATRIX_MAX_BYTES", str(20 * 3 * 4 - 1))
    settings_changed()
    mapped = load_sets({"train": LABELS, "val": LABELS}, ["x", "y"])
    assert str(tmp_path) in Path("/proc/self/maps").read_text()
    assert not list(tmp_path.iterdir())
    for name, some in mapped.items():
        np.testing.assert_array_equal(some.vectors, in_memory[name].vectors)
        np.testing.assert_array_equal(some.targets, in_memory[name].targets)
    del some, mapped
    assert str(tmp_path) not in Path("/proc/self/maps").read_text()


def test_no_room_for_the_file_is_an_error_that_says_where(
    monkeypatch: pytest.MonkeyPatch, settings_changed: Any, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("SPACER_TRAINING_MATRIX_MAX_BYTES", "1")
    settings_changed()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(StorageUnavailableError, match=rf"no room for 120 bytes.*{tmp_path}"):
            load_sets({"train": LABELS}, ["x", "y"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(("identities", "warnings"), [(("v1", "v1"), 0), (("v1", "v2"), 1)])
def test_features_of_several_extractors_are_warned_of(
    identities: tuple[str, str], warnings: int, caplog: pytest.LogCaptureFixture
) -> None:
    for name, identity in zip("bd", identities, strict=True):
        origin = {"extractor": {"class": "Network", "weights": identity}}
        points = [(0, 1), (0, 2)]
        features = ImageFeatures.of_points(points, np.ones((2, 3), "f4"), origin)
        store(at(name), features.to_bytes())
    load_sets({"train": LABELS}, ["x", "y"])
    assert len(caplog.records) == warnings
    if warnings:
        assert "memory://b" in caplog.text
        assert "memory://d" in caplog.text


def test_features_of_two_networks_are_not_learned_together() -> None:
    vectors = np.ones((4, 3), dtype=np.float32)
    for name, sha in (("a", "1" * 64), ("b", "2" * 64), ("c", "1" * 64)):
        network = {"name": "x.EfficientNetExtractor", "files": {"weights": sha}, "options": {}}
        features = ImageFeatures.of_points(
            [(0, point) for point in range(4)], vectors, origin={"extractor": network}
        )
        store(at(name), features.to_bytes())
    with pytest.raises(FeatureFileError) as error:
        load_sets({"train": LABELS}, ["x", "y"])
    assert "of 2 networks" in str(error.value)
    assert "EfficientNetExtractor (sha256 11111111…), as memory://a" in str(error.value)
    assert "EfficientNetExtractor (sha256 22222222…), as memory://b" in str(error.value)
    # those that name none, as the reference's, are not compared
    one = ImageLabels({at(name): [(0, 2, "x"), (0, 1, "y")] for name in "acd"})
    assert len(load_sets({"train": one}, ["x", "y"])["train"].networks) == 2
