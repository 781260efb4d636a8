"""How a classifier confuses labels, as its validation set shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spacer_tasks.data_classes.val_results import ValResults
from spacer_tasks.exceptions import InputError

#: validation points of a label below which its row of the matrix is told to be rough
FEW = 20


@dataclass(frozen=True)
class Confusion:
    """Validation points by true label (row) and predicted label (column).

    Attributes
    ----------
    labels
        Of rows and columns: those of the survey, and those that validation points truly have.
    counts
        Points; a row whose label's errors are not known has a single 1, in the diagonal.
    unknown
        Labels of the survey whose errors the validation set does not show: taken as never wrong.
    rough
        Labels of the survey that fewer than `FEW` validation points truly have.
    """

    labels: list[str]
    counts: NDArray[np.int64]
    unknown: list[str]
    rough: list[str]

    @property
    def rates(self) -> NDArray[np.float64]:
        """P(predicted j | truly i); each row adds up to 1."""
        rates: NDArray[np.float64] = self.counts / self.counts.sum(axis=1, keepdims=True)
        return rates


def confusion_of(
    results: ValResults, survey: Sequence[str], renamed: Mapping[str, str] | None = None
) -> Confusion:
    """The confusion of a classifier's labels.

    Parameters
    ----------
    results
        Of the classifier that predicted the survey's labels.
    survey
        Labels that occur in the survey.
    renamed
        New names of labels; validation points of labels that get one name are taken together.

    Raises
    ------
    InputError
        No validation point has a label of the survey.
    """
    names = [(renamed or {}).get(str(label), str(label)) for label in results.classes]
    truths = {names[i] for i in results.gt}
    answers = {names[i] for i in results.est}
    if not truths & set(survey):
        raise InputError(
            f"no validation point has a label of the survey: it has {_some(survey)}, the validation"
            f" set {_some(sorted(truths)) or 'no points'}; is it of the classifier that predicted?"
        )
    labels = sorted({*survey, *truths, *answers})
    index = {label: i for i, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)), dtype=np.int64)
    np.add.at(
        counts,
        ([index[names[i]] for i in results.gt], [index[names[i]] for i in results.est]),
        1,
    )
    unknown = [label for label in survey if label not in truths or label not in answers]
    for label in labels:
        row = index[label]
        if label in unknown or not counts[row].any():
            counts[row] = 0
            counts[row, row] = 1
    rough = [label for label in survey if label not in unknown and counts[index[label]].sum() < FEW]
    return Confusion(labels, counts, sorted(unknown), sorted(rough))


def _some(labels: Iterable[str]) -> str:
    shown = list(labels)
    return ", ".join(map(repr, shown[:5])) + (" …" if len(shown) > 5 else "")
