"""The reference's storages: its errors, its streams, and scikit-learn's classifiers."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.naive_bayes import GaussianNB

from spacer_tasks import classifiers
from spacer_tasks.compat.data_classes import DataLocation
from spacer_tasks.compat.exceptions import URLDownloadError
from spacer_tasks.compat.storage import (
    FileSystemStorage,
    MemoryStorage,
    URLStorage,
    clear_memory_storage,
    load_classifier,
    load_image,
    storage_factory,
    store_classifier,
)
from spacer_tasks.data_classes import locations
from spacer_tasks.exceptions import ClassifierFileError
from tests.support.checkout import FIXTURES_FOLDER
from tests.support.environments.reference import run_reference

FIXTURES = FIXTURES_FOLDER / "pyspacer"
KINDS = ["int_lr", "int_mlp", "str_lr", "str_mlp"]


@pytest.fixture(autouse=True)
def _memory() -> Iterator[None]:
    yield
    clear_memory_storage()


def at(path: Path) -> DataLocation:
    return DataLocation("filesystem", str(path))


def test_streams_are_stored_whole_and_loaded_from_their_beginning(tmp_path: Path) -> None:
    for storage, key in (
        (FileSystemStorage(), str(tmp_path / "folder" / "file")),
        (MemoryStorage(), "key"),
    ):
        stream = BytesIO(b"content")
        stream.read()
        assert not storage.exists(key)
        storage.store(key, stream)
        assert storage.load(key).read() == b"content"
        storage.delete(key)
        assert not storage.exists(key)


def test_nothing_there_is_an_error_of_python_s_own(tmp_path: Path) -> None:
    for attempt in (FileSystemStorage().load, FileSystemStorage().delete):
        with pytest.raises(FileNotFoundError):
            attempt(str(tmp_path / "nothing"))
    for of_memory in (MemoryStorage().load, MemoryStorage().delete):
        with pytest.raises(KeyError, match="nothing"):
            of_memory("nothing")
    (tmp_path / "text").write_text("no image")
    with pytest.raises(UnidentifiedImageError):
        load_image(at(tmp_path / "text"))


def test_a_url_that_fails_says_by_what() -> None:
    with pytest.raises(URLDownloadError, match="Failed to download from the URL 'x'") as caught:
        URLStorage().load("x")
    assert isinstance(caught.value.original_error, ValueError)
    assert not URLStorage().exists("x")
    # a private address, which this project does not go to
    with pytest.raises(URLDownloadError, match="no address on the internet"):
        URLStorage().load("http://127.0.0.1:1/a")
    with pytest.raises(TypeError):
        URLStorage().store("x", BytesIO())
    with pytest.raises(TypeError):
        URLStorage().delete("x")


def test_storages_by_type() -> None:
    assert isinstance(storage_factory("memory"), MemoryStorage)
    assert storage_factory("s3", "bucket").bucket_name == "bucket"
    with pytest.raises(ValueError, match="bucket_name"):
        storage_factory("s3")
    with pytest.raises(AssertionError):
        storage_factory("ftp")


@pytest.mark.parametrize("kind", KINDS)
def test_a_classifier_of_the_reference_s_is_one_of_scikit_learn_s(
    kind: str, tmp_path: Path
) -> None:
    """And stored again, it is what it was: to us, and to the reference."""
    path = FIXTURES / f"{kind}.pkl"
    found = load_classifier(at(path))
    assert isinstance(found, CalibratedClassifierCV)
    ours = classifiers.load_classifier(locations.DataLocation.parse(str(path)))
    vectors = np.random.default_rng(2).normal(size=(20, ours.feature_dim))
    expected = ours.predict_proba(vectors)
    np.testing.assert_allclose(found.predict_proba(vectors), expected, atol=1e-12)
    assert found.classes_.tolist() == ours.classes
    assert [ours.classes.index(each) for each in found.predict(vectors)] == (
        expected.argmax(axis=1).tolist()
    )
    store_classifier(at(tmp_path / "again"), found)
    np.testing.assert_allclose(
        load_classifier(at(tmp_path / "again")).predict_proba(vectors), expected, atol=1e-12
    )
    body = """
    from spacer.data_classes import DataLocation
    from spacer.storage import load_classifier
    classifier = load_classifier(DataLocation('filesystem', args['path']))
    return classifier.predict_proba(args['vectors']).tolist()
    """
    theirs = run_reference(body, {"path": str(tmp_path / "again"), "vectors": vectors.tolist()})
    np.testing.assert_allclose(theirs, expected, atol=1e-9)


def test_a_classifier_that_was_replaced_is_read_anew(tmp_path: Path) -> None:
    place = at(tmp_path / "c")
    for kind in KINDS[:2]:
        (tmp_path / "c").write_bytes((FIXTURES / f"{kind}.pkl").read_bytes())
        assert type(load_classifier(place).estimator).__name__ == (
            "SGDClassifier" if kind == "int_lr" else "MLPClassifier"
        )


def test_a_classifier_of_another_kind_is_stored_with_a_warning_and_not_loaded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    vectors = np.random.default_rng(3).normal(size=(40, 3))
    labels = np.arange(40) % 2
    fitted = CalibratedClassifierCV(FrozenEstimator(GaussianNB().fit(vectors, labels)))
    with pytest.raises(ValueError, match="Only fitted"):
        store_classifier(at(tmp_path / "c"), fitted)
    fitted.fit(vectors, labels)
    with caplog.at_level(logging.WARNING):
        store_classifier(at(tmp_path / "c"), fitted)
    assert "load_classifier does not read" in caplog.text
    with pytest.raises(ClassifierFileError):
        load_classifier(at(tmp_path / "c"))


def test_images_keep_their_mode(tmp_path: Path) -> None:
    Image.new("LA", (3, 2)).save(tmp_path / "a.png")
    assert (load_image(at(tmp_path / "a.png")).mode, load_image(at(tmp_path / "a.png")).size) == (
        "LA",
        (3, 2),
    )
