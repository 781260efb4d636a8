"""Training in mini-batches over epochs, as the reference does it.

The network is trained in float32. The linear model is trained in float64: its first steps are so
large that rounding decides where it ends.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, StrictBool, StrictFloat, StrictInt

from spacer_tasks.classifiers import Classifier
from spacer_tasks.classifiers.model import Layer, OutputActivation
from spacer_tasks.concurrency.stopping import stop_if_asked
from spacer_tasks.config.settings import get_settings
from spacer_tasks.data_classes.labels import LabelId
from spacer_tasks.exceptions import TrainingLabelsError
from spacer_tasks.messages.tasks import ClassifierType
from spacer_tasks.training.base import Fitted, OnEpoch, ResumableTrainer
from spacer_tasks.training.calibration import sigmoids
from spacer_tasks.training.checkpoints import Arrays, Checkpoints, Interval, Standing
from spacer_tasks.training.feature_matrix import LabelledVectors
from spacer_tasks.training.learners.linear import LinearModel
from spacer_tasks.training.learners.logistic import OneAgainstRest
from spacer_tasks.training.learners.perceptron import Perceptron

logger = logging.getLogger(__name__)

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


def _one_layer(sizes: Any) -> Any:
    """A number of units stands for one layer, as in scikit-learn."""
    return (sizes,) if isinstance(sizes, int) else sizes


class Learner(Protocol):
    """What is trained, batch after batch."""

    @property
    def output(self) -> OutputActivation:
        """What the last layer goes through."""

    def partial_fit(
        self,
        vectors: NDArray[np.float32],
        rows: NDArray[np.intp],
        targets: NDArray[np.intp],
        generator: np.random.RandomState,
    ) -> None:
        """Go once through these rows of `vectors`."""

    def predict(self, vectors: NDArray[np.float32]) -> NDArray[np.intp]:
        """The class of each vector, as an index."""

    def is_finite(self) -> bool:
        """Whether no weight has grown beyond all bounds."""

    def layers(self) -> tuple[Layer, ...]:
        """The weights as they are now, in float64."""

    def state(self) -> Arrays:
        """All that the next step depends on."""

    def restore(self, state: Arrays) -> None:
        """Stand where another one of the same shape stood. Raises KeyError or ValueError."""


#: labels from which logistic regression trains all classes at once, in one order of the points.
#: Below, scikit-learn takes a second or two, and gives the reference's own weights.
BLOCKS_FROM_LABELS = 2_000


class MiniBatchTrainer(ResumableTrainer):
    """The default trainer. Its options and their defaults are the reference's.

    Attributes
    ----------
    batch_size
        Labels of one batch; SPACER_TRAINING_BATCH_LABEL_COUNT where not given. 0 or None puts an
        epoch into one batch.
    mlp_hidden_layer_sizes, mlp_learning_rate_init
        Units of each hidden layer (of one, where it is a number; none is a linear model), and
        Adam's first learning rate, 0.001 where None or 0; chosen by the number of labels where no
        sizes are given (the learning rate alone is then not looked at).
    mlp_large_data_threshold
        Labels from which the larger network is chosen.
    sgd_loss, sgd_average, sgd_random_state
        scikit-learn's `loss`, `average` and `random_state` of SGDClassifier. A state of None draws
        from the generator that is seeded with the epoch, as the reference does.
    random_state
        Seed of the MLP's first weights and of the order within batches. None gives the reference's
        numbers: it draws them from the generator that it seeds with the epoch.
    """

    batch_size: Annotated[StrictInt, Field(ge=0)] | None = Field(
        default_factory=lambda: get_settings().training_batch_label_count
    )
    mlp_hidden_layer_sizes: Annotated[tuple[Units, ...], BeforeValidator(_one_layer)] | None = None
    mlp_learning_rate_init: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    mlp_large_data_threshold: StrictInt | StrictFloat = 50_000
    sgd_loss: SGDLoss = "log_loss"
    sgd_average: StrictBool | Annotated[StrictInt, Field(ge=0)] = True
    sgd_random_state: Seed | None = 0
    random_state: Seed | None = None

    def fit(
        self,
        train: LabelledVectors,
        ref: LabelledVectors,
        classes: Sequence[LabelId],
        nbr_epochs: int,
        clf_type: ClassifierType,
        on_epoch: OnEpoch | None = None,
        checkpoints: Checkpoints | None = None,
    ) -> Fitted:
        """Train batch by batch, then fit one sigmoid per class on `ref`.

        Raises
        ------
        TrainingLabelsError
            The numbers grew beyond all bounds.
        """
        own = None if self.random_state is None else np.random.RandomState(self.random_state)
        made: Learner | None = None
        ref_accs: list[float] = []
        if checkpoints and (standing := checkpoints.load()):
            resumed = self._learner(clf_type, train, len(classes), np.random.RandomState(0))
            try:
                resumed.restore(standing.learner)
            except (KeyError, ValueError) as error:
                logger.warning("%s cannot be used, so it begins anew: %r", checkpoints.loc, error)
            else:
                made, ref_accs, own = resumed, standing.ref_accs, standing.random
        interval = Interval()
        for epoch in range(len(ref_accs), nbr_epochs):
            generator = np.random.RandomState(epoch)
            rows = self._rows(train, generator)
            # made after the first epoch's order is drawn, as the reference's network is
            learner = made = made or self._learner(clf_type, train, len(classes), own or generator)
            for batch in self._batches(rows):
                stop_if_asked()
                learner.partial_fit(train.vectors, batch, train.targets, own or generator)
                if not learner.is_finite():
                    raise TrainingLabelsError(
                        f"training diverged in epoch {epoch + 1} of {nbr_epochs}: the numbers"
                        " grew beyond all bounds; are the features scaled as others are?"
                    )
            ref_accs.append(float(np.mean(learner.predict(ref.vectors) == ref.targets)))
            if checkpoints and interval.due():
                checkpoints.save(Standing(ref_accs, learner.state(), own))
            if on_epoch:
                on_epoch(epoch + 1, nbr_epochs, ref_accs[-1])
        assert made is not None  # there is one epoch at least
        return Fitted(_calibrated(made, clf_type, ref, classes), ref_accs)

    def _learner(
        self,
        clf_type: ClassifierType,
        train: LabelledVectors,
        classes: int,
        generator: np.random.RandomState,
    ) -> Learner:
        dimensions = train.vectors.shape[1]
        blocks = self.sgd_loss == "log_loss" and len(train) >= BLOCKS_FROM_LABELS
        if clf_type == "LR" and blocks:
            return OneAgainstRest(dimensions, classes, int(self.sgd_average), self.sgd_random_state)
        if clf_type == "LR":
            return LinearModel(self.sgd_loss, classes, self.sgd_average, self.sgd_random_state)
        sizes, rate = self.network(len(train))
        return Perceptron(dimensions, sizes, classes, rate, generator)

    def network(self, label_count: int) -> tuple[tuple[int, ...], float]:
        """Units of each hidden layer, and Adam's first learning rate, for so many labels."""
        if self.mlp_hidden_layer_sizes is not None:
            return self.mlp_hidden_layer_sizes, self.mlp_learning_rate_init or SMALL_MLP[1]
        return LARGE_MLP if label_count >= self.mlp_large_data_threshold else SMALL_MLP

    def _rows(self, train: LabelledVectors, generator: np.random.RandomState) -> NDArray[np.intp]:
        """All rows, with the images in this epoch's order."""
        images = list(range(len(train.starts) - 1))
        generator.shuffle(images)
        return train.rows_of(images)

    def _batches(self, rows: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
        size = self.batch_size or len(rows)
        for start in range(0, len(rows), size):
            yield rows[start : start + size]


def _calibrated(
    learner: Learner, clf_type: ClassifierType, ref: LabelledVectors, classes: Sequence[LabelId]
) -> Classifier:
    """What was learned, with a sigmoid per class that is fitted on the whole of `ref`."""
    outputs = 1 if len(classes) == 2 else len(classes)
    plain = Classifier(
        clf_type=clf_type,
        layers=learner.layers(),
        output=learner.output,
        calibration_a=np.zeros(outputs),
        calibration_b=np.zeros(outputs),
        classes=list(classes),
    )
    # in float64, as the classifier will be used
    a, b = sigmoids(plain.outputs(ref.vectors), ref.targets)
    return replace(plain, calibration_a=a, calibration_b=b)
