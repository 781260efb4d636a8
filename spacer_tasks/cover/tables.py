"""Cover as rows of a table, in percent."""

from __future__ import annotations

from collections.abc import Iterator

from spacer_tasks.cover.estimates import Estimate, LabelCover
from spacer_tasks.cover.survey import SurveyCover

Cell = str | int | float | None

#: digits after the point, of percent
DIGITS = 3
#: columns, with what each holds
COLUMNS = {
    "by": "what kind of unit: survey (all photos), image, folder, site, …",
    "unit": "the unit's name",
    "kind": "label, or group of labels",
    "name": "the label's or group's name",
    "photos": "photos in the unit",
    "points": "points in these photos",
    "hits": "points with the label",
    "photos_mean": "cover in percent: mean of the photos' covers",
    "photos_low": "lower end of its 95 % interval",
    "photos_high": "upper end of its 95 % interval",
    "photos_se": "its standard error",
    "points_mean": "cover in percent: share of all points",
    "points_low": "lower end of its 95 % interval",
    "points_high": "upper end of its 95 % interval",
    "se_points": "part of photos_se that is the sampling of points inside photos (binomial)",
    "sd_photos": "how far photos differ: standard deviation without the sampling of points",
    "corrected_photos_mean": "photos_mean corrected for the classifier's errors",
    "corrected_photos_low": "lower end of its 95 % interval",
    "corrected_photos_high": "upper end of its 95 % interval",
    "corrected_photos_se": "its standard error",
    "corrected_points_mean": "points_mean corrected for the classifier's errors",
    "corrected_points_low": "lower end of its 95 % interval",
    "corrected_points_high": "upper end of its 95 % interval",
    "se_classifier": "part of corrected_photos_se that is the size of the validation set",
}


def cover_rows(cover: SurveyCover) -> Iterator[list[Cell]]:
    """A row for each unit's groups and labels, with the columns of `COLUMNS`."""
    for unit in cover.units:
        for kind, some in (("group", unit.groups), ("label", unit.labels)):
            for each in some:
                about: list[Cell] = [unit.by, unit.name, kind, each.name, unit.photos, unit.points]
                yield [*about, *_numbers(each)]


def wide_rows(cover: SurveyCover) -> Iterator[list[Cell]]:
    """A row for each unit with the cover of each group (or label, without groups): the mean of
    photos, corrected where the classifier's errors are known. The first row has the names.
    """
    first = cover.whole.groups or cover.whole.labels
    yield ["by", "unit", "photos", "points", *(each.name for each in first)]
    for unit in cover.units:
        shown = (each.corrected_of_photos or each.of_photos for each in unit.groups or unit.labels)
        means = (percent(each.value) for each in shown)
        yield [unit.by, unit.name, unit.photos, unit.points, *means]


def percent(share: float) -> float:
    """A share of 1 in percent, rounded."""
    return round(100 * share, DIGITS)


def _numbers(cover: LabelCover) -> list[Cell]:
    return [
        cover.hits,
        *_cells(cover.of_photos),
        *_cells(cover.of_points)[:3],
        percent(cover.se_points),
        None if cover.sd_photos is None else percent(cover.sd_photos),
        *_cells(cover.corrected_of_photos),
        *_cells(cover.corrected_of_points)[:3],
        None if cover.se_classifier is None else percent(cover.se_classifier),
    ]


def _cells(estimate: Estimate | None) -> list[Cell]:
    if estimate is None:
        return [None] * 4
    return [percent(each) for each in (estimate.value, estimate.low, estimate.high, estimate.se)]
