"""The cover of a whole survey and of its units."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from spacer_tasks.cover.confusion import FEW, Confusion, confusion_of
from spacer_tasks.cover.estimates import REPLICATES, Counts, LabelCover, cover_of
from spacer_tasks.data_classes.val_results import ValResults
from spacer_tasks.exceptions import InputError

#: the unit of all photos
WHOLE = "all photos"


@dataclass(frozen=True)
class UnitCover:
    """The cover of one unit: its labels, and groups of them where they were given.

    `by` says what kind of unit it is: survey, image, site, …
    """

    by: str
    name: str
    photos: int
    points: int
    labels: list[LabelCover]
    groups: list[LabelCover]


@dataclass(frozen=True)
class SurveyCover:
    """The whole survey first, then its units.

    Attributes
    ----------
    validation_points
        With which the classifier's errors were corrected; None where they were not.
    warnings
        What the numbers rest on and a reader should know, one line each.
    """

    units: list[UnitCover]
    replicates: int
    seed: int
    validation_points: int | None
    warnings: list[str] = field(default_factory=list)

    @property
    def whole(self) -> UnitCover:
        """All photos."""
        return self.units[0]


def survey_cover(
    photos: Mapping[str, Sequence[str]],
    by: str = "survey",
    unit_of: Mapping[str, str] | None = None,
    groups: Mapping[str, str] | None = None,
    results: ValResults | None = None,
    renamed: Mapping[str, str] | None = None,
    *,
    seed: int = 0,
    replicates: int = REPLICATES,
    on_unit: Callable[[str, int, int], None] = lambda name, done, total: None,
) -> SurveyCover:
    """Estimate the cover of labels in all photos and in each unit.

    Parameters
    ----------
    photos
        The label of each point, by photo; a photo without points is left out.
    by, unit_of
        What kind of units there are, and the unit of each photo; none for the survey alone.
    groups
        The group of each label. A label without one is a group by itself.
    results
        Validation results of the classifier that gave the labels, to correct for its errors.
    renamed
        New names for the labels of `results`; those of `photos` are as they are.
    seed, replicates
        Of the bootstrap. A unit's intervals do not depend on other units.
    on_unit
        Called before each unit.

    Raises
    ------
    InputError
        No photo has a point, or the results have no label of the survey.
    """
    photos = {name: labels for name, labels in photos.items() if labels}
    if not photos:
        raise InputError("no photo has a labelled point: there is no cover to estimate")
    labels = sorted({label for some in photos.values() for label in some})
    confusion = None if results is None else confusion_of(results, labels, renamed)
    units = {("survey", WHOLE): list(photos)}
    for name in photos if unit_of is not None else ():
        units.setdefault((by, (unit_of or {})[name]), []).append(name)
    warnings = [] if confusion is None else _warnings(confusion)
    single = [name for (_, name), some in units.items() if len(some) == 1]
    if single and by != "image":
        warnings.append(
            f"{', '.join(single[:5])}{' …' if len(single) > 5 else ''}: one photo only, so the"
            " interval has no spread between photos in it"
        )
    found = []
    for done, ((kind, name), names) in enumerate(units.items()):
        on_unit(name, done, len(units))
        some = {each: photos[each] for each in names}
        found.append(_unit(kind, name, some, labels, groups, confusion, seed, replicates))
    on_unit("", len(units), len(units))
    return SurveyCover(
        found,
        replicates,
        seed,
        None if results is None else len(results.gt),
        warnings,
    )


def _unit(
    by: str,
    name: str,
    photos: Mapping[str, Sequence[str]],
    survey_labels: list[str],
    groups: Mapping[str, str] | None,
    confusion: Confusion | None,
    seed: int,
    replicates: int,
) -> UnitCover:
    columns = confusion.labels if confusion else survey_labels
    index = {label: i for i, label in enumerate(columns)}
    points = np.zeros((len(photos), len(columns)), dtype=np.int64)
    for row, some in enumerate(photos.values()):
        np.add.at(points[row], [index[label] for label in some], 1)
    sums = {("label", label): [label] for label in columns}
    for label in columns if groups is not None else ():
        sums.setdefault(("group", (groups or {}).get(label, label)), []).append(label)
    keyed = {f"{kind}\n{each}": some for (kind, each), some in sums.items()}
    random = np.random.default_rng([seed, *f"{by}/{name}".encode()])
    covers = cover_of(Counts(columns, points), keyed, confusion, random, replicates)
    kinds: dict[str, list[LabelCover]] = {"label": [], "group": []}
    for cover in covers:
        kind, _, each = cover.name.partition("\n")
        kinds[kind].append(_named(cover, each))
    return UnitCover(by, name, len(photos), int(points.sum()), kinds["label"], kinds["group"])


def _named(cover: LabelCover, name: str) -> LabelCover:
    return LabelCover(**{**vars(cover), "name": name})


def _warnings(confusion: Confusion) -> list[str]:
    warnings = []
    if confusion.unknown:
        warnings.append(
            f"the validation set does not show how the classifier errs on"
            f" {', '.join(confusion.unknown)}: these points are taken as right"
        )
    if confusion.rough:
        warnings.append(
            f"fewer than {FEW} validation points are truly {', '.join(confusion.rough)}: how these"
            " are confused is only roughly known, and intervals may be too narrow"
        )
    return warnings
