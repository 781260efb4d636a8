"""A trained classifier as plain arrays, independent of the library that trained it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spacer_tasks.concurrency.one_thread import one_thread
from spacer_tasks.data_classes.labels import LabelId
from spacer_tasks.exceptions import FeatureDimensionError
from spacer_tasks.messages.tasks import ClassifierType

OutputActivation = Literal["softmax", "logistic", "identity"]
FloatArray = NDArray[np.float64]
AnyVectors = NDArray[np.float32] | NDArray[np.float64]

#: rows computed at once: 4096 float64 vectors of 4096 dimensions are 128 MiB, whatever is asked
CHUNK_ROWS = 4096
#: rows from which the products are shared between threads: those of one image mostly are not
SHARED_ROWS = 1024


class Layer(NamedTuple):
    """One layer: `x @ weight + bias`. weight (in, out), bias (out,), both float64."""

    weight: FloatArray
    bias: FloatArray


@dataclass(frozen=True, eq=False)
class Classifier:
    """Probabilities of labels from feature vectors.

    A multi-layer perceptron with rectified linear hidden layers, or a linear model, which is one
    layer without activation; then a sigmoid calibration of each output.

    Attributes
    ----------
    clf_type
        "MLP" or "LR".
    layers
        From input to output. With two classes the last has one output, for the second class;
        otherwise one per class.
    output
        What the last layer goes through before calibration. "identity" is the decision function
        of a linear model.
    calibration_a, calibration_b
        float64, one per output: the calibrated probability is `1 / (1 + exp(a * output + b))`
        (Platt 1999, "Probabilistic outputs for support vector machines").
    classes
        The labels, in the order of the probabilities.
    trained
        How it was trained, JSON-ready.
    """

    clf_type: ClassifierType
    layers: tuple[Layer, ...]
    output: OutputActivation
    calibration_a: FloatArray
    calibration_b: FloatArray
    classes: list[LabelId]
    trained: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def feature_dim(self) -> int:
        """Dimensions of the vectors that it takes."""
        return int(self.layers[0].weight.shape[0])

    def predict_proba(self, vectors: AnyVectors) -> FloatArray:
        """Probabilities, float64, shape (points, classes); each row sums to 1.

        Parameters
        ----------
        vectors
            Shape (points, dimensions).

        Raises
        ------
        FeatureDimensionError
            The vectors have another dimension than the classifier was trained on.
        """
        self.check_dimension(vectors)
        probabilities = np.empty((len(vectors), len(self.classes)))
        for start, chunk in self._probability_chunks(vectors):
            probabilities[start : start + len(chunk)] = chunk
        return probabilities

    def predict(self, vectors: AnyVectors) -> NDArray[np.intp]:
        """The most probable class of each point, as an index into `classes`, shape (points,).

        Raises as `predict_proba`.
        """
        return self.best(vectors)[0]

    def best(self, vectors: AnyVectors) -> tuple[NDArray[np.intp], FloatArray]:
        """The most probable class of each point (index into `classes`) and its probability.

        Takes less memory than `predict_proba` where there are many points and classes. Raises as
        `predict_proba`.
        """
        self.check_dimension(vectors)
        indices = np.empty(len(vectors), dtype=np.intp)
        probabilities = np.empty(len(vectors))
        for start, chunk in self._probability_chunks(vectors):
            rows = slice(start, start + len(chunk))
            indices[rows] = chunk.argmax(axis=1)
            probabilities[rows] = chunk.max(axis=1)
        return indices, probabilities

    def outputs(self, vectors: AnyVectors) -> FloatArray:
        """What calibration takes: float64, shape (points, outputs). Raises as `predict_proba`."""
        self.check_dimension(vectors)
        return np.concatenate([self._outputs(chunk) for chunk in _chunks(vectors)])

    def check_dimension(self, vectors: AnyVectors, name: str = "the feature vectors") -> None:
        """Refuse vectors of another dimension; `name` says which they are.

        Raises
        ------
        FeatureDimensionError
            The text names both dimensions.
        """
        found = vectors.shape[1] if vectors.ndim == 2 else f"of shape {vectors.shape}"
        if found != self.feature_dim:
            raise FeatureDimensionError(
                f"{name}: {found} dimensions, but the classifier was trained on {self.feature_dim}"
            )

    def _probability_chunks(self, vectors: AnyVectors) -> Iterator[tuple[int, FloatArray]]:
        start = 0
        for rows in _chunks(vectors):
            with one_thread() if len(vectors) < SHARED_ROWS else nullcontext():
                probabilities = self._calibrated(self._outputs(rows))
            yield start, probabilities
            start += len(rows)

    def _outputs(self, rows: FloatArray) -> FloatArray:
        *hidden, last = self.layers
        for layer in hidden:
            rows = rows @ layer.weight
            rows += layer.bias
            np.maximum(rows, 0, out=rows)
        values: FloatArray = rows @ last.weight + last.bias
        if self.output == "softmax":
            # the largest is taken off so that exp cannot overflow; the quotient is the same
            values = np.exp(values - values.max(axis=1, keepdims=True))
            values /= values.sum(axis=1, keepdims=True)
        elif self.output == "logistic":
            values = _sigmoid(values)
        return values

    def _calibrated(self, outputs: FloatArray) -> FloatArray:
        """One against the rest for each class, then scaled to a sum of 1, as scikit-learn does.

        Source: `_CalibratedClassifier.predict_proba` of scikit-learn.
        """
        each = _sigmoid(-(self.calibration_a * outputs + self.calibration_b))
        if len(self.classes) == 2:
            return np.hstack([1.0 - each, each])
        total = each.sum(axis=1, keepdims=True)
        shares = np.full_like(each, 1.0 / len(self.classes))
        # a point that every class rejects with probability 0 gets all of them alike
        np.divide(each, total, out=shares, where=total != 0)
        return shares


def _chunks(vectors: AnyVectors) -> Iterator[FloatArray]:
    for start in range(0, len(vectors), CHUNK_ROWS):
        yield vectors[start : start + CHUNK_ROWS].astype(np.float64)


def _sigmoid(values: FloatArray) -> FloatArray:
    """1 / (1 + exp(-x)), without overflow at either end and without losing small results."""
    small = np.exp(-np.abs(values))
    sigmoid: FloatArray = np.where(values >= 0, 1.0, small) / (1.0 + small)
    return sigmoid
