"""The curves of a report: how far a confidence can be trusted, and what it is good for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: bins of the calibration curve; the ECE in the text has its own, narrower ones
CALIBRATION_BINS = 10
#: points of a drawn curve; more cannot be told apart
CURVE_POINTS = 160


@dataclass(frozen=True)
class CalibrationBin:
    """Points whose confidence lies in one range: what was promised, and what came true."""

    confidence: float
    accuracy: float
    count: int


def calibration_curve(
    scores: NDArray[np.float64], correct: NDArray[np.bool_]
) -> list[CalibrationBin]:
    """Mean confidence and accuracy for each range of confidence that has points."""
    which = np.minimum((scores * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    return [
        CalibrationBin(float(scores[chosen].mean()), float(correct[chosen].mean()), chosen.sum())
        for chosen in (which == each for each in range(CALIBRATION_BINS))
        if chosen.any()
    ]


@dataclass(frozen=True)
class Threshold:
    """What a machine does that answers where its confidence is at least `confidence`.

    Attributes
    ----------
    share
        Of all points, those that it answers.
    accuracy
        Of those, the right ones.
    """

    confidence: float
    share: float
    accuracy: float


def thresholds(scores: NDArray[np.float64], correct: NDArray[np.bool_]) -> list[Threshold]:
    """Every threshold that makes a difference, from the highest confidence to the lowest."""
    order = np.argsort(-scores, kind="stable")
    ordered, hits = scores[order], np.cumsum(correct[order])
    # points of equal confidence are answered together
    ends = np.flatnonzero(np.append(np.diff(ordered) != 0, True))
    return [
        Threshold(float(ordered[end]), (end + 1) / len(scores), float(hits[end] / (end + 1)))
        for end in ends.tolist()
    ]


def thinned(curve: list[Threshold]) -> list[Threshold]:
    """At most about `CURVE_POINTS` of a curve, its ends among them."""
    step = -(-len(curve) // CURVE_POINTS)
    return [*curve[:-1:step], curve[-1]]


def takes_over(curve: list[Threshold], wanted: float) -> Threshold | None:
    """The threshold at which most points are answered and at least `wanted` of them rightly."""
    enough = [each for each in curve if each.accuracy >= wanted]
    return max(enough, key=lambda each: each.share, default=None)
