"""Classifiers on the validation set, whatever their own classes are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spacer_tasks.classifiers import Classifier
from spacer_tasks.classifiers.model import Layer
from spacer_tasks.training.evaluation import accuracy, evaluate
from spacer_tasks.training.feature_matrix import LabelledVectors

#: four points, each a one-hot vector, and their labels as indices into CLASSES
VAL = LabelledVectors(
    vectors=np.eye(4, dtype=np.float32),
    targets=np.array([0, 1, 2, 1]),
    starts=np.array([0, 4]),
)
CLASSES = ["algae", "coral", "sand"]


def says(answers: list[int], classes: list[Any]) -> Classifier:
    """A classifier that gives the vector with a 1 at i the class `answers[i]`."""
    weight = np.zeros((4, len(classes)))
    weight[np.arange(4), answers] = 10
    return Classifier(
        clf_type="LR",
        layers=(Layer(weight, np.zeros(len(classes))),),
        output="identity",
        calibration_a=-np.ones(len(classes)),
        calibration_b=np.full(len(classes), 5.0),
        classes=classes,
    )


def test_validation_results_count_in_the_classifier_s_own_classes() -> None:
    classifier = says([3, 1, 0, 0], ["sand", "coral", "rock", "algae"])
    found = evaluate(classifier, VAL, CLASSES)
    assert found.classes == ["sand", "coral", "rock", "algae"]
    assert found.gt == [3, 1, 0, 1]
    assert found.est == [3, 1, 0, 0]
    assert found.scores == pytest.approx(classifier.predict_proba(VAL.vectors).max(axis=1))


@pytest.mark.parametrize(
    ("answers", "classes", "right"),
    [
        ([0, 1, 2, 1], ["algae", "coral", "sand"], 4),
        ([2, 1, 0, 1], ["sand", "coral", "algae"], 4),
        ([0, 0, 0, 1], ["coral", "rock", "turf"], 1),
        ([0, 1, 2, 1], ["rock", "turf", "mud"], 0),
        ([0, 1, 2, 1], [0, 1, 2], 0),
    ],
)
def test_a_previous_classifier_is_compared_by_label(
    answers: list[int], classes: list[Any], right: int
) -> None:
    assert accuracy(says(answers, classes), VAL, CLASSES) == right / 4
