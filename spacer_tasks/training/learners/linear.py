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
#: in what scikit-learn's ValueError says of a training whose numbers grew beyond all bounds
DIVERGED = "under-/overflow occurred"


class LinearModel:
    """scikit-learn's `SGDClassifier`, in float64.

    Parameters
    ----------
    loss, average, seed
        Its `loss`, `average` and `random_state`; without a seed it draws from the generator that
        each batch comes with.
    classes
        The number of classes.
    """

    output: OutputActivation = "identity"

    def __init__(self, loss: str, classes: int, average: int, seed: int | None) -> None:
        self._classes = np.arange(classes)
        self._seed = seed
        self._diverged = False
        # A thread per core, each with a class; the numbers do not depend on it. Recent versions of
        # scikit-learn know no average of 0, which older ones take for none.
        self._model = SGDClassifier(
            loss=loss, average=average or False, random_state=seed, n_jobs=-1
        )

    def partial_fit(
        self,
        vectors: NDArray[np.float32],
        rows: NDArray[np.intp],
        targets: NDArray[np.intp],
        generator: np.random.RandomState,
    ) -> None:
        """Go once through `rows` of `vectors`, in an order of scikit-learn's."""
        some = vectors[rows].astype(np.float64)
        if self._seed is None:
            self._model.random_state = generator
        try:
            self._model.partial_fit(some, targets[rows], classes=self._classes)
        except ValueError as error:
            if DIVERGED not in str(error):
                raise
            self._diverged = True

    def predict(self, vectors: NDArray[np.float32]) -> NDArray[np.intp]:
        """The class of each vector, as an index, shape (points,)."""
        found: NDArray[np.intp] = self._model.predict(vectors)
        return found

    def is_finite(self) -> bool:
        """Whether no weight has grown beyond all bounds."""
        return not self._diverged and bool(np.isfinite(self._model.coef_).all())

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
