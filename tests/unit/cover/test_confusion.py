"""The confusion matrix of a survey's labels."""

from __future__ import annotations

import pytest

from spacer_tasks.cover.confusion import confusion_of
from spacer_tasks.data_classes.val_results import ValResults
from spacer_tasks.exceptions import InputError

RESULTS = ValResults(
    scores=[0.5] * 6, gt=[0, 0, 0, 1, 1, 2], est=[0, 0, 1, 1, 0, 0], classes=["a", "b", 3]
)


def test_rows_are_truths_and_columns_predictions() -> None:
    found = confusion_of(RESULTS, ["a", "b"])
    assert found.labels == ["3", "a", "b"]
    assert found.counts.tolist() == [[0, 1, 0], [0, 2, 1], [0, 1, 1]]
    assert found.rates[1].tolist() == pytest.approx([0, 2 / 3, 1 / 3])
    assert found.rough == ["a", "b"]
    assert found.unknown == []


def test_labels_that_the_validation_set_never_shows_are_taken_as_right_and_named() -> None:
    found = confusion_of(RESULTS, ["a", "new", "3"])
    assert found.unknown == ["3", "new"]
    index = found.labels.index("new")
    assert found.counts[index].tolist() == [0, 0, 0, 1]


def test_renamed_labels_are_taken_together() -> None:
    found = confusion_of(RESULTS, ["ab", "3"], {"a": "ab", "b": "ab"})
    assert found.labels == ["3", "ab"]
    assert found.counts[1].tolist() == [0, 5]


def test_results_of_other_labels_are_refused() -> None:
    with pytest.raises(InputError, match=r"no validation point has a label of the survey: .*'x'"):
        confusion_of(RESULTS, ["x"])
