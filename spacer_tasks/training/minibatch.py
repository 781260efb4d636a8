"""Training in mini-batches over epochs, as the reference does it.

The network is trained in float32. The linear model is trained in float64, batch by batch: its
first steps are so large that rounding decides where it ends, and it is no slower there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, StrictBool, StrictInt
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import SGDClassifier
from sklearn.neural_network import MLPClassifier

from spacer_tasks.classifiers.from_sklearn import from_sklearn
from spacer_tasks.config import get_settings
from spacer_tasks.data_classes import LabelId
from spacer_tasks.exceptions import TrainingLabelsError
from spacer_tasks.messages import ClassifierType
from spacer_tasks.training.base import Fitted, OnEpoch, Trainer
from spacer_tasks.training.feature_matrix import LabelledVectors

Units = Annotated[StrictInt, Field(ge=1)]
Seed = Annotated[StrictInt, Field(ge=0, lt=2**32)]
SGDLoss = Literal[
    "log_loss",
    "hinge",
    "modified_huber",
    "squared_hinge",
    "perceptron",
    "squared_error",
    "huber",
    "epsilon_insensitive",
    "squared_epsilon_insensitive",
]
#: hidden layers and learning rate, from the reference
SMALL_MLP = ((100,), 1e-3)
LARGE_MLP = ((200, 100), 1e-4)


class MiniBatchTrainer(Trainer):
    """The default trainer. Its options and their defaults are the reference's.

    Attributes
    ----------
    batch_size
        Labels of one batch; SPACER_TRAINING_BATCH_LABEL_COUNT where not given.
    mlp_hidden_layer_sizes, mlp_learning_rate_init
        Units of each hidden layer, and Adam's first learning rate; chosen by the number of labels
        where no sizes are given (the learning rate alone is then not looked at).
    mlp_large_data_threshold
        Labels from which the larger network is chosen.
    sgd_loss, sgd_average, sgd_random_state
        scikit-learn's `loss`, `average` and `random_state` of SGDClassifier.
    random_state
        Seed of the MLP's first weights and of the order within batches. None gives the reference's
        numbers: it draws them from the generator that it seeds with the epoch.
    """

    batch_size: Annotated[StrictInt, Field(ge=1)] = Field(
        default_factory=lambda: get_settings().training_batch_label_count
    )
    mlp_hidden_layer_sizes: Annotated[tuple[Units, ...], Field(min_length=1)] | None = None
    mlp_learning_rate_init: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    mlp_large_data_threshold: Annotated[StrictInt, Field(ge=0)] = 50_000
    sgd_loss: SGDLoss = "log_loss"
    sgd_average: StrictBool | Annotated[StrictInt, Field(ge=0)] = True
    sgd_random_state: Seed = 0
    random_state: Seed | None = None

    def fit(
        self,
        train: LabelledVectors,
        ref: LabelledVectors,
        classes: Sequence[LabelId],
        nbr_epochs: int,
        clf_type: ClassifierType,
        on_epoch: OnEpoch | None = None,
    ) -> Fitted:
        """Train batch by batch, then fit one sigmoid per class on `ref`.

        Raises
        ------
        TrainingLabelsError
            The numbers grew beyond all bounds.
        """
        estimator = self._estimator(clf_type, len(train))
        own = None if self.random_state is None else np.random.RandomState(self.random_state)
        precision = np.float32 if clf_type == "MLP" else np.float64
        targets = np.arange(len(classes))
        ref_accs: list[float] = []
        for epoch in range(nbr_epochs):
            generator = np.random.RandomState(epoch)
            rows = self._rows(train, generator)
            if clf_type == "MLP":
                estimator.random_state = own or generator
            try:
                for batch in self._batches(rows):
                    vectors = train.vectors[batch].astype(precision, copy=False)
                    estimator.partial_fit(vectors, train.targets[batch], classes=targets)
            except ValueError as error:
                # the vectors are finite, so this is what scikit-learn says of a diverged training
                raise TrainingLabelsError(
                    f"training diverged in epoch {epoch + 1} of {nbr_epochs}: {error}"
                ) from error
            ref_accs.append(float(np.mean(estimator.predict(ref.vectors) == ref.targets)))
            if on_epoch:
                on_epoch(epoch + 1, nbr_epochs, ref_accs[-1])
        return Fitted(from_sklearn(_calibrated(estimator, ref), classes), ref_accs)

    def _estimator(self, clf_type: ClassifierType, label_count: int) -> Any:
        if clf_type == "LR":
            return SGDClassifier(
                loss=self.sgd_loss,
                average=self.sgd_average,
                random_state=self.sgd_random_state,
                # a thread per core, each with a class; the numbers do not depend on it
                n_jobs=-1,
            )
        sizes: tuple[int, ...]
        if self.mlp_hidden_layer_sizes is not None:
            sizes, rate = self.mlp_hidden_layer_sizes, self.mlp_learning_rate_init or SMALL_MLP[1]
        else:
            large = label_count >= self.mlp_large_data_threshold
            sizes, rate = LARGE_MLP if large else SMALL_MLP
        return MLPClassifier(hidden_layer_sizes=sizes, learning_rate_init=rate)

    def _rows(self, train: LabelledVectors, generator: np.random.RandomState) -> NDArray[np.intp]:
        """All rows, with the images in this epoch's order."""
        images = list(range(len(train.starts) - 1))
        generator.shuffle(images)
        return train.rows_of(images)

    def _batches(self, rows: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
        for start in range(0, len(rows), self.batch_size):
            yield rows[start : start + self.batch_size]


def _calibrated(estimator: Any, ref: LabelledVectors) -> CalibratedClassifierCV:
    """The trained estimator with a sigmoid per class, fitted on the whole of `ref`.

    Scikit-learn's own default would cut `ref` in five folds, which does nothing to an estimator
    that is trained already and refuses classes with few points; so there is one fold, all of it.
    """
    if isinstance(estimator, MLPClassifier):
        # used in float64 from here on, as the classifier will be: calibration sees its outputs
        estimator.coefs_ = [each.astype(np.float64) for each in estimator.coefs_]
        estimator.intercepts_ = [each.astype(np.float64) for each in estimator.intercepts_]
    everything = np.arange(len(ref))
    calibrated = CalibratedClassifierCV(
        FrozenEstimator(estimator),
        method="sigmoid",
        cv=[(everything, everything)],
        ensemble=False,
    )
    return calibrated.fit(ref.vectors, ref.targets)
