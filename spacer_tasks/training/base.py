"""What every trainer is. Installed packages add their own by the group `spacer_tasks.trainers`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from spacer_tasks.classifiers import Classifier
from spacer_tasks.data_classes.labels import LabelId
from spacer_tasks.messages.specs import TrainerSpec, options_of
from spacer_tasks.messages.tasks import ClassifierType
from spacer_tasks.registry import registered_class
from spacer_tasks.training.checkpoints import Checkpoints
from spacer_tasks.training.feature_matrix import LabelledVectors

#: called with (epochs done, epochs in all, accuracy on the reference set)
OnEpoch = Callable[[int, int, float], None]


class Fitted(NamedTuple):
    """A calibrated classifier, and its accuracy on the reference set after each epoch."""

    classifier: Classifier
    ref_accs: list[float]


class Trainer(BaseModel, ABC):
    """Makes a classifier from labelled vectors. A trainer's options are its pydantic fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @abstractmethod
    def fit(
        self,
        train: LabelledVectors,
        ref: LabelledVectors,
        classes: Sequence[LabelId],
        nbr_epochs: int,
        clf_type: ClassifierType,
        on_epoch: OnEpoch | None = None,
    ) -> Fitted:
        """Train on `train`, calibrate on `ref`.

        Parameters
        ----------
        train, ref
            Each has every class at least once.
        classes
            The labels, sorted; targets are indices into it, and so are the columns of the
            classifier's probabilities.
        """


class ResumableTrainer(Trainer):
    """A trainer that can go on from a checkpoint: with the numbers that it would have come to."""

    @abstractmethod
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
        """As `Trainer.fit`, from the epoch after the checkpoint's where there is one."""


def load_trainer(spec: TrainerSpec) -> Trainer:
    """The trainer that a message names, with its options.

    Raises
    ------
    UnknownTrainerError
        No trainer of this name is registered; the text lists those that are.
    MessageError
        An option is unknown or malformed; the text names it.
    """
    trainer_class: type[Trainer] = registered_class("spacer_tasks.trainers", spec.class_path)
    return options_of(spec, trainer_class, "trainer")
