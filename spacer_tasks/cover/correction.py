"""Shares of labels corrected for the classifier's errors.

Of points whose true labels have the shares p, a classifier with the rates M[i, j] = P(predicted j |
truly i) gives the shares q = p M on average. The p that makes the observed q most likely is sought
among shares that are not negative and add up to 1. Where p = q inverse(M) is such, that is the
answer; elsewhere it is found by expectation maximization.

Sources: Solow, Davis and Hu, "Estimating the taxonomic composition of a sample when individuals are
classified with error", Marine Ecology Progress Series 216, 2001, for the correction by the inverse,
and the resampling of the rates. The condition that the rates of the validation set hold in the
survey, label by label, is discussed by Hopkins and King, "A method of automated nonparametric
content analysis for social science", American Journal of Political Science 54, 2010, and by
Buonaccorsi, "Measurement error", CRC Press 2010, chapter 3.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Shares = NDArray[np.float64]

#: a change of a share, in ten steps, at which the search ends: 0.01 percent points
TOLERANCE = 1e-4
ITERATIONS = 500
#: iterations between two looks at what has changed
BETWEEN = 10
#: rounding errors of the inverse
ROUNDING = 1e-9


def corrected(observed: Shares, rates: Shares) -> Shares:
    """The true shares that explain the observed ones best.

    Parameters
    ----------
    observed
        Shares of predicted labels, shape (cases, labels); each row adds up to 1.
    rates
        P(predicted j | truly i), shape (labels, labels), or (cases, labels, labels).

    Returns
    -------
    Shares of true labels, shape (cases, labels); each row adds up to 1.
    """
    cases, labels = observed.shape
    each = np.broadcast_to(rates, (cases, labels, labels))
    found, exact = _by_inverse(observed, each)
    if not exact.all():
        rest = ~exact
        found[rest] = _most_likely(observed[rest], each[rest], found[rest])
    return found


def _by_inverse(observed: Shares, rates: Shares) -> tuple[Shares, NDArray[np.bool_]]:
    """The solutions of q = p M, and which of them are shares."""
    try:
        turned = np.swapaxes(rates, 1, 2)
        found = np.linalg.solve(turned, observed[..., None])[..., 0].astype(np.float64)
    except np.linalg.LinAlgError:
        # one matrix of them has none
        return observed.copy(), np.zeros(len(observed), dtype=bool)
    finite = np.asarray(np.isfinite(found).all(axis=1))
    exact = finite & (found >= -ROUNDING).all(axis=1)
    found[~finite] = observed[~finite]
    return _as_shares(found), exact


def _as_shares(values: Shares) -> Shares:
    positive = np.maximum(values, 0)
    shares: Shares = positive / positive.sum(axis=1, keepdims=True)
    return shares


def _most_likely(observed: Shares, rates: Shares, start: Shares) -> Shares:
    """Expectation maximization; a share of 0 at the start would stay 0."""
    labels = observed.shape[1]
    shares: Shares = 0.9 * start + 0.1 / labels
    open_cases = np.arange(len(observed))
    for _ in range(ITERATIONS // BETWEEN):
        before = shares[open_cases]
        now = _steps(observed[open_cases], rates[open_cases], before)
        shares[open_cases] = now
        open_cases = open_cases[np.abs(now - before).max(axis=1) > TOLERANCE]
        if not len(open_cases):
            break
    return shares


def _steps(observed: Shares, rates: Shares, shares: Shares) -> Shares:
    for _ in range(BETWEEN):
        expected = np.matmul(shares[:, None, :], rates)[:, 0, :]
        ratio = np.divide(observed, expected, out=np.zeros_like(observed), where=expected > 0)
        weighted = shares * np.matmul(rates, ratio[..., None])[..., 0]
        # what no true label explains is lost
        shares = _as_shares(weighted)
    return shares
