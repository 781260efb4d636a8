"""Training by this project, given out as scikit-learn's estimators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spacer_tasks.compat.data_classes import ImageLabels
from spacer_tasks.compat.raising import as_the_reference

if TYPE_CHECKING:
    from sklearn.calibration import CalibratedClassifierCV

    from spacer_tasks.messages.specs import TrainerSpec


def fit(
    spec: TrainerSpec,
    train_labels: ImageLabels,
    ref_labels: ImageLabels,
    nbr_epochs: int,
    clf_type: str,
) -> tuple[CalibratedClassifierCV, list[float]]:
    """A calibrated classifier, and its accuracy on the reference set after each epoch."""
    from spacer_tasks.compat.sklearn_classifier import to_sklearn
    from spacer_tasks.training import load_trainer
    from spacer_tasks.training.feature_matrix import load_sets

    sets = {"train": train_labels.ours(), "ref": ref_labels.ours()}
    classes = sorted(sets["ref"].classes)
    trainer = load_trainer(spec)
    with as_the_reference():
        vectors = load_sets(sets, classes)
    kind: Any = clf_type
    fitted = trainer.fit(vectors["train"], vectors["ref"], classes, nbr_epochs, kind)
    parameters = _parameters(trainer, clf_type, train_labels.label_count)
    return to_sklearn(fitted.classifier, **parameters), fitted.ref_accs


def _parameters(trainer: Any, clf_type: str, label_count: int) -> dict[str, Any]:
    """Of scikit-learn's estimator, for those who ask it how it was trained."""
    from spacer_tasks.training.minibatch import MiniBatchTrainer

    if not isinstance(trainer, MiniBatchTrainer):
        return {}
    if clf_type == "LR":
        return {
            "loss": trainer.sgd_loss,
            "average": trainer.sgd_average,
            "random_state": trainer.sgd_random_state,
        }
    sizes, rate = trainer.network(label_count)
    return {"hidden_layer_sizes": sizes, "learning_rate_init": rate}
