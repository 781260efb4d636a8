"""Sigmoid calibration of all classes at once.

Platt 1999, "Probabilistic outputs for support vector machines"; by Newton's method as in Lin, Lin
and Weng 2007, "A note on Platt's probabilistic outputs", a column for each class. Targets, scaling,
first guess and the gradient at which it ends are those of scikit-learn's `CalibratedClassifierCV`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spacer_tasks.classifiers.model import FloatArray

#: outputs from which a column is scaled to 1; from scikit-learn
SCALED_FROM = 30.0
#: largest entry of the gradient at which a column is done; from scikit-learn
GRADIENT = 1e-6
#: share of a column's loss; it is done when a step takes no more of it away; from scikit-learn
GAIN = 64 * float(np.finfo(float).eps)
#: steps; ten are common
MAX_STEPS = 100
#: halvings of one step; a smaller one changes nothing
MAX_HALVINGS = 40
#: classes fitted at once, so that memory does not grow with their number
GROUP = 64
#: points whose losses are computed at once: what they take stays in the processor's cache
CHUNK_ROWS = 512


def sigmoids(outputs: FloatArray, targets: NDArray[np.intp]) -> tuple[FloatArray, FloatArray]:
    """a and b of `1 / (1 + exp(a * output + b))` for each output, each of shape (outputs,).

    Parameters
    ----------
    outputs
        Shape (points, outputs). A single output is the second class's.
    targets
        Shape (points,): the class of each point, as an index.
    """
    columns = outputs.shape[1]
    slopes, offsets = np.empty(columns), np.empty(columns)
    for start in range(0, columns, GROUP):
        group = slice(start, min(start + GROUP, columns))
        numbers = np.arange(group.start, group.stop) if columns > 1 else np.array([1])
        mine = targets[:, np.newaxis] == numbers
        slopes[group], offsets[group] = _fitted(outputs[:, group], mine)
    return slopes, offsets


def _fitted(outputs: FloatArray, mine: NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
    largest = np.abs(outputs).max(axis=0)
    scale = np.where(largest >= SCALED_FROM, largest, 1.0)
    values = outputs / scale
    positive = mine.sum(axis=0).astype(np.float64)
    negative = len(mine) - positive
    wanted = np.where(mine, (positive + 1) / (positive + 2), 1 / (negative + 2))
    a, b = np.zeros(len(scale)), np.log((negative + 1) / (positive + 1))
    open_ = np.arange(len(scale))
    for _ in range(MAX_STEPS):
        x, t = values[:, open_], wanted[:, open_]
        shares = _shares(a[open_] * x + b[open_])
        error = t - shares
        gradient_a, gradient_b = (error * x).sum(axis=0), error.sum(axis=0)
        going = np.maximum(np.abs(gradient_a), np.abs(gradient_b)) > GRADIENT
        if not going.any():
            break
        open_, x, t, shares = open_[going], x[:, going], t[:, going], shares[:, going]
        step_a, step_b, slope = _newton(x, shares, gradient_a[going], gradient_b[going])
        moved, gains = _searched(x, t, a[open_], b[open_], step_a, step_b, slope)
        a[open_] += moved * step_a
        b[open_] += moved * step_b
        # a column that gains nothing is as good as its rounding lets it be
        open_ = open_[gains > GAIN]
    return a / scale, b


def _newton(
    x: FloatArray, shares: FloatArray, gradient_a: FloatArray, gradient_b: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The step to the minimum of the parabola, and how steeply the loss falls along it."""
    weight = shares * (1 - shares)
    total = weight.sum(axis=0) + 1e-12
    mean = (weight * x).sum(axis=0) / total
    # about the weighted mean, where the two unknowns are independent
    spread = (weight * (x - mean) ** 2).sum(axis=0) + 1e-12
    step_a = -(gradient_a - mean * gradient_b) / spread
    step_b = -gradient_b / total - mean * step_a
    return step_a, step_b, gradient_a * step_a + gradient_b * step_b


def _searched(
    x: FloatArray,
    t: FloatArray,
    a: FloatArray,
    b: FloatArray,
    step_a: FloatArray,
    step_b: FloatArray,
    slope: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """The share of each column's step that makes its loss smaller, and by what share it does.

    Both are 0 where none does.
    """
    before = _losses(x, t, a, b)
    share = np.ones(len(a))
    for _ in range(MAX_HALVINGS):
        after = _losses(x, t, a + share * step_a, b + share * step_b)
        too_far = ~(after <= before + 1e-4 * share * slope)
        if not too_far.any():
            break
        share[too_far] /= 2
    share[too_far] = 0
    gains = np.where(too_far, 0.0, (before - after) / np.maximum(before, 1.0))
    return share, gains


def _shares(exponents: FloatArray) -> FloatArray:
    small = np.exp(-np.abs(exponents))
    shares: FloatArray = np.where(exponents >= 0, small, 1.0) / (1.0 + small)
    return shares


def _losses(x: FloatArray, wanted: FloatArray, a: FloatArray, b: FloatArray) -> FloatArray:
    losses = np.zeros(x.shape[1])
    for start in range(0, len(x), CHUNK_ROWS):
        chunk = slice(start, start + CHUNK_ROWS)
        exponents = a * x[chunk] + b
        # -t log(p) - (1 - t) log(1 - p), where p = 1 / (1 + exp(e)), without overflow
        each = np.log1p(np.exp(-np.abs(exponents))) + np.maximum(exponents, 0)
        each -= (1 - wanted[chunk]) * exponents
        losses += each.sum(axis=0)
    return losses
