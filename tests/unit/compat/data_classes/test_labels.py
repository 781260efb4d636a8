"""Labels, and the batches of vectors that a training goes through."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from spacer_tasks.compat.data_classes import (
    DataLocation,
    ImageFeatures,
    ImageLabels,
    PointFeatures,
)
from spacer_tasks.compat.exceptions import RowColumnMismatchError, RowColumnMissingError
from spacer_tasks.storage.memory import MEMORY


@pytest.fixture(autouse=True)
def _memory() -> Iterator[None]:
    yield
    MEMORY.clear()


def labels_of(*counts: int) -> ImageLabels:
    """Images of so many points, each vector [image, point]."""
    labels = ImageLabels()
    for image, count in enumerate(counts):
        place = DataLocation("memory", f"image {image}")
        points = [PointFeatures(row, 0, [image, row]) for row in range(max(count, 1))]
        ImageFeatures(points, True, 2, len(points)).store(place)
        labels.add_image(place, [(row, 0, image) for row in range(count)])
    return labels


def read(labels: ImageLabels, size: int | None, seed: int | None = None) -> list[list[list[float]]]:
    batches = []
    for vectors, targets in labels.load_data_in_batches(size, seed):
        batches.append([vector.tolist() for vector in vectors])
        assert list(targets) == [int(vector[0]) for vector in batches[-1]]
    return batches


def test_batches_go_on_from_image_to_image() -> None:
    labels = labels_of(2, 3, 1)
    flat = [[0, 0], [0, 1], [1, 0], [1, 1], [1, 2], [2, 0]]
    assert read(labels, 4) == [flat[:4], flat[4:]]
    assert read(labels, 6) == read(labels, None) == read(labels, 0) == [flat]
    vectors, targets = labels.load_all_data()
    assert [each.tolist() for each in vectors] == flat
    assert targets == (0, 0, 1, 1, 1, 2)


def test_a_seed_shuffles_images_as_numpy_s_global_generator_does() -> None:
    labels = labels_of(1, 1, 0, 1, 1)
    order = list(range(5))
    np.random.seed(7)
    np.random.shuffle(order)
    after = np.random.random()
    # the image without points has a place in the order, and nothing in the batch
    expected = [[[image, 0] for image in order if image != 2]]
    np.random.seed(1)
    assert read(labels, None, 7) == expected
    # where a trainer of one's own goes on drawing
    assert np.random.random() == after


def test_what_does_not_fit_names_its_file() -> None:
    labels = labels_of(2)
    labels.add_image(DataLocation("memory", "image 0"), [(9, 9, 0)])
    with pytest.raises(RowColumnMismatchError, match=r"^image 0: .*\(9, 9\)"):
        labels.load_all_data()
    MEMORY.store("image 0", b"[[1, 2]]")
    with pytest.raises(RowColumnMissingError, match=r"^image 0: Features without rowcols"):
        labels.load_all_data()
    MEMORY.delete("image 0")
    with pytest.raises(KeyError, match="image 0"):
        labels.load_all_data()


def test_counts_and_filters() -> None:
    labels = labels_of(2, 3)
    assert labels.label_count_per_class == {0: 2, 1: 3}
    assert (labels.label_count, labels.classes_set, len(labels)) == (5, {0, 1}, 2)
    assert not labels_of(2).has_remote_data
    labels.add_image(DataLocation("url", "https://x.org/a"), [])
    assert labels.has_remote_data
    kept = labels.filter_classes({1})
    assert [place.key for place in kept.keys()] == ["image 1"]  # noqa: SIM118 -- no dict
    assert ImageLabels.deserialize(labels.serialize()) == labels
    assert ImageLabels.of_ours(kept.ours()).serialize() == kept.serialize()


@pytest.mark.parametrize("other", [None, 5, "labels", object()])
def test_a_data_class_is_no_other_thing(other: object) -> None:
    for some in (DataLocation("memory", "a"), PointFeatures(1, 2, [0.5]), labels_of(1)):
        assert some != other
