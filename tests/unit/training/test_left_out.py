"""Labels that a training does not learn are told; our own split keeps what it can."""

from __future__ import annotations

import random

import pytest

from spacer_tasks.data_classes.labels import Annotation, ImageLabels
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.training import SplitMode, divided_labels
from spacer_tasks.training.labels import learned_sets, left_out_of
from spacer_tasks.training.whole_labels import photos_in_several_sets

RARE = [f"rare{n}" for n in range(5)]


def survey(rare_points: int) -> ImageLabels:
    """Thirty photos of ten points, most of them sand or turf, with five rare labels."""
    chosen = random.Random(4)
    photos: dict[DataLocation, list[Annotation]] = {
        DataLocation(storage_type="memory", key=f"{n}"): [
            (row, n, chosen.choice(["sand", "turf"])) for row in range(10)
        ]
        for n in range(30)
    }
    for label in RARE:
        for key in chosen.sample(list(photos), rare_points):
            row, column, _ = photos[key][0]
            photos[key][0] = (row, column, label)
            photos[key].append(photos[key].pop(0))
    return ImageLabels.model_construct(photos)


@pytest.mark.parametrize("rare_points", [3, 4, 6])
def test_the_split_by_labels_loses_no_label_of_three_points_or_more(rare_points: int) -> None:
    labels = survey(rare_points)
    counts = labels.class_counts()
    sets = divided_labels(labels, None, (0.1, 0.1), SplitMode.LABELS)
    assert left_out_of(sets) is None
    for some in learned_sets(sets).sets().values():
        assert some.classes == set(counts)
    # where it can, a photo stays in one set
    assert photos_in_several_sets(sets) <= 3 * len(RARE)


def test_what_the_reference_s_split_loses_is_told_with_numbers_and_reasons() -> None:
    labels = survey(2)
    sets = divided_labels(labels, None, (0.1, 0.1), SplitMode.VECTORS)
    left_out = left_out_of(sets)
    assert left_out is not None
    learned = learned_sets(sets)
    kept = sum(some.label_count for some in learned.sets().values())
    assert left_out.point_count == labels.label_count - kept
    assert left_out.point_share == pytest.approx(kept / labels.label_count)
    lost = {each.label for each in left_out.labels}
    assert lost == labels.classes - learned.train.classes
    assert all("none in" in each.reason for each in left_out.labels)
    assert "--split-mode labels" in left_out.advice()


def test_nothing_left_out_is_nothing_told() -> None:
    sets = divided_labels(survey(0), None, (0.1, 0.1), SplitMode.VECTORS)
    assert left_out_of(sets) is None
