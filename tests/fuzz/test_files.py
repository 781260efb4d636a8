"""Damaged images, feature files, classifiers, weights and CSVs: an answer or an input error."""

from __future__ import annotations

import json
import warnings
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given

from spacer_tasks.annotations.reading import read_points_file
from spacer_tasks.classifiers.codec import decoded, format_of
from spacer_tasks.classifiers.safetensors_file import to_bytes
from spacer_tasks.data_classes.features import ImageFeatures
from spacer_tasks.exceptions import InputError
from spacer_tasks.extractors import load_image, load_pixels
from spacer_tasks.extractors.files.state_dict import read_state_dict
from tests.fuzz.mutations import damaged, examples
from tests.support.checkout import FIXTURES_FOLDER
from tests.support.files.image_kinds import KINDS
from tests.support.files.older_pickles import in_protocol

FIXTURES = FIXTURES_FOLDER / "pyspacer"
IMAGES = list(KINDS.values())


def feature_files() -> list[bytes]:
    vectors = np.arange(12, dtype=np.float32).reshape(4, 3)
    ours = ImageFeatures.of_points([(1, 2), (3, 4), (5, 6), (7, 80000)], vectors, {"image": "x"})
    compressed = BytesIO()
    np.savez_compressed(
        compressed, meta=np.array([1, 2, 3]), rows=np.arange(2), cols=np.arange(2), feat=vectors[:2]
    )
    reference = next(iter(sorted(FIXTURES.glob("features_int/*.featurevector"))))
    return [
        ours.to_bytes(),
        compressed.getvalue(),
        reference.read_bytes(),
        json.dumps(vectors.tolist()).encode(),
    ]


FEATURES = feature_files()
PICKLES = [path.read_bytes() for path in sorted(FIXTURES.glob("int_*.pkl"))][:2]
#: as Python 2 wrote them where nobody asked for another protocol
OLDER = [in_protocol(data, protocol) for data in PICKLES for protocol in (0, 1)]
CLASSIFIERS = [*PICKLES, *OLDER, *(to_bytes(decoded(data, "x")) for data in PICKLES)]


def weights_files() -> list[bytes]:
    content = {"net": {"module.a": torch.zeros(2, 3), "b": torch.ones(1)}, "acc": np.float64(1)}
    files = []
    for zipped in (True, False):
        stream = BytesIO()
        torch.save(content, stream, _use_new_zipfile_serialization=zipped)
        files.append(stream.getvalue())
    return files


WEIGHTS = weights_files()
CSVS = [
    "Name,Row,Column,Label\na.jpg,1,2,coral\nb/c.jpg,3,4,\n".encode("utf-8-sig"),
    "image;y;x;label id\nü.jpg;1;2;7\nü.jpg;1;2;7\n".encode("cp1252"),
    'photo\trow\tcol\r\n"a\nb"\t1\t2\r\n'.encode("utf-16"),
]


@examples(400)
@given(damaged(IMAGES))
def test_an_image(data: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for load in (load_image, load_pixels):
            try:
                pixels = np.asarray(load(data, "reef"))
            except InputError as error:
                assert str(error).startswith("reef: ")
            else:
                assert pixels.shape[2] == 3


@examples(500)
@given(damaged(FEATURES))
def test_a_feature_file(data: bytes) -> None:
    try:
        features = ImageFeatures.from_bytes(data, "reef")
        points = features.rowcols()
        features.indices_of(points, "reef")
    except InputError:
        return
    assert len(points) == len(features.vectors)


@examples(500)
@given(damaged(CLASSIFIERS))
def test_a_classifier_file(data: bytes) -> None:
    format_of(data)
    try:
        classifier = decoded(data, "reef")
    except InputError as error:
        assert str(error).startswith("reef: ")
        return
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        scores = classifier.predict_proba(np.zeros((2, classifier.feature_dim)))
    assert scores.shape == (2, len(classifier.classes))


@examples(150)
@given(damaged(WEIGHTS))
def test_a_weights_file(data: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            assert isinstance(read_state_dict(data, "reef", "net"), dict)
        except InputError as error:
            assert str(error).startswith("reef")


@pytest.mark.parametrize("integer_labels", [False, True])
@examples(300)
@given(damaged(CSVS))
def test_a_csv_of_points(integer_labels: bool, data: bytes) -> None:
    found: Any
    try:
        found = read_points_file(data, "reef", integer_labels=integer_labels)
    except InputError as error:
        assert str(error).startswith("reef")
        return
    assert found.point_count > 0
