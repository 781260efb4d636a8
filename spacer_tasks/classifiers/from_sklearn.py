"""From a fitted scikit-learn classifier to plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.neural_network import MLPClassifier

from spacer_tasks.classifiers.model import Classifier, Layer
from spacer_tasks.data_classes.labels import LabelId


def from_sklearn(
    calibrated: CalibratedClassifierCV,
    classes: Sequence[LabelId] | None = None,
    trained: dict[str, Any] | None = None,
) -> Classifier:
    """The classifier that answers as `calibrated` does.

    Parameters
    ----------
    calibrated
        One fitted MLPClassifier (ReLU) or linear classifier such as SGDClassifier, with one
        sigmoid calibration.
    classes
        What the classes are called, in the order of `calibrated.classes_`; these where not given.
    trained
        How it was trained, JSON-ready.
    """
    (pair,) = calibrated.calibrated_classifiers_
    estimator = pair.estimator
    if isinstance(estimator, FrozenEstimator):
        estimator = estimator.estimator
    is_mlp = isinstance(estimator, MLPClassifier)
    if is_mlp:
        weights, biases = estimator.coefs_, estimator.intercepts_
    else:
        weights, biases = [estimator.coef_.T], [estimator.intercept_]
    return Classifier(
        clf_type="MLP" if is_mlp else "LR",
        layers=tuple(
            Layer(np.ascontiguousarray(weight, dtype=np.float64), bias.astype(np.float64))
            for weight, bias in zip(weights, biases, strict=True)
        ),
        output=estimator.out_activation_ if is_mlp else "identity",
        calibration_a=np.array([each.a_ for each in pair.calibrators], dtype=np.float64),
        calibration_b=np.array([each.b_ for each in pair.calibrators], dtype=np.float64),
        classes=list(calibrated.classes_.tolist() if classes is None else classes),
        trained=dict(trained or {}),
    )
