"""One training from labels to a classifier with its results."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import sklearn

from spacer_tasks.classifiers import Classifier
from spacer_tasks.classifiers.network import NETWORKS
from spacer_tasks.concurrency.stopping import stop_if_asked
from spacer_tasks.data_classes.val_results import ValResults
from spacer_tasks.messages.specs import TrainerSpec
from spacer_tasks.messages.tasks import ClassifierType, TrainClassifierReturnMsg, TrainingTaskLabels
from spacer_tasks.training.base import ResumableTrainer, load_trainer
from spacer_tasks.training.checkpoints import Checkpoints
from spacer_tasks.training.evaluation import accuracy, evaluate
from spacer_tasks.training.feature_matrix import load_sets
from spacer_tasks.training.labels import check_one_kind, left_out_of, preprocess_labels
from spacer_tasks.training.metrics import Metrics
from spacer_tasks.version import __version__


@dataclass(frozen=True)
class TrainingProgress:
    """How far a training is: feature files read of all, or epochs done of all.

    `ref_acc` is the accuracy on the reference set after the epoch.
    """

    stage: Literal["features", "training"]
    done: int
    total: int
    ref_acc: float | None = None

    def shown(self) -> dict[str, Any]:
        """As JSON-ready fields of a task's state."""
        if self.stage == "features":
            return {"stage": self.stage, "images_done": self.done, "images_total": self.total}
        return {
            "stage": self.stage,
            "epoch": self.done,
            "epochs": self.total,
            "ref_acc": self.ref_acc,
        }


@dataclass(frozen=True)
class TrainingResult:
    """A classifier, what it answered on the validation set, and the message that says so."""

    classifier: Classifier
    val_results: ValResults
    metrics: Metrics
    return_msg: TrainClassifierReturnMsg


def train(
    msg_labels: TrainingTaskLabels,
    trainer: TrainerSpec,
    nbr_epochs: int,
    clf_type: ClassifierType,
    previous: Sequence[Classifier] = (),
    on_progress: Callable[[TrainingProgress], None] | None = None,
    checkpoints: Checkpoints | None = None,
    *,
    preprocessed: bool = False,
) -> TrainingResult:
    """Check the labels, read the features, train, calibrate and evaluate.

    Parameters
    ----------
    msg_labels
        The three sets.
    trainer
        Which trainer, and its options.
    nbr_epochs
        How often the training set is gone through, from 1.
    clf_type
        "MLP" or "LR".
    previous
        Classifiers to evaluate on the same validation set.
    on_progress
        Called as feature files are read, at most a hundred times, and after each epoch.
    checkpoints
        Where the training is kept between epochs; it goes on from there if it was begun before.
        Not used by a trainer that cannot.
    preprocessed
        Whether the sets are as `preprocess_labels` gave them.

    Raises
    ------
    TrainingLabelsError
        The labels cannot be trained on; see `preprocess_labels`.
    FeatureDimensionError
        Feature files, or a previous classifier, have another number of dimensions.
    InputError
        A feature file is missing, damaged or without a labelled point; see `load_sets`.
    MessageError
        The trainer or one of its options is unknown.
    """
    started = time.monotonic()
    chosen = load_trainer(trainer)
    # a caller that sent a message may have split its labels with whatever it had
    left_out = None if preprocessed else left_out_of(msg_labels)
    labels = msg_labels if preprocessed else preprocess_labels(msg_labels)
    if preprocessed:
        check_one_kind(labels)
    classes = sorted(labels.ref.classes)

    def on_image(done: int, total: int) -> None:
        stop_if_asked()
        if on_progress and done * 100 // total > (done - 1) * 100 // total:
            on_progress(TrainingProgress("features", done, total))

    def on_epoch(done: int, total: int, ref_acc: float) -> None:
        if on_progress:
            on_progress(TrainingProgress("training", done, total, ref_acc))

    sets = load_sets(labels.sets(), classes, on_image)
    val = sets["val"]
    for number, older in enumerate(previous, start=1):
        # said now, not after hours of training
        older.check_dimension(val.vectors, f"previous classifier {number}: the feature vectors")
    given = (sets["train"], sets["ref"], classes, nbr_epochs, clf_type, on_epoch)
    if checkpoints and isinstance(chosen, ResumableTrainer):
        shapes = [list(some.vectors.shape) for some in given[:2]]
        about = (trainer.class_path, chosen.model_dump(mode="json"), classes, shapes)
        fitted = chosen.fit(*given, checkpoints.of(about, nbr_epochs, clf_type))
    else:
        fitted = chosen.fit(*given)
    trained = {
        "package": f"spacer-tasks {__version__}",
        "scikit_learn": sklearn.__version__,
        "trainer": {"class_path": trainer.class_path, **chosen.model_dump(mode="json")},
        "clf_type": clf_type,
        "nbr_epochs": nbr_epochs,
        "label_counts": {name: some.label_count for name, some in labels.sets().items()},
        "ref_accs": fitted.ref_accs,
        NETWORKS: sets["train"].networks,
    }
    classifier = replace(fitted.classifier, trained=trained)
    val_results = evaluate(classifier, val, classes)
    metrics = Metrics.from_val_results(val_results).model_copy(update={"left_out": left_out})
    return TrainingResult(
        classifier,
        val_results,
        metrics,
        TrainClassifierReturnMsg(
            acc=metrics.accuracy,
            pc_accs=[accuracy(older, val, classes) for older in previous],
            ref_accs=fitted.ref_accs,
            runtime=time.monotonic() - started,
            left_out=left_out,
        ),
    )
