"""Intervals of cover: how often they hold a truth that is known."""

from __future__ import annotations

import numpy as np
import pytest

from spacer_tasks.cover.confusion import Confusion
from spacer_tasks.cover.estimates import Counts, LabelCover, cover_of, wilson

LABELS = ["algae", "coral", "crust", "sand"]
#: cover of the reef; each photo shows another part of it
TRUTH = np.array([0.5, 0.2, 0.05, 0.25])
#: how the classifier errs: P(column | row)
RATES = np.array(
    [
        [0.85, 0.05, 0.05, 0.05],
        [0.20, 0.70, 0.05, 0.05],
        [0.30, 0.10, 0.50, 0.10],
        [0.05, 0.02, 0.03, 0.90],
    ]
)
VALIDATION = np.array([160, 120, 40, 80])
SURVEYS = 200


def surveyed(seed: int, photos: int) -> list[LabelCover]:
    """A survey of photos with 50 points each, and the cover that comes of it."""
    random = np.random.default_rng(seed)
    shares = random.dirichlet(8 * TRUTH, photos)
    points = np.array([random.multinomial(50, each @ RATES) for each in shares])
    validation = np.array(
        [random.multinomial(n, row) for n, row in zip(VALIDATION, RATES, strict=True)]
    )
    confusion = Confusion(LABELS, validation, [], [])
    sums = {label: [label] for label in LABELS}
    return cover_of(Counts(LABELS, points), sums, confusion, random, 300)


@pytest.mark.parametrize("photos", [5, 30])
def test_corrected_intervals_hold_the_truth_in_95_of_100_surveys(photos: int) -> None:
    """Tolerance: of 200 surveys, 95 % is 190 with a standard deviation of 3.1. A label may miss it
    by five percent points (three deviations), all four together by three.
    """
    holds = np.zeros((SURVEYS, 4))
    errors = np.zeros((SURVEYS, 4))
    raw_holds, raw_errors = holds.copy(), errors.copy()
    for survey in range(SURVEYS):
        for i, each in enumerate(surveyed(survey, photos)):
            fixed = each.corrected_of_photos
            assert fixed is not None
            holds[survey, i] = fixed.low <= TRUTH[i] <= fixed.high
            errors[survey, i] = fixed.value - TRUTH[i]
            raw_holds[survey, i] = each.of_photos.low <= TRUTH[i] <= each.of_photos.high
            raw_errors[survey, i] = each.of_photos.value - TRUTH[i]
    assert (holds.mean(axis=0) >= 0.90).all(), holds.mean(axis=0)
    assert 0.92 <= holds.mean() <= 0.985
    # as predicted, coral is underestimated and crust overestimated, far beyond chance
    bias = TRUTH @ RATES - TRUTH
    standard_error = raw_errors.std(axis=0) / np.sqrt(SURVEYS)
    assert raw_errors.mean(axis=0) == pytest.approx(bias, abs=float(4 * standard_error.max()))
    assert abs(bias[1]) > 5 * standard_error[1]
    assert abs(errors.mean(axis=0)[1]) < abs(bias[1]) / 2
    if photos == 30:
        assert raw_holds[:, 2].mean() < 0.75


def test_both_means_differ_where_photos_have_different_numbers_of_points() -> None:
    counts = Counts(["a", "b"], np.array([[9, 1], [1, 1]]))
    (found,) = cover_of(counts, {"a": ["a"]}, None, np.random.default_rng(0))
    assert found.of_photos.value == pytest.approx(0.7)
    assert found.of_points.value == pytest.approx(10 / 12)
    assert found.hits == 10
    assert found.corrected_of_photos is None


def test_the_bootstrap_s_error_is_that_of_the_mean() -> None:
    points = np.random.default_rng(1).binomial(50, 0.3, 40)
    counts = Counts(["a", "b"], np.stack([points, 50 - points], axis=1))
    (found,) = cover_of(counts, {"a": ["a"]}, None, np.random.default_rng(0), 5000)
    shares = points / 50
    assert found.of_photos.se == pytest.approx(shares.std(ddof=1) / np.sqrt(40), rel=0.05)
    inside = np.sqrt((shares * (1 - shares) / 49).sum()) / 40
    assert found.se_points == pytest.approx(inside)
    # photos of one cover: they differ by their points alone
    assert found.sd_photos == pytest.approx(0, abs=0.03)


def test_a_group_s_cover_is_the_sum_of_its_labels() -> None:
    counts = Counts(["a", "b", "c"], np.array([[5, 3, 2], [1, 4, 5]]))
    found = cover_of(counts, {"ab": ["a", "b"], "a": ["a"]}, None, np.random.default_rng(0))
    assert [each.hits for each in found] == [13, 6]
    assert found[0].of_photos.value == pytest.approx(0.65)


def test_one_photo_has_an_interval_of_its_points_and_no_spread() -> None:
    counts = Counts(["a", "b"], np.array([[10, 40]]))
    (found,) = cover_of(counts, {"a": ["a"]}, None, np.random.default_rng(0))
    low, high = wilson(np.array([0.2]), 50)
    assert found.of_photos.low <= low[0]
    assert found.of_photos.high >= high[0]
    assert found.sd_photos is None


def test_a_label_that_was_not_seen_is_not_proved_absent() -> None:
    counts = Counts(["a", "b"], np.array([[0, 10], [0, 10]]))
    confusion = Confusion(["a", "b"], np.array([[50, 0], [0, 50]]), [], [])
    (found,) = cover_of(counts, {"a": ["a"]}, confusion, np.random.default_rng(0))
    assert found.of_photos.value == 0
    # none of 20 points: Wilson's interval ends at 16 %
    assert found.of_photos.high == pytest.approx(0.161, abs=0.001)
    assert found.corrected_of_photos is not None
    assert found.corrected_of_photos.high == pytest.approx(0.161, abs=0.001)


def test_wilson_s_interval_is_the_published_one() -> None:
    # Newcombe 1998, table I, method 3: 81 of 263 and 15 of 148
    for hits, count, low, high in [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605)]:
        found = wilson(np.array([hits / count]), count)
        assert (found[0][0], found[1][0]) == pytest.approx((low, high), abs=5e-5)
