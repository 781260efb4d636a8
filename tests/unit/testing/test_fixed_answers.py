"""The ready-made rules answer what their tasks would, and their files are real."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from spacer_tasks import storage
from spacer_tasks.data_classes.features import ImageFeatures
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.results import load_answer
from spacer_tasks.tasks import (
    classify_features,
    classify_image,
    extract_features,
    train_classifier,
)
from spacer_tasks.testing import (
    FakeWorker,
    eager_queue,
    fixed_accuracy,
    fixed_features,
    fixed_scores,
)
from tests.support.messages.in_memory import at, extraction


@pytest.fixture
def worker() -> Iterator[FakeWorker]:
    worker = FakeWorker()
    with eager_queue(worker):
        yield worker


def scoring() -> dict[str, Any]:
    return {"job_token": "1", "feature_loc": at("a.npz"), "classifier_loc": at("none")}


def test_features_are_in_a_real_file_at_the_points_of_the_message(worker: FakeWorker) -> None:
    worker.answers(extract_features, fixed_features([0.5, 2]))
    extract_features.delay(extraction())
    found = ImageFeatures.from_bytes(storage.load(DataLocation(**at("a.npz"))), "a")
    assert found.rowcols() == [(3, 4), (5, 6)]
    assert found.vectors.dtype == np.float32
    assert found.vectors.tolist() == [[0.5, 2], [0.5, 2]]


def test_without_a_vector_no_file_is_written(worker: FakeWorker) -> None:
    worker.answers(extract_features, fixed_features())
    assert extract_features.delay(extraction()).state == "SUCCESS"
    assert not storage.exists(DataLocation(**at("a.npz")))


def test_scores_are_of_the_points_of_the_image_or_of_the_feature_file(worker: FakeWorker) -> None:
    rule = fixed_scores(["sand", 3], [0.25, 0.75])
    worker.answers(extract_features, fixed_features([1]))
    worker.answers(classify_image, rule)
    worker.answers(classify_features, rule)
    message = extraction()
    extract_features.delay(message)
    image = {**message, "classifier_loc": at("none")}
    del image["feature_loc"]
    expected = [[3, 4, [0.25, 0.75]], [5, 6, [0.25, 0.75]]]
    for answer in (classify_image.delay(image), classify_features.delay(scoring())):
        assert load_answer(answer)["scores"] == expected
        assert load_answer(answer)["classes"] == ["sand", 3]


def test_points_that_are_given_need_no_feature_file(worker: FakeWorker) -> None:
    worker.answers(classify_features, fixed_scores(["a"], [1.0], points=[(7, 8)]))
    assert load_answer(classify_features.delay(scoring()))["scores"] == [[7, 8, [1.0]]]


def test_as_many_probabilities_as_labels() -> None:
    with pytest.raises(ValueError, match="2 probabilities for 1 classes"):
        fixed_scores(["a"], [0.5, 0.5])


def test_an_accuracy_for_each_epoch_and_each_previous_classifier(worker: FakeWorker) -> None:
    worker.answers(train_classifier, fixed_accuracy(0.75))
    labels = {key: {json.dumps(at("f")): [[1, 2, "a"]]} for key in ("train", "ref", "val")}
    message = {
        "job_token": "1",
        "trainer": "minibatch",
        "nbr_epochs": 3,
        "clf_type": "LR",
        "labels": labels,
        "previous_model_locs": [at("one"), at("two")],
        "model_loc": at("m"),
        "valresult_loc": at("v"),
    }
    assert load_answer(train_classifier.delay(message)) == {
        "acc": 0.75,
        "pc_accs": [0.75] * 2,
        "ref_accs": [0.75] * 3,
        "runtime": 0.0,
    }
