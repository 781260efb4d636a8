"""From labels and stored features to a calibrated, evaluated classifier."""

from __future__ import annotations

from spacer_tasks.training.base import Trainer, load_trainer
from spacer_tasks.training.labels import divided_labels, preprocess_labels
from spacer_tasks.training.metrics import Metrics
from spacer_tasks.training.run import TrainingProgress, TrainingResult, train
from spacer_tasks.training.splits import SplitMode

__all__ = [
    "Metrics",
    "SplitMode",
    "Trainer",
    "TrainingProgress",
    "TrainingResult",
    "divided_labels",
    "load_trainer",
    "preprocess_labels",
    "train",
]
