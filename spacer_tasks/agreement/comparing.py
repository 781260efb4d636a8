"""Two files of labelled points compared: agreement, Cohen's kappa, and where they differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import cohen_kappa_score

from spacer_tasks.exceptions import InputError

#: labels by photo and (row, column)
Labels = Mapping[str, Mapping[tuple[int, int], str]]

#: photos are drawn so often for intervals
REPLICATES = 1000
#: of intervals
CONFIDENCE = 0.95


@dataclass(frozen=True)
class LabelAgreement:
    """A label: points that have it in the first file, in the second, and in both."""

    label: str
    first: int
    second: int
    both: int


@dataclass(frozen=True)
class PhotoAgreement:
    """A photo: points that are in both files, and those with the same label."""

    name: str
    points: int
    same: int


@dataclass(frozen=True)
class Share:
    """A number and its interval, which is None where there is one photo only."""

    value: float
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Agreement:
    """What a comparison came to.

    Attributes
    ----------
    agreement
        The share of common points with the same label.
    kappa
        Cohen's kappa; None where both files give every point the same one label, as chance alone
        would agree then.
    labels
        In order of their names; `confusion[i][j]` counts the points that the first file calls i
        and the second j.
    photos
        Those with common points, the photos that differ most first.
    only_first, only_second
        Points that only one file has, by photo.
    """

    agreement: Share
    kappa: Share | None
    points: int
    labels: list[LabelAgreement]
    confusion: list[list[int]]
    photos: list[PhotoAgreement]
    only_first: dict[str, int]
    only_second: dict[str, int]


def compare(first: Labels, second: Labels, seed: int = 0) -> Agreement:
    """Compare the labels of the points that both have.

    Intervals (95 %) are percentiles of a bootstrap that draws photos.

    Raises
    ------
    InputError
        They have no point in common.
    """
    common = {
        name: sorted(first[name].keys() & second[name].keys()) for name in first if name in second
    }
    common = {name: points for name, points in common.items() if points}
    if not common:
        raise InputError(_nothing_in_common(first, second))
    names = sorted(
        {some[name][point] for some in (first, second) for name in common for point in common[name]}
    )
    index = {label: i for i, label in enumerate(names)}
    tables = np.zeros((len(common), len(names), len(names)), dtype=np.int64)
    for photo, (name, points) in enumerate(common.items()):
        for point in points:
            tables[photo, index[first[name][point]], index[second[name][point]]] += 1
    table = tables.sum(axis=0)
    truth = [index[first[name][point]] for name in common for point in common[name]]
    other = [index[second[name][point]] for name in common for point in common[name]]
    kappa = float(cohen_kappa_score(truth, other)) if len({*truth, *other}) > 1 else None
    agreements, kappas = _drawn(tables, seed)
    total = int(table.sum())
    photos = [
        PhotoAgreement(name, int(each.sum()), int(np.trace(each)))
        for name, each in zip(common, tables, strict=True)
    ]
    return Agreement(
        Share(float(np.trace(table) / total), _interval(agreements, len(common))),
        None if kappa is None else Share(kappa, _interval(kappas, len(common))),
        total,
        [
            LabelAgreement(label, int(table[i].sum()), int(table[:, i].sum()), int(table[i, i]))
            for i, label in enumerate(names)
        ],
        table.tolist(),
        sorted(photos, key=lambda each: (each.same / each.points, -each.points)),
        _only(first, second),
        _only(second, first),
    )


def _drawn(tables: NDArray[np.int64], seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Agreement and kappa of photos drawn with replacement."""
    n = len(tables)
    weights = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=REPLICATES)
    totals = weights @ tables.sum(axis=(1, 2))
    same = weights @ np.trace(tables, axis1=1, axis2=2) / totals
    first = weights @ tables.sum(axis=2) / totals[:, None]
    second = weights @ tables.sum(axis=1) / totals[:, None]
    by_chance = (first * second).sum(axis=1)
    kappas = np.divide(
        same - by_chance, 1 - by_chance, out=np.full(REPLICATES, np.nan), where=by_chance < 1
    )
    return same, kappas


def _interval(draws: NDArray[np.float64], photos: int) -> tuple[float, float] | None:
    known = draws[np.isfinite(draws)]
    if photos < 2 or not len(known):
        return None
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return float(low), float(high)


def _only(some: Labels, other: Labels) -> dict[str, int]:
    """Points that only the first has, by photo."""
    missing = {
        name: len(points.keys() - other.get(name, {}).keys()) for name, points in some.items()
    }
    return {name: count for name, count in missing.items() if count}


def _nothing_in_common(first: Labels, second: Labels) -> str:
    photos = [name for name in first if name in second]
    if photos:
        name = photos[0]
        points = [next(iter(some[name]), None) for some in (first, second)]
        return (
            f"the files have {len(photos)} photos in common, but no point: of {name}, the first"
            f" file has a point at {points[0]} (row, column), the second at {points[1]}"
        )
    names = [next(iter(some), "no photo") for some in (first, second)]
    return (
        f"the files have no photo in common: the first has {names[0]!r}, the second {names[1]!r};"
        " names must be the same, with their folders"
    )
