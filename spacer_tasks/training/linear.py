"""Linear models with other losses than the logistic one, by scikit-learn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import SGDClassifier

from spacer_tasks.classifiers.model import Layer, OutputActivation


class LinearModel:
    """scikit-learn's `SGDClassifier`, in float64.

    Parameters
    ----------
    loss, average, seed
        Its `loss`, `average` and `random_state`.
    classes
        The number of classes.
    """

    output: OutputActivation = "identity"

    def __init__(self, loss: str, classes: int, average: int, seed: int) -> None:
        self._classes = np.arange(classes)
        # a thread per core, each with a class; the numbers do not depend on it
        self._model = SGDClassifier(loss=loss, average=average, random_state=seed, n_jobs=-1)

    def partial_fit(
        self,
        vectors: NDArray[np.float32],
        rows: NDArray[np.intp],
        targets: NDArray[np.intp],
        _generator: np.random.RandomState,
    ) -> None:
        """Go once through `rows` of `vectors`, in an order of scikit-learn's."""
        some = vectors[rows].astype(np.float64)
        try:
            self._model.partial_fit(some, targets[rows], classes=self._classes)
        except ValueError:
            # the vectors are finite, so this is what scikit-learn says of a diverged training
            self._model.coef_ = np.full_like(self._model.coef_, np.nan)

    def predict(self, vectors: NDArray[np.float32]) -> NDArray[np.intp]:
        """The class of each vector, as an index, shape (points,)."""
        found: NDArray[np.intp] = self._model.predict(vectors)
        return found

    def is_finite(self) -> bool:
        """Whether no weight has grown beyond all bounds."""
        return bool(np.isfinite(self._model.coef_).all())

    def layers(self) -> tuple[Layer, ...]:
        """The weights as they are now."""
        weight = np.ascontiguousarray(self._model.coef_.T, dtype=np.float64)
        return (Layer(weight, self._model.intercept_.astype(np.float64)),)
