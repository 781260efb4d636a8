"""How much the machine can take over at a wanted correctness, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spacer_tasks.cover.estimates import wilson
from spacer_tasks.data_classes.val_results import ValResults
from spacer_tasks.exceptions import InputError
from spacer_tasks.report.curves import takes_over, thresholds


@dataclass(frozen=True)
class TakeOver:
    """A threshold, and what the validation set says of it.

    Attributes
    ----------
    confidence
        The machine answers where it is at least this sure.
    share, correct
        Of the points, those that it answers; of these, the right ones. Each with Wilson's 95 %
        interval.
    """

    confidence: float
    share: float
    share_interval: tuple[float, float]
    correct: float
    correct_interval: tuple[float, float]
    answered: int
    points: int


def take_over(results: ValResults, wanted: float) -> TakeOver:
    """The threshold at which most points are answered and `wanted` of the answers are right.

    Raises
    ------
    InputError
        There is no validation point, or no threshold at which so many answers are right.
    """
    if not results.gt:
        raise InputError("validation results without a point: nothing to read a threshold from")
    correct = np.asarray(results.gt) == np.asarray(results.est)
    curve = thresholds(np.asarray(results.scores, dtype=np.float64), correct)
    found = takes_over(curve, wanted)
    if found is None:
        best = max(each.accuracy for each in curve)
        raise InputError(
            f"at no threshold are {wanted:.1%} of the validation points right that the machine"
            f" answers; at best {best:.1%}"
        )
    points = len(results.gt)
    answered = round(found.share * points)
    return TakeOver(
        found.confidence,
        found.share,
        _interval(found.share, points),
        found.accuracy,
        _interval(found.accuracy, answered),
        answered,
        points,
    )


def _interval(share: float, count: int) -> tuple[float, float]:
    low, high = wilson(np.array([share]), count)
    return max(0.0, float(low[0])), min(1.0, float(high[0]))
