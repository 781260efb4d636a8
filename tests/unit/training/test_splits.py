"""Labels are divided as the reference divides them, and the same way each time."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest

from spacer_tasks.data_classes.labels import ImageLabels
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import TrainingLabelsError
from spacer_tasks.messages.parsing import parse
from spacer_tasks.messages.tasks import TrainClassifierMsg
from spacer_tasks.training import SplitMode, preprocess_labels
from spacer_tasks.training.splits import split_labels
from tests.support.checkout import FIXTURES_FOLDER

FIXTURES = FIXTURES_FOLDER / "pyspacer"


def fixture_labels(kind: str) -> ImageLabels:
    """All labels of the reference's message, images in the order of their keys."""
    msg = parse(TrainClassifierMsg, (FIXTURES / f"{kind}_mlp.train_msg.json").read_text())
    images = {loc: some[loc] for some in msg.labels.sets().values() for loc in some.root}
    return ImageLabels(dict(sorted(images.items(), key=lambda item: item[0].key)))


def many_labels(images: int, points: int, classes: int = 3) -> ImageLabels:
    return ImageLabels(
        {
            DataLocation(storage_type="memory", key=str(image)): [
                (point, image, (image + point) % classes) for point in range(points)
            ]
            for image in range(images)
        }
    )


@pytest.mark.parametrize("mode", [each for each in SplitMode if each is not SplitMode.LABELS])
@pytest.mark.parametrize("kind", ["int", "str"])
def test_a_split_is_the_reference_s(kind: str, mode: SplitMode) -> None:
    expected = json.loads((FIXTURES / f"{kind}_splits.json").read_text())[mode.value]
    sets = preprocess_labels(fixture_labels(kind), split_ratios=(0.2, 0.2), split_mode=mode).sets()
    found: dict[str, Any] = {
        name: {loc.key: sorted(map(list, some[loc])) for loc in some.root}
        for name, some in sets.items()
    }
    assert found == expected
    # batches follow the order of images, so that must agree as well
    assert {name: list(some) for name, some in found.items()} == {
        name: list(some) for name, some in expected.items()
    }


@pytest.mark.parametrize("mode", list(SplitMode))
def test_a_split_neither_uses_nor_changes_the_global_generators(mode: SplitMode) -> None:
    labels = many_labels(images=20, points=10)
    random.seed(123)
    np.random.seed(123)
    first = split_labels(labels, (0.2, 0.2), mode, max_ref=5000)
    drawn = random.random(), np.random.random()
    random.seed(123)
    np.random.seed(123)
    assert drawn == (random.random(), np.random.random())
    assert split_labels(labels, (0.2, 0.2), mode, max_ref=5000) == first


@pytest.mark.parametrize("mode", list(SplitMode))
def test_every_label_lands_in_exactly_one_set(mode: SplitMode) -> None:
    labels = many_labels(images=20, points=10)
    sets = split_labels(labels, (0.1, 0.3), mode, max_ref=5000)
    landed = [point for some in sets.sets().values() for point in some.annotations()]
    assert sorted(landed) == sorted(labels.annotations())
    assert sets.ref.label_count == 20
    assert sets.val.label_count == 60


def test_images_stay_whole_in_the_mode_vectors() -> None:
    labels = many_labels(images=10, points=7)
    sets = split_labels(labels, (0.1, 0.1), SplitMode.VECTORS, max_ref=5000)
    for some in sets.sets().values():
        for loc in some.root:
            assert some[loc] == labels[loc]


def test_ref_is_capped() -> None:
    labels = many_labels(images=20, points=10)
    sets = split_labels(labels, (0.5, 0.1), SplitMode.POINTS, max_ref=30)
    assert sets.ref.label_count == 30
    assert sets.train.label_count == 150


def test_stratified_sets_have_each_class_in_proportion() -> None:
    labels = many_labels(images=20, points=9)
    sets = split_labels(labels, (0.2, 0.2), SplitMode.POINTS_STRATIFIED, max_ref=5000)
    assert sets.ref.class_counts() == {0: 12, 1: 12, 2: 12}


@pytest.mark.parametrize("mode", list(SplitMode))
def test_too_few_labels_for_three_sets_are_refused_with_the_numbers(mode: SplitMode) -> None:
    with pytest.raises(TrainingLabelsError, match="4 train, 0 ref, 0 val"):
        split_labels(many_labels(images=2, points=2), (0.1, 0.1), mode, max_ref=5000)


def test_stratified_sets_need_a_label_for_each_class() -> None:
    labels = many_labels(images=10, points=5, classes=10)
    with pytest.raises(TrainingLabelsError, match="as many labels as there are classes, 10"):
        split_labels(labels, (0.1, 0.1), SplitMode.POINTS_STRATIFIED, max_ref=5000)


def test_a_class_that_val_leaves_one_point_of_is_a_labels_error() -> None:
    labels = ImageLabels(
        {DataLocation(storage_type="memory", key="a"): [(i, 0, int(i < 3)) for i in range(10)]}
    )
    with pytest.raises(TrainingLabelsError, match="cannot be split"):
        split_labels(labels, (0.2, 0.6), SplitMode.POINTS_STRATIFIED, max_ref=5000)


@pytest.mark.parametrize("ratios", [(-0.1, 0.1), (0.1, float("nan")), (0.6, 1.2)])
def test_ratios_outside_0_to_1_are_refused(ratios: tuple[float, float]) -> None:
    with pytest.raises(TrainingLabelsError, match="from 0 to 1"):
        split_labels(many_labels(10, 10), ratios, SplitMode.POINTS, max_ref=5000)
