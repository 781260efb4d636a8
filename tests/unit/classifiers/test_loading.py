"""Classifiers are read once, until the file is replaced."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from spacer_tasks import storage
from spacer_tasks.classifiers import Classifier, load_classifier, loading, store_classifier
from spacer_tasks.classifiers.model import Layer
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import ClassifierFileError, ObjectNotFoundError


def classifier(dimensions: int) -> Classifier:
    return Classifier(
        clf_type="LR",
        layers=(Layer(np.ones((dimensions, 1)), np.zeros(1)),),
        output="identity",
        calibration_a=np.ones(1),
        calibration_b=np.zeros(1),
        classes=["a", "b"],
    )


def at(folder: Path, name: str = "x.model") -> DataLocation:
    return DataLocation(storage_type="filesystem", key=str(folder / name))


def test_a_stored_classifier_is_read_once(tmp_path: Path) -> None:
    store_classifier(at(tmp_path), classifier(5))
    first = load_classifier(at(tmp_path))
    assert first.feature_dim == 5
    assert load_classifier(at(tmp_path)) is first


def test_a_replaced_file_is_noticed(tmp_path: Path) -> None:
    store_classifier(at(tmp_path), classifier(5))
    load_classifier(at(tmp_path))
    store_classifier(at(tmp_path), classifier(6))
    assert load_classifier(at(tmp_path)).feature_dim == 6


def test_a_removed_file_is_not_answered_from_memory(tmp_path: Path) -> None:
    store_classifier(at(tmp_path), classifier(5))
    load_classifier(at(tmp_path))
    storage.delete(at(tmp_path))
    with pytest.raises(ObjectNotFoundError, match=r"x\.model"):
        load_classifier(at(tmp_path))


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    storage.store(at(tmp_path), b"no classifier")
    with pytest.raises(ClassifierFileError, match=r"x\.model"):
        load_classifier(at(tmp_path))


def test_only_the_last_used_are_kept_and_threads_may_share(tmp_path: Path) -> None:
    count = loading.KEPT + 4
    for dimensions in range(1, count + 1):
        store_classifier(at(tmp_path, str(dimensions)), classifier(dimensions))

    def dimensions_of(name: int) -> int:
        return load_classifier(at(tmp_path, str(name))).feature_dim

    with ThreadPoolExecutor(8) as pool:
        wanted = [1 + i % count for i in range(200)]
        assert list(pool.map(dimensions_of, wanted)) == wanted
    assert len(loading._kept) == loading.KEPT
