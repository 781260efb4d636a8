"""A classifier of this project's as scikit-learn's `CalibratedClassifierCV`, which users hold."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.calibration import (
    CalibratedClassifierCV,
    _CalibratedClassifier,
    _SigmoidCalibration,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import SGDClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import LabelBinarizer

from spacer_tasks.classifiers.model import Classifier


def to_sklearn(classifier: Classifier, **parameters: Any) -> CalibratedClassifierCV:
    """What answers as `classifier` does. It is for inference: no training can go on from it.

    Parameters
    ----------
    parameters
        Of the estimator, which cannot be read from its weights.
    """
    classes = np.array(classifier.classes)
    linear = classifier.clf_type == "LR"
    estimator = _linear(classifier, parameters) if linear else _network(classifier, parameters)
    estimator.classes_ = classes
    estimator.n_features_in_ = classifier.feature_dim
    sigmoids = []
    for a, b in zip(classifier.calibration_a, classifier.calibration_b, strict=True):
        sigmoid = _SigmoidCalibration()
        sigmoid.a_, sigmoid.b_ = float(a), float(b)
        sigmoids.append(sigmoid)
    # not validated: `fit`, which new versions of scikit-learn do not call like this, is over
    calibrated = CalibratedClassifierCV(estimator, cv="prefit")
    calibrated.classes_ = classes
    calibrated.n_features_in_ = classifier.feature_dim
    calibrated.calibrated_classifiers_ = [
        _CalibratedClassifier(estimator, sigmoids, classes=classes, method="sigmoid")
    ]
    return calibrated


def is_known(calibrated: CalibratedClassifierCV) -> bool:
    """Whether it is of a kind that the reference trains."""
    if len(calibrated.calibrated_classifiers_) != 1:
        return False
    (pair,) = calibrated.calibrated_classifiers_
    estimator = pair.estimator
    if isinstance(estimator, FrozenEstimator):
        estimator = estimator.estimator
    if not all(type(each) is _SigmoidCalibration for each in pair.calibrators):
        return False
    if type(estimator) is MLPClassifier:
        return bool(estimator.activation == "relu")
    return type(estimator) is SGDClassifier


def _linear(classifier: Classifier, parameters: dict[str, Any]) -> SGDClassifier:
    estimator = SGDClassifier(
        **{"loss": "log_loss", "average": True, "random_state": 0} | parameters
    )
    (layer,) = classifier.layers
    estimator.coef_, estimator.intercept_ = layer.weight.T.copy(), layer.bias.copy()
    return estimator


def _network(classifier: Classifier, parameters: dict[str, Any]) -> MLPClassifier:
    hidden = tuple(len(layer.bias) for layer in classifier.layers[:-1])
    estimator = MLPClassifier(**{"hidden_layer_sizes": hidden} | parameters)
    estimator.coefs_ = [layer.weight.copy() for layer in classifier.layers]
    estimator.intercepts_ = [layer.bias.copy() for layer in classifier.layers]
    estimator.n_layers_ = len(classifier.layers) + 1
    estimator.n_outputs_ = len(classifier.layers[-1].bias)
    estimator.out_activation_ = classifier.output
    estimator._label_binarizer = LabelBinarizer().fit(classifier.classes)
    return estimator
