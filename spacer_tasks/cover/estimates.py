"""Cover of one unit of a survey (all of it, a site, a photo), with intervals.

Photos are the sample: a bootstrap draws them with replacement, with the points that they have, so
that the sampling of points and the spread between photos are both in it. n - 1 of n photos are
drawn, which makes its variance that of the mean without bias (McCarthy and Snowden, "The bootstrap
and finite population sampling", Vital and Health Statistics 2(95), 1985); percentiles are widened
for few photos as Student's t is (Hesterberg, "What teachers should know about the bootstrap", The
American Statistician 69, 2015). Of fewer than ten photos there are too few different draws for
percentiles: there the interval is Student's t times the bootstrap's standard error. Each time, the
rows of the classifier's confusion matrix are drawn anew too.

Of one photo, only points can be drawn. No interval is narrower than Wilson's for as many points
that are drawn one by one (Wilson, "Probable inference", Journal of the American Statistical
Association 22, 1927): a label that was not seen is not proved absent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from spacer_tasks.cover.confusion import Confusion
from spacer_tasks.cover.correction import Shares, corrected

#: of intervals
CONFIDENCE = 0.95
REPLICATES = 1000
#: for the part of the error that is the classifier's, of which no percentile is needed
CLASSIFIER_REPLICATES = 200
#: photos from which on percentiles of the bootstrap are used
FOR_PERCENTILES = 10


@dataclass(frozen=True)
class Estimate:
    """A share of 1, its interval, and its standard error."""

    value: float
    low: float
    high: float
    se: float


@dataclass(frozen=True)
class LabelCover:
    """The cover of a label, or of a group of labels.

    Attributes
    ----------
    hits
        Points with the label.
    of_photos, of_points
        The mean of the photos' shares, and the share of all points.
    se_points
        The part of the standard error of `of_photos` that is the sampling of points inside photos.
    sd_photos
        How far photos differ in truth: the standard deviation of their shares, without the part
        that is the sampling of points. None for one photo.
    corrected_of_photos, corrected_of_points
        The same corrected for the classifier's errors, where these are known.
    se_classifier
        The part of the standard error of `corrected_of_photos` that is the size of the validation
        set.
    """

    name: str
    hits: int
    of_photos: Estimate
    of_points: Estimate
    se_points: float
    sd_photos: float | None
    corrected_of_photos: Estimate | None = None
    corrected_of_points: Estimate | None = None
    se_classifier: float | None = None


@dataclass(frozen=True)
class Counts:
    """Points of each photo by label: shape (photos, labels). Each photo has a point."""

    labels: list[str]
    points: NDArray[np.int64]


def cover_of(
    counts: Counts,
    sums: dict[str, list[str]],
    confusion: Confusion | None,
    random: np.random.Generator,
    replicates: int = REPLICATES,
) -> list[LabelCover]:
    """The cover of labels and of groups of them.

    Parameters
    ----------
    counts
        With the labels of `confusion`, where that is given.
    sums
        What cover is wanted of: names, and the labels whose cover each is the sum of.
    confusion
        The classifier's errors; None where labels are people's.
    """
    into = np.array(
        [[label in labels for labels in sums.values()] for label in counts.labels], dtype=float
    )
    drawn = _draws(counts.points, random, replicates)
    observed = _means(counts.points)
    sizes = counts.points.sum(axis=1)
    n, total = len(sizes), int(sizes.sum())
    of_photos, of_points = (
        _estimates(mean @ into, draw @ into, n, total)
        for mean, draw in zip(observed, drawn, strict=True)
    )
    fixed: list[list[Estimate]] | None = None
    se_classifier: NDArray[np.float64] | None = None
    if confusion is not None:
        fixed = []
        alike = bool((sizes == sizes[0]).all())
        rates = _rates(confusion, random, replicates)
        for mean, draw in zip(observed, drawn, strict=True):
            if fixed and alike:
                # both means are one
                fixed.append(fixed[0])
                continue
            value = corrected(mean[None], confusion.rates)[0]
            fixed.append(_estimates(value @ into, corrected(draw, rates) @ into, n, total))
        some = min(replicates, CLASSIFIER_REPLICATES)
        same = np.broadcast_to(observed[0], (some, len(counts.labels)))
        se_classifier = (corrected(same, rates[:some]) @ into).std(axis=0, ddof=1)
    shares = (counts.points / sizes[:, None]) @ into
    # inside a photo of m points, p (1 - p) / (m - 1) is without bias
    inside = shares * (1 - shares) / np.maximum(1, sizes - 1)[:, None]
    between = np.maximum(0, shares.var(axis=0, ddof=1) - inside.mean(axis=0)) if n > 1 else None
    return [
        LabelCover(
            name=name,
            hits=round(float((counts.points @ into)[:, i].sum())),
            of_photos=of_photos[i],
            of_points=of_points[i],
            se_points=float(np.sqrt(inside[:, i].sum()) / n),
            sd_photos=None if between is None else float(np.sqrt(between[i])),
            corrected_of_photos=None if fixed is None else fixed[0][i],
            corrected_of_points=None if fixed is None else fixed[1][i],
            se_classifier=None if se_classifier is None else float(se_classifier[i]),
        )
        for i, name in enumerate(sums)
    ]


def _means(points: NDArray[np.int64]) -> tuple[Shares, Shares]:
    """The mean of photos and the mean of points."""
    shares = points / points.sum(axis=1, keepdims=True)
    return shares.mean(axis=0), points.sum(axis=0) / points.sum()


def _draws(
    points: NDArray[np.int64], random: np.random.Generator, replicates: int
) -> tuple[Shares, Shares]:
    """Both means of each replicate, shape (replicates, labels) each."""
    n = len(points)
    if n == 1:
        total = int(points.sum())
        shares = random.multinomial(total, points[0] / total, size=replicates) / total
        return shares, shares
    weights = random.multinomial(n - 1, np.full(n, 1 / n), size=replicates)
    sizes = points.sum(axis=1)
    return weights @ (points / sizes[:, None]) / (n - 1), weights @ points / (weights @ sizes)[
        :, None
    ]


def _rates(confusion: Confusion, random: np.random.Generator, replicates: int) -> Shares:
    """Confusion matrices drawn row by row, shape (replicates, labels, labels)."""
    sizes = confusion.counts.sum(axis=1)
    rows = [
        random.multinomial(size, rates, size=replicates) / size
        for size, rates in zip(sizes.tolist(), confusion.rates, strict=True)
    ]
    return np.stack(rows, axis=1)


def _estimates(values: Shares, draws: Shares, photos: int, points: int) -> list[Estimate]:
    tail = (1 - CONFIDENCE) / 2
    spread = draws.std(axis=0, ddof=1)
    if 1 < photos < FOR_PERCENTILES:
        half = float(stats.t.ppf(1 - tail, photos - 1)) * spread
        lows, highs = values - half, values + half
    else:
        if photos > 1:
            tail = float(stats.norm.cdf(stats.t.ppf(tail, photos - 1)))
        lows, highs = np.quantile(draws, [tail, 1 - tail], axis=0)
    least_low, least_high = wilson(values, points)
    return [
        Estimate(float(value), max(0.0, float(low)), min(1.0, float(high)), float(se))
        for value, low, high, se in zip(
            values,
            np.minimum(lows, least_low),
            np.maximum(highs, least_high),
            spread,
            strict=True,
        )
    ]


def wilson(shares: Shares, count: int, confidence: float = CONFIDENCE) -> tuple[Shares, Shares]:
    """Wilson's interval of shares that were seen in so many independent trials."""
    z = float(stats.norm.ppf((1 + confidence) / 2))
    middle = (shares + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z * np.sqrt(shares * (1 - shares) / count + z**2 / (4 * count**2)) / (1 + z**2 / count)
    return middle - half, middle + half
