"""Shares corrected for a classifier's errors."""

from __future__ import annotations

import numpy as np
import pytest

from spacer_tasks.cover.correction import corrected

RATES = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.0, 0.3, 0.7]])


def test_what_the_rates_made_of_true_shares_is_undone() -> None:
    truth = np.array([[0.5, 0.3, 0.2], [0.05, 0.05, 0.9]])
    assert corrected(truth @ RATES, RATES) == pytest.approx(truth)


def test_each_case_may_have_rates_of_its_own() -> None:
    truth = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]])
    rates = np.stack([RATES, np.eye(3)])
    observed = np.einsum("ci,cij->cj", truth, rates)
    assert corrected(observed, rates) == pytest.approx(truth)


def test_no_share_is_negative_where_the_inverse_would_be() -> None:
    observed = np.array([[0.9, 0.05, 0.05]])
    inverse = observed @ np.linalg.inv(RATES)
    assert inverse.min() < 0
    found = corrected(observed, RATES)
    assert found.min() >= 0
    assert found.sum() == pytest.approx(1)
    # none of the shares nearby explains what was observed better
    best = likelihood(found[0], observed[0])
    random = np.random.default_rng(0)
    for other in random.dirichlet(200 * found[0] + 0.1, 500):
        assert likelihood(other, observed[0]) <= best + 1e-5


def likelihood(shares: np.ndarray, observed: np.ndarray) -> float:
    return float(observed @ np.log(shares @ RATES))


def test_labels_that_cannot_be_told_apart_still_have_shares() -> None:
    rates = np.array([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.1, 0.1, 0.8]])
    found = corrected(np.array([[0.4, 0.4, 0.2]]), rates)
    assert np.isfinite(found).all()
    assert found.sum() == pytest.approx(1)
    # what can be told is told
    assert found[0, 2] == pytest.approx(0.25, abs=1e-3)
