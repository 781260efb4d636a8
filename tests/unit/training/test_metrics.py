"""The metrics JSON, against numbers computed by hand."""

from __future__ import annotations

import json

import pytest

from spacer_tasks.data_classes.val_results import ValResults
from spacer_tasks.exceptions import TrainingLabelsError
from spacer_tasks.training import Metrics

#: coral 3 of 4 right (one called sand), sand 1 of 2 right (one called coral), algae never true
VAL = ValResults(
    scores=[0.95, 0.95, 0.95, 0.55, 0.55, 0.6],
    gt=[0, 0, 0, 0, 1, 1],
    est=[0, 0, 0, 1, 1, 0],
    classes=["coral", "sand", "algae"],
)


def test_a_small_case_computed_by_hand() -> None:
    metrics = Metrics.from_val_results(VAL)
    assert metrics.accuracy == pytest.approx(4 / 6)
    # algae does not occur, so it does not count
    assert metrics.balanced_accuracy == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert metrics.confusion_matrix == [[3, 1, 0], [1, 1, 0], [0, 0, 0]]
    assert metrics.point_count == 6
    coral, sand, algae = metrics.per_class
    assert (coral.label, coral.support) == ("coral", 4)
    assert (coral.precision, coral.recall, coral.f1) == pytest.approx((3 / 4, 3 / 4, 3 / 4))
    assert (sand.precision, sand.recall, sand.f1) == pytest.approx((1 / 2, 1 / 2, 1 / 2))
    assert (algae.precision, algae.recall, algae.f1, algae.support) == (0, 0, 0, 0)
    # bins of 1/15: 0.55 and 0.6 lie in (8/15, 9/15], 0.95 in (14/15, 1]
    first = abs(1 / 3 - (0.55 + 0.55 + 0.6) / 3)
    second = abs(1 - 0.95)
    assert metrics.expected_calibration_error == pytest.approx(first / 2 + second / 2)


def test_a_perfect_and_certain_classifier() -> None:
    val = ValResults(scores=[1.0, 1.0], gt=[0, 1], est=[0, 1], classes=[7, 8])
    metrics = Metrics.from_val_results(val)
    assert metrics.accuracy == metrics.balanced_accuracy == 1
    assert metrics.expected_calibration_error == 0


def test_scores_at_the_edges_of_a_bin_belong_to_the_lower_one() -> None:
    # 0 and 1/15 share the first bin: one right of two, promised 1/30 on average
    val = ValResults(scores=[0.0, 1 / 15], gt=[0, 0], est=[0, 1], classes=[7, 8])
    metrics = Metrics.from_val_results(val)
    assert metrics.expected_calibration_error == pytest.approx(1 / 2 - 1 / 30)


def test_labels_keep_their_kind_through_json() -> None:
    val = ValResults(scores=[1.0, 1.0], gt=[0, 1], est=[0, 1], classes=[7, 8])
    for given in (Metrics.from_val_results(VAL), Metrics.from_val_results(val)):
        assert Metrics.model_validate(json.loads(given.model_dump_json())) == given


def test_no_validation_point_is_an_input_error() -> None:
    with pytest.raises(TrainingLabelsError, match="without a point"):
        Metrics.from_val_results(ValResults(scores=[], gt=[], est=[], classes=[1, 2]))
