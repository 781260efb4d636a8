"""Numbers that say how good a classifier is, from its validation results."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

from spacer_tasks.data_classes.labels import LabelId
from spacer_tasks.data_classes.left_out import LeftOut
from spacer_tasks.data_classes.val_results import ValResults
from spacer_tasks.exceptions import TrainingLabelsError

#: bins of the expected calibration error, as in Guo et al. 2017
CALIBRATION_BINS = 15


class ClassMetrics(BaseModel):
    """One class. `support` is how many validation points truly have the label.

    A share of nothing (no point predicted, or none that truly has the label) is 0.
    """

    model_config = ConfigDict(extra="forbid")

    label: LabelId
    precision: float
    recall: float
    f1: float
    support: int


class Metrics(BaseModel):
    """The metrics JSON. Shares are of 1.

    `balanced_accuracy` is the mean recall of the classes that occur in the validation set.
    `confusion_matrix[i][j]` counts the points that are truly of class i and were called j.
    """

    model_config = ConfigDict(extra="forbid")

    accuracy: float
    balanced_accuracy: float
    expected_calibration_error: float
    point_count: int
    classes: list[LabelId]
    per_class: list[ClassMetrics]
    confusion_matrix: list[list[int]]
    #: labels that were given and not learned: the figures do not speak of them
    left_out: LeftOut | None = None

    @classmethod
    def from_val_results(cls, val: ValResults) -> Metrics:
        """The metrics of validation results.

        Raises
        ------
        TrainingLabelsError
            There is no validation point.
        """
        if not val.gt:
            raise TrainingLabelsError("validation results without a point: nothing to measure")
        gt, est = np.asarray(val.gt), np.asarray(val.est)
        labels = np.arange(len(val.classes))
        precision, recall, f1, support = precision_recall_fscore_support(
            gt, est, labels=labels, zero_division=0
        )
        return cls(
            accuracy=float(accuracy_score(gt, est)),
            balanced_accuracy=float(recall[support > 0].mean()),
            expected_calibration_error=expected_calibration_error(
                np.asarray(val.scores), gt == est
            ),
            point_count=len(gt),
            classes=val.classes,
            per_class=[
                ClassMetrics(
                    label=label,
                    precision=float(precision[i]),
                    recall=float(recall[i]),
                    f1=float(f1[i]),
                    support=int(support[i]),
                )
                for i, label in enumerate(val.classes)
            ],
            confusion_matrix=confusion_matrix(gt, est, labels=labels).tolist(),
        )


def expected_calibration_error(
    scores: NDArray[np.float64], correct: NDArray[np.bool_], bins: int = CALIBRATION_BINS
) -> float:
    """The mean distance between what a classifier promises and what it keeps, from 0 to 1.

    ECE = sum over bins m of |B_m| / n * |acc(B_m) - conf(B_m)|, where B_m holds the points whose
    score lies in ((m - 1) / M, m / M], acc is their share of correct answers and conf their mean
    score. Source: Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks",
    ICML 2017, equation 3.

    Parameters
    ----------
    scores
        Probability of the predicted class, shape (points,); a 0 belongs to the first bin.
    correct
        Whether the predicted class is the true one, shape (points,).
    bins
        M, the number of bins of equal width.
    """
    edges = np.linspace(0, 1, bins + 1)
    which = np.clip(np.searchsorted(edges, scores, side="left") - 1, 0, bins - 1)
    promised = np.bincount(which, weights=scores, minlength=bins)
    kept = np.bincount(which, weights=correct.astype(np.float64), minlength=bins)
    # |B_m| * |acc - conf| is the distance of the sums: no bin is divided by its size
    return float(np.abs(kept - promised).sum() / len(scores))
