"""Labels are filtered and checked before anything is read."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from spacer_tasks.data_classes.labels import ImageLabels, LabelId
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import TrainingLabelsError
from spacer_tasks.messages.tasks import TrainingTaskLabels
from spacer_tasks.training import SplitMode, preprocess_labels


def image(name: str, labels: Sequence[LabelId]) -> ImageLabels:
    loc = DataLocation(storage_type="memory", key=name)
    return ImageLabels({loc: [(row, 0, label) for row, label in enumerate(labels)]})


def three(train: list[LabelId], ref: list[LabelId], val: list[LabelId]) -> TrainingTaskLabels:
    return TrainingTaskLabels(train=image("a", train), ref=image("b", ref), val=image("c", val))


def test_a_class_missing_from_train_or_ref_is_dropped_everywhere() -> None:
    given = three([1, 2, 3], [1, 2, 4], [1, 2, 3, 4, 5])
    kept = preprocess_labels(given)
    assert kept.train.classes == kept.ref.classes == kept.val.classes == {1, 2}
    assert kept.label_count == 6
    assert given.label_count == 11, "what was given must not change"


def test_val_may_lack_a_class() -> None:
    assert preprocess_labels(three([1, 2], [1, 2], [2])).val.label_count == 1


def test_only_accepted_classes_are_kept() -> None:
    kept = preprocess_labels(three([1, 2, 3], [1, 2, 3], [1, 2, 3]), accepted_classes={1, 3, 9})
    assert kept.train.classes == {1, 3}


def test_accepted_classes_are_kept_before_the_split() -> None:
    labels = ImageLabels({})
    for name in range(50):
        labels.root.update(image(str(name), [1, 2, 3, 3]).root)
    sets = preprocess_labels(labels, {1, 2}, (0.1, 0.2), SplitMode.POINTS)
    assert (sets.train.label_count, sets.ref.label_count, sets.val.label_count) == (70, 10, 20)


def test_classes_too_rare_to_stratify_are_dropped() -> None:
    labels = image("a", [1] * 20 + [2] * 20 + [3] * 2)
    sets = preprocess_labels(labels, None, (0.2, 0.2), SplitMode.POINTS_STRATIFIED)
    assert sets.train.classes == {1, 2}
    assert sets.label_count == 40


@pytest.mark.parametrize(
    ("train", "ref", "there_is"),
    [
        ([1, 1], [1], "is 1"),
        ([1, 2], [1, 3], "is 1"),
        ([1, 2], [3, 4], "are 0"),
        ([], [], "are 0"),
    ],
)
def test_fewer_than_two_learnable_classes_are_refused(
    train: list[LabelId], ref: list[LabelId], there_is: str
) -> None:
    with pytest.raises(TrainingLabelsError, match=f"two classes or more.*there {there_is}"):
        preprocess_labels(three(train, ref, [1]))


@pytest.mark.parametrize("val", [[], [3, 4]])
def test_a_set_left_empty_is_refused_by_name(val: list[LabelId]) -> None:
    with pytest.raises(TrainingLabelsError, match="the val set is empty"):
        preprocess_labels(three([1, 2], [1, 2], val))


@pytest.mark.parametrize("labels", [three([1, 2], [1, 2], ["2"]), image("a", [1, "1"] * 20)])
def test_integer_and_text_labels_together_are_refused(
    labels: ImageLabels | TrainingTaskLabels,
) -> None:
    with pytest.raises(
        TrainingLabelsError, match=r"all integers or all texts; found [12] and '[12]'"
    ):
        preprocess_labels(labels)


def test_a_point_labelled_twice_is_accepted_as_by_the_reference() -> None:
    loc = DataLocation(storage_type="memory", key="a")
    twice = ImageLabels({loc: [(0, 0, 1), (0, 0, 2)]})
    sets = TrainingTaskLabels(train=twice, ref=twice, val=twice)
    assert preprocess_labels(sets) == sets


def with_an_image_without_points(labels: ImageLabels) -> ImageLabels:
    loc = DataLocation(storage_type="memory", key="nobody looked at it")
    return ImageLabels({loc: [], **labels.root})


def test_an_image_without_points_stays_where_nothing_is_filtered_and_goes_where_something_is() -> (
    None
):
    sets = three([1, 2, 3], [1, 2], [2])
    kept = preprocess_labels(
        TrainingTaskLabels(**{k: with_an_image_without_points(v) for k, v in sets.sets().items()})
    )
    assert [len(some) for some in kept.sets().values()] == [1, 2, 2]
