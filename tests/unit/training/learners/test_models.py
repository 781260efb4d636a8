"""The models of a training beside scikit-learn's: the same weights, up to rounding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.calibration import _sigmoid_calibration
from sklearn.linear_model import SGDClassifier
from sklearn.neural_network import MLPClassifier

from spacer_tasks.training.calibration import sigmoids
from spacer_tasks.training.learners.linear import LinearModel
from spacer_tasks.training.learners.logistic import OneAgainstRest
from spacer_tasks.training.learners.perceptron import Perceptron

DIMENSIONS = 12


def points(count: int, classes: int) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Vectors that overlap between classes, the first class the most frequent."""
    generator = np.random.default_rng(4)
    targets = np.minimum(generator.geometric(0.4, count) - 1, classes - 1)
    targets[:classes] = np.arange(classes)
    centres = generator.normal(size=(classes, DIMENSIONS))
    vectors = centres[targets] + generator.normal(size=(count, DIMENSIONS))
    return vectors.astype(np.float32), targets.astype(np.intp)


@pytest.mark.parametrize("hidden", [(), (9,), (8, 5)])
@pytest.mark.parametrize("classes", [2, 4])
def test_a_network_s_weights_are_scikit_learn_s(hidden: tuple[int, ...], classes: int) -> None:
    vectors, targets = points(450, classes)
    theirs = MLPClassifier(hidden, learning_rate_init=0.01)
    theirs.random_state = np.random.RandomState(7)
    generator = np.random.RandomState(7)
    ours = Perceptron(DIMENSIONS, hidden, classes, 0.01, generator)
    for batch in (np.arange(230), np.arange(230, 450), np.arange(0, 450, 3)):
        theirs.partial_fit(vectors[batch], targets[batch], classes=np.arange(classes))
        ours.partial_fit(vectors, batch, targets, generator)
    for layer, weight, bias in zip(ours.layers(), theirs.coefs_, theirs.intercepts_, strict=True):
        np.testing.assert_allclose(layer.weight, weight, atol=1e-5)
        np.testing.assert_allclose(layer.bias, bias, atol=1e-5)
    assert (ours.output, ours.is_finite()) == (theirs.out_activation_, True)
    np.testing.assert_array_equal(ours.predict(vectors), theirs.predict(vectors))


def step_by_step(
    vectors: NDArray[Any],
    targets: NDArray[Any],
    orders: list[NDArray[Any]],
    classes: int,
    average: int,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Averaged stochastic gradient descent as it is written down, one vector at a time."""
    outputs = [1] if classes == 2 else range(classes)
    weights, biases = np.zeros((len(outputs), DIMENSIONS)), np.zeros(len(outputs))
    sums: list[tuple[Any, Any]] = []
    for step, index in enumerate(np.concatenate(orders), start=1):
        vector = vectors[index].astype(float)
        rate = 1 / (1e-4 * (1000 + step - 1))
        error = (targets[index] == outputs) - 1 / (1 + np.exp(-(weights @ vector + biases)))
        weights = weights * (1 - rate * 1e-4) + rate * np.outer(error, vector)
        biases = biases + rate * error
        if 0 < average <= step:
            sums.append((weights, biases))
    if sums:
        weights, biases = (np.mean(each, axis=0) for each in zip(*sums, strict=True))
    return weights, biases


@pytest.mark.parametrize("average", [0, 1, 700, 10_000])
@pytest.mark.parametrize("classes", [2, 5])
def test_logistic_regression_in_blocks_is_that_of_one_step_after_the_other(
    classes: int, average: int
) -> None:
    vectors, targets = points(1300, classes)
    ours = OneAgainstRest(DIMENSIONS, classes, average, seed=3)
    batches = [np.arange(1100), np.arange(1000, 1300), np.arange(0, 40)]
    with np.errstate(over="ignore"):
        orders = [batch[np.random.RandomState(3).permutation(len(batch))] for batch in batches]
        weights, biases = step_by_step(vectors, targets, orders, classes, average)
    for batch in batches:
        ours.partial_fit(vectors, batch, targets, np.random.RandomState(0))
    (layer,) = ours.layers()
    np.testing.assert_allclose(layer.weight.T, weights, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(layer.bias, biases, rtol=1e-6, atol=1e-6)


def test_logistic_regression_is_scikit_learn_s_in_the_same_order() -> None:
    vectors, targets = points(700, 4)
    order = np.random.RandomState(5).permutation(700)
    theirs = SGDClassifier(loss="log_loss", average=True, shuffle=False)
    theirs.partial_fit(vectors[order].astype(float), targets[order], classes=np.arange(4))
    ours = OneAgainstRest(DIMENSIONS, 4, 1, seed=5)
    ours.partial_fit(vectors, np.arange(700), targets, np.random.RandomState(0))
    (layer,) = ours.layers()
    np.testing.assert_allclose(layer.weight.T, theirs.coef_, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(ours.predict(vectors), theirs.predict(vectors.astype(float)))


@pytest.mark.parametrize("scale", [1e-12, 1e-3, 1.0, 500.0])
@pytest.mark.parametrize("classes", [2, 4])
def test_a_calibration_is_scikit_learn_s(classes: int, scale: float) -> None:
    vectors, targets = points(400, classes)
    outputs = vectors[:, : 1 if classes == 2 else classes].astype(float) * scale
    own = [1] if classes == 2 else range(classes)
    # one class that is told apart perfectly, and one output that says nothing
    outputs[:, 0] += 20 * scale * (targets == own[0])
    outputs[:, -1] = outputs[:, -1] if classes == 2 else 0.25
    slopes, offsets = sigmoids(outputs, targets)
    for column, label in enumerate(own):
        a, b = _sigmoid_calibration(outputs[:, column], (targets == label).astype(float))
        expected = 1 / (1 + np.exp(a * outputs[:, column] + b))
        found = 1 / (1 + np.exp(slopes[column] * outputs[:, column] + offsets[column]))
        np.testing.assert_allclose(found, expected, atol=2e-5)


def test_only_numbers_without_bounds_are_a_diverged_training() -> None:
    vectors, targets = points(50, 2)
    rows, generator = np.arange(50), np.random.RandomState(0)
    exploding = LinearModel("squared_error", 2, True, 0)
    # scikit-learn bounds each step: float32 would not do
    huge: Any = vectors.astype(np.float64) * 1e300
    exploding.partial_fit(huge, rows, targets, generator)
    assert not exploding.is_finite()
    with pytest.raises(ValueError, match="'loss' parameter"):
        LinearModel("no such loss", 2, True, 0).partial_fit(vectors, rows, targets, generator)


def test_a_linear_model_without_a_seed_is_scikit_learn_s_with_the_generator() -> None:
    vectors, targets = points(300, 3)
    theirs = SGDClassifier(loss="log_loss", average=True)
    theirs.random_state = np.random.RandomState(5)
    ours = LinearModel("log_loss", 3, True, None)
    generator = np.random.RandomState(5)
    for batch in (np.arange(200), np.arange(100, 300)):
        theirs.partial_fit(vectors[batch].astype(float), targets[batch], classes=np.arange(3))
        ours.partial_fit(vectors, batch, targets, generator)
    np.testing.assert_allclose(ours.layers()[0].weight, theirs.coef_.T)
