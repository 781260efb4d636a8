"""Linear models with other losses than the logistic one, by scikit-learn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import SGDClassifier

from spacer_tasks.classifiers.model import Layer, OutputActivation
from spacer_tasks.training.checkpoints import Arrays

#: what scikit-learn's model holds as numbers
_NUMBERS = ("t_", "n_iter_", "n_features_in_")
#: arrays that it shows, and those that it works on: one may be the other, and changes with it
_SAME = [
    (f"{name}_", f"_{kind}_{name}")
    for name in ("coef", "intercept")
    for kind in ("average", "standard")
]
_IS = " is "


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

    def state(self) -> Arrays:
        """All that the next step depends on: the arrays and numbers of scikit-learn's model."""
        parameters = self._model.get_params()
        found = {
            name: np.atleast_1d(value)
            for name, value in vars(self._model).items()
            if name not in parameters and isinstance(value, np.ndarray | float | int)
        }
        for shown, kept in _SAME:
            if kept in found and np.shares_memory(found[shown], found[kept]):
                found[shown + _IS + kept] = np.array(found[shown].shape, np.int64)
        return found

    def restore(self, state: Arrays) -> None:
        """Stand where another one of the same shape stood. Raises KeyError or ValueError."""
        for name, value in state.items():
            if _IS not in name:
                number = name in _NUMBERS
                setattr(self._model, name, value[0].item() if number else value.copy())
        for name, shape in state.items():
            shown, same, kept = name.partition(_IS)
            if same:
                setattr(self._model, shown, getattr(self._model, kept).reshape(tuple(shape)))
