"""What the machine can take over, read from a validation set."""

from __future__ import annotations

import pytest

from spacer_tasks.data_classes.val_results import ValResults
from spacer_tasks.exceptions import InputError
from spacer_tasks.report.takeover import take_over


def results(right: list[bool], scores: list[float]) -> ValResults:
    return ValResults(
        scores=scores,
        gt=[0] * len(right),
        est=[int(not each) for each in right],
        classes=["a", "b"],
    )


def test_the_share_at_a_wanted_correctness_has_wilson_s_interval() -> None:
    # 100 points: 60 sure and right, 40 unsure of which half are right
    some = results([True] * 60 + [True, False] * 20, [0.9] * 60 + [0.4] * 40)
    found = take_over(some, 0.95)
    assert (found.confidence, found.share, found.correct) == (0.9, 0.6, 1)
    assert (found.answered, found.points) == (60, 100)
    assert found.share_interval == pytest.approx((0.502, 0.691), abs=0.001)
    assert found.correct_interval == pytest.approx((0.940, 1), abs=0.001)
    assert take_over(some, 0.8).share == 1


def test_a_correctness_that_is_not_reached_is_an_error_with_the_best_there_is() -> None:
    with pytest.raises(InputError, match=r"at no threshold are 99.0% .* at best 50.0%"):
        take_over(results([True, False], [0.5, 0.5]), 0.99)
    with pytest.raises(InputError, match="without a point"):
        take_over(results([], []), 0.9)
