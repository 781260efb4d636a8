"""Pickles that the reference (pyspacer 0.14, scikit-learn 1.5.2) loads and classifies with.

What it needs of scikit-learn's objects is written, with the parameters that the reference trains
with; what only further training would use (the optimiser, the random generator) is not.

Source: `ClassifierUnpickler` and `classify_features` of the reference (what it reads), and
`predict_proba` of scikit-learn 1.5.2's `calibration.py` (what is used then).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from spacer_tasks.classifiers.model import Classifier, FloatArray, Layer
from spacer_tasks.classifiers.pyspacer.objects import PickledObject
from spacer_tasks.classifiers.pyspacer.pickler import pickle_bytes
from spacer_tasks.exceptions import ClassifierFileError

#: what the reference pins; another one would warn with each object that it loads
SCIKIT_LEARN = "1.5.2"


def to_pyspacer_bytes(classifier: Classifier, name: str) -> bytes:
    """A pickle from which the reference gives the same probabilities, to 1e-6.

    `name` says in errors where it was to be stored. What is in `trained` has no place in it.

    Raises
    ------
    ClassifierFileError
        The reference has no such classifier: its labels are neither all integers (of 64 bits)
        nor all texts, or its outputs are not those of scikit-learn's.
    """
    unknown = _unknown(classifier)
    if unknown:
        raise ClassifierFileError(
            f"{name}: no pickle for the reference, which has no classifier with {unknown}"
        )
    classifier = _in_order(classifier)
    classes = np.array(classifier.classes)
    estimator = _estimator(classifier, classes)
    sigmoids = [
        _object("sklearn.calibration", "_SigmoidCalibration", a_=float(a), b_=float(b))
        for a, b in zip(classifier.calibration_a, classifier.calibration_b, strict=True)
    ]
    # a plain class of scikit-learn's, without a version
    pair = PickledObject(
        "sklearn.calibration",
        "_CalibratedClassifier",
        {"estimator": estimator, "calibrators": sigmoids, "classes": classes, "method": "sigmoid"},
    )
    calibrated = _object(
        "sklearn.calibration",
        "CalibratedClassifierCV",
        estimator=estimator,
        method="sigmoid",
        cv="prefit",
        n_jobs=None,
        ensemble=True,
        calibrated_classifiers_=[pair],
        classes_=classes,
        n_features_in_=classifier.feature_dim,
    )
    return pickle_bytes(calibrated)


def _unknown(classifier: Classifier) -> str | None:
    """What the reference does not have, if anything."""
    layers, labels = len(classifier.layers), classifier.classes
    if classifier.clf_type == "LR":
        known = classifier.output == "identity" and layers == 1
    else:
        known = classifier.output == ("logistic" if len(labels) == 2 else "softmax")
    if not known:
        return (
            f"{layers} layers, {len(labels)} classes and {classifier.output} output"
            f" as {classifier.clf_type}"
        )
    if all(isinstance(label, int) for label in labels):
        large = any(not -(2**63) <= int(label) < 2**63 for label in labels)
        return "labels beyond 64 bits" if large else None
    if not all(isinstance(label, str) for label in labels):
        return "integers and texts as labels"
    # numpy drops them
    ends = any(str(label).endswith("\0") for label in labels)
    return "labels that end in a zero character" if ends else None


def _in_order(classifier: Classifier) -> Classifier:
    """The same classifier with its classes in rising order, as scikit-learn takes them to be."""
    classes: list[Any] = list(classifier.classes)
    order = sorted(range(len(classes)), key=classes.__getitem__)
    if order == list(range(len(classes))):
        return classifier
    *hidden, last = classifier.layers
    a, b = classifier.calibration_a, classifier.calibration_b
    if len(classes) == 2:
        # the one output is for the second class: its opposite is for the first
        last = Layer(-last.weight, -last.bias)
        b = -b - a if classifier.output == "logistic" else -b
    else:
        last = Layer(last.weight[:, order], last.bias[order])
        a, b = a[order], b[order]
    return Classifier(
        clf_type=classifier.clf_type,
        layers=(*hidden, last),
        output=classifier.output,
        calibration_a=a,
        calibration_b=b,
        classes=[classes[index] for index in order],
        trained=classifier.trained,
    )


def _estimator(classifier: Classifier, classes: Any) -> PickledObject:
    if classifier.clf_type == "LR":
        return _linear(classifier, classes)
    return _network(classifier, classes)


def _linear(classifier: Classifier, classes: Any) -> PickledObject:
    (layer,) = classifier.layers
    return _object(
        "sklearn.linear_model._stochastic_gradient",
        "SGDClassifier",
        loss="log_loss",
        penalty="l2",
        learning_rate="optimal",
        epsilon=0.1,
        alpha=0.0001,
        C=1.0,
        l1_ratio=0.15,
        fit_intercept=True,
        shuffle=True,
        random_state=0,
        verbose=0,
        eta0=0.0,
        power_t=0.5,
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=5,
        warm_start=False,
        average=True,
        max_iter=1000,
        tol=0.001,
        class_weight=None,
        n_jobs=None,
        n_features_in_=classifier.feature_dim,
        classes_=classes,
        coef_=_own(layer.weight.T),
        intercept_=_own(layer.bias),
    )


def _network(classifier: Classifier, classes: Any) -> PickledObject:
    binary = len(classes) == 2
    labels = _object(
        "sklearn.preprocessing._label",
        "LabelBinarizer",
        neg_label=0,
        pos_label=1,
        sparse_output=False,
        y_type_="binary" if binary else "multiclass",
        sparse_input_=False,
        classes_=classes,
    )
    return _object(
        "sklearn.neural_network._multilayer_perceptron",
        "MLPClassifier",
        activation="relu",
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        loss="log_loss",
        hidden_layer_sizes=tuple(len(layer.bias) for layer in classifier.layers[:-1]),
        shuffle=True,
        random_state=None,
        tol=0.0001,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-08,
        n_iter_no_change=10,
        max_fun=15000,
        n_features_in_=classifier.feature_dim,
        classes_=classes,
        _label_binarizer=labels,
        n_outputs_=len(classifier.layers[-1].bias),
        n_layers_=len(classifier.layers) + 1,
        out_activation_=classifier.output,
        coefs_=[_own(layer.weight) for layer in classifier.layers],
        intercepts_=[_own(layer.bias) for layer in classifier.layers],
    )


def _own(array: FloatArray) -> FloatArray:
    return np.ascontiguousarray(array, dtype=np.float64)


def _object(module: str, name: str, **attributes: Any) -> PickledObject:
    return PickledObject(module, name, {**attributes, "_sklearn_version": SCIKIT_LEARN})
