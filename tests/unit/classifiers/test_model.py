"""A classifier answers as the scikit-learn object that it was made from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import SGDClassifier
from sklearn.neural_network import MLPClassifier

from spacer_tasks.classifiers import Classifier, model
from spacer_tasks.classifiers.from_sklearn import from_sklearn
from spacer_tasks.classifiers.model import Layer
from spacer_tasks.classifiers.safetensors_file import from_bytes, to_bytes
from spacer_tasks.exceptions import FeatureDimensionError

DIMENSIONS = 12


def points(classes: int, count: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    generator = np.random.default_rng(seed)
    targets = np.arange(count) % classes
    centres = np.random.default_rng(0).normal(size=(classes, DIMENSIONS))
    return centres[targets] + generator.normal(size=(count, DIMENSIONS)), targets


def calibrated(estimator: Any, labels: list[Any]) -> CalibratedClassifierCV:
    x, targets = points(len(labels), 200, seed=1)
    y = np.array(labels)[targets]
    estimator.fit(x, y)
    return CalibratedClassifierCV(FrozenEstimator(estimator)).fit(x, y)


ESTIMATORS = {
    "one hidden layer": lambda: MLPClassifier((10,), max_iter=30, random_state=0),
    "two hidden layers": lambda: MLPClassifier((10, 6), max_iter=30, random_state=0),
    "linear": lambda: SGDClassifier(loss="log_loss", average=True, random_state=0),
}


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("labels", [[3, 8], [5, 2, 9, 40], ["sand", "coral"], ["c", "a", "b"]])
@pytest.mark.parametrize("name", list(ESTIMATORS))
def test_probabilities_are_scikit_learn_s_also_through_the_file(
    name: str, labels: list[Any]
) -> None:
    theirs = calibrated(ESTIMATORS[name](), labels)
    ours = from_sklearn(theirs, trained={"by": "a test"})
    again = from_bytes(to_bytes(ours), "a file")
    x, _ = points(len(labels), 500, seed=2)
    # far outside, where sigmoids end
    x[:50] *= 1000
    expected = theirs.predict_proba(x)
    for classifier in (ours, again):
        assert classifier.classes == sorted(labels)
        np.testing.assert_allclose(classifier.predict_proba(x), expected, rtol=0, atol=1e-6)
        found = np.array(classifier.classes)[classifier.predict(x)]
        np.testing.assert_array_equal(found, theirs.predict(x))


def linear(a: list[float], b: list[float], classes: list[Any], dimensions: int = 2) -> Classifier:
    outputs = len(a)
    return Classifier(
        clf_type="LR",
        layers=(Layer(np.ones((dimensions, outputs)), np.zeros(outputs)),),
        output="identity",
        calibration_a=np.array(a),
        calibration_b=np.array(b),
        classes=classes,
    )


def test_a_point_that_every_class_rejects_gets_the_same_from_each() -> None:
    classifier = linear([0, 0, 0, 0], [1e4, 1e4, 1e4, 1e4], [1, 2, 3, 4])
    np.testing.assert_array_equal(classifier.predict_proba(np.zeros((1, 2))), [[0.25] * 4])


def test_a_single_output_speaks_for_the_second_class() -> None:
    classifier = linear([-1], [0], ["no", "yes"])
    proba = classifier.predict_proba(np.array([[5.0, 5.0], [-5.0, -5.0]]))
    np.testing.assert_allclose(proba[:, 1], 1 / (1 + np.exp([-10.0, 10.0])))
    np.testing.assert_array_equal(classifier.predict(np.array([[5.0, 5.0], [-5.0, -5.0]])), [1, 0])


def test_extreme_vectors_give_probabilities_and_no_warning(
    recwarn: pytest.WarningsRecorder,
) -> None:
    classifier = linear([-1e3, -1, 2], [5, 0, -1], [1, 2, 3])
    proba = classifier.predict_proba(np.array([[1e30, 1e30], [-1e30, -1e30], [0, 0]]))
    assert np.isfinite(proba).all()
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    assert not recwarn.list


def test_chunks_do_not_change_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = calibrated(ESTIMATORS["linear"](), [1, 2, 3])
    x, _ = points(3, 100, seed=3)
    whole = from_sklearn(theirs).predict_proba(x)
    monkeypatch.setattr(model, "CHUNK_ROWS", 7)
    classifier = from_sklearn(theirs)
    np.testing.assert_allclose(classifier.predict_proba(x), whole, rtol=0, atol=1e-12)
    indices, best = classifier.best(x)
    np.testing.assert_array_equal(indices, whole.argmax(axis=1))
    np.testing.assert_allclose(best, whole.max(axis=1), rtol=0, atol=1e-12)


def test_no_points_give_no_probabilities() -> None:
    assert linear([-1], [0], [1, 2]).predict_proba(np.empty((0, 2))).shape == (0, 2)


@pytest.mark.parametrize("call", ["predict_proba", "predict"])
def test_vectors_of_another_dimension_are_refused_with_both_numbers(call: str) -> None:
    classifier = linear([-1], [0], [1, 2], dimensions=1280)
    with pytest.raises(FeatureDimensionError, match=r"4096 dimensions.*trained on 1280"):
        getattr(classifier, call)(np.zeros((3, 4096), dtype=np.float32))
    with pytest.raises(FeatureDimensionError, match=r"of shape \(1280,\)"):
        getattr(classifier, call)(np.zeros(1280, dtype=np.float32))
