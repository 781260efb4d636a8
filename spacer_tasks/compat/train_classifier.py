"""The reference's trainers: this project's behind its name, and a base for one's own."""

from __future__ import annotations

import abc
import inspect
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from spacer_tasks.compat import config
from spacer_tasks.compat.answers import TrainClassifierReturnMsg
from spacer_tasks.compat.data_classes import ImageLabels, ValResults
from spacer_tasks.compat.fitting import fit
from spacer_tasks.compat.naming import class_path
from spacer_tasks.compat.train_utils import calc_acc, evaluate_classifier
from spacer_tasks.config.settings import get_settings
from spacer_tasks.messages.parsing import parse
from spacer_tasks.registry import canonical_name, registered_class

if TYPE_CHECKING:
    from sklearn.calibration import CalibratedClassifierCV

    from spacer_tasks.messages.specs import TrainerSpec


#: SPACER_TRAINING_BATCH_LABEL_COUNT, which is looked up when a trainer is made
_OF_THE_SETTINGS: Any = object()


class ClassifierTrainer(abc.ABC):
    """Makes a classifier. One of one's own is used where it was made: a message names it, but only
    what is registered is found by its name.
    """

    @abc.abstractmethod
    def __call__(
        self,
        labels: Any,
        nbr_epochs: int,
        pc_models: Sequence[CalibratedClassifierCV],
        clf_type: str,
    ) -> tuple[CalibratedClassifierCV, ValResults, TrainClassifierReturnMsg]:
        """Train, calibrate and evaluate.

        Parameters
        ----------
        labels
            A `TrainingTaskLabels`, or a dict of its sets.
        pc_models
            Classifiers to evaluate on the same validation set.
        clf_type
            "MLP" or "LR".
        """

    def serialize(self) -> dict[str, Any]:
        """The trainer's name, and its options where they differ from the defaults."""
        return {"class_path": class_path(type(self))}

    @staticmethod
    def deserialize(data: Mapping[str, Any]) -> ClassifierTrainer:
        """The trainer that a dict names: the reference's, or a registered one. No path is imported.

        Raises
        ------
        UnknownTrainerError
            Nothing is registered under the name.
        """
        options = {key: value for key, value in data.items() if key != "class_path"}
        name = data["class_path"]
        if canonical_name(name) == canonical_name(class_path(MiniBatchTrainer)):
            return MiniBatchTrainer(**options)
        return RegisteredTrainer(name, **options)

    def __repr__(self) -> str:
        return str(self.serialize())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ClassifierTrainer) and self.serialize() == other.serialize()

    # options may be changed
    __hash__ = None  # type: ignore[assignment]


class OurTrainer(ClassifierTrainer):
    """One that this project trains with."""

    def spec(self) -> TrainerSpec:
        """How a message of this project names it."""
        from spacer_tasks.messages.specs import TrainerSpec

        return parse(TrainerSpec, self.serialize())

    def _train(
        self, train_labels: ImageLabels, ref_labels: ImageLabels, nbr_epochs: int, clf_type: str
    ) -> tuple[CalibratedClassifierCV, list[float]]:
        return fit(self.spec(), train_labels, ref_labels, nbr_epochs, clf_type)

    def __call__(
        self,
        labels: Any,
        nbr_epochs: int,
        pc_models: Sequence[CalibratedClassifierCV],
        clf_type: str,
    ) -> tuple[CalibratedClassifierCV, ValResults, TrainClassifierReturnMsg]:
        assert clf_type in config.CLASSIFIER_TYPES
        started = time.time()
        clf, ref_accs = self._train(labels["train"], labels["ref"], nbr_epochs, clf_type)
        truths, answers, scores = evaluate_classifier(clf, labels["val"])
        classes = clf.classes_.tolist()
        results = ValResults(
            scores=scores,
            gt=[classes.index(label) for label in truths],
            est=[classes.index(label) for label in answers],
            classes=classes,
        )
        pc_accs = [calc_acc(*evaluate_classifier(other, labels["val"])[:2]) for other in pc_models]
        acc = calc_acc(truths, answers)
        return clf, results, TrainClassifierReturnMsg(acc, pc_accs, ref_accs, time.time() - started)


class MiniBatchTrainer(OurTrainer):
    """The default trainer; see `spacer_tasks.training.minibatch.MiniBatchTrainer`."""

    def __init__(
        self,
        batch_size: int | None = _OF_THE_SETTINGS,
        mlp_hidden_layer_sizes: tuple[int, ...] | None = None,
        mlp_learning_rate_init: float | None = None,
        mlp_large_data_threshold: int = 50000,
        sgd_loss: str = "log_loss",
        sgd_average: bool = True,
        sgd_random_state: int | None = 0,
    ) -> None:
        if batch_size is _OF_THE_SETTINGS:
            batch_size = get_settings().training_batch_label_count
        self.batch_size = batch_size
        self.mlp_hidden_layer_sizes = mlp_hidden_layer_sizes
        self.mlp_learning_rate_init = mlp_learning_rate_init
        self.mlp_large_data_threshold = mlp_large_data_threshold
        self.sgd_loss = sgd_loss
        self.sgd_average = sgd_average
        self.sgd_random_state = sgd_random_state

    def serialize(self) -> dict[str, Any]:
        defaults = {
            name: parameter.default
            for name, parameter in inspect.signature(type(self).__init__).parameters.items()
            if name != "self"
        }
        defaults["batch_size"] = get_settings().training_batch_label_count
        options = {name: getattr(self, name) for name in defaults}
        changed = {name: value for name, value in options.items() if value != defaults[name]}
        return {**super().serialize(), **changed}


class RegisteredTrainer(OurTrainer):
    """One that an installed package registered under a name."""

    def __init__(self, name: str, **options: Any) -> None:
        registered_class("spacer_tasks.trainers", name)
        self._name = name
        self._options = options

    def serialize(self) -> dict[str, Any]:
        return {"class_path": self._name, **self._options}


def trainer_factory(trainer_name: str) -> ClassifierTrainer:
    """The trainer of a name, with its default options."""
    return ClassifierTrainer.deserialize({"class_path": trainer_name})
