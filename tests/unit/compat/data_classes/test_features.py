"""Feature vectors point by point, as the reference's users hold them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from spacer_tasks.compat.data_classes import DataLocation, ImageFeatures, PointFeatures
from spacer_tasks.compat.exceptions import RowColumnMismatchError, RowColumnMissingError
from spacer_tasks.data_classes import features as ours
from tests.support.checkout import FIXTURES_FOLDER

STORED = FIXTURES_FOLDER / "pyspacer" / "features_int"


def features(*vectors: list[float]) -> ImageFeatures:
    points = [PointFeatures(row, row + 1, vector) for row, vector in enumerate(vectors)]
    return ImageFeatures(points, True, len(vectors[0]), len(points))


def test_files_of_the_reference_are_read_number_for_number() -> None:
    path = next(STORED.glob("*.featurevector"))
    found = ImageFeatures.load(DataLocation("filesystem", str(path)))
    with np.load(path) as raw:
        assert [(each.row, each.col) for each in found.point_features] == list(
            zip(raw["rows"].tolist(), raw["cols"].tolist(), strict=True)
        )
        np.testing.assert_array_equal([each.data for each in found.point_features], raw["feat"])


@pytest.mark.parametrize("number", [0.1, 1e300, 70_000.5])
def test_what_is_stored_comes_back_number_for_number(number: float, tmp_path: Path) -> None:
    place = DataLocation("filesystem", str(tmp_path / "f"))
    given = features([number, 2.0], [3.0, 4.0])
    given.store(place)
    found = ImageFeatures.load(place)
    assert found == given
    assert found[(0, 1)].tolist() == [number, 2.0]
    # and by this project
    read = ours.ImageFeatures.from_bytes((tmp_path / "f").read_bytes(), "f")
    assert read.rowcols() == [(0, 1), (1, 2)]


def test_numbers_of_a_network_take_half_the_room(tmp_path: Path) -> None:
    place = DataLocation("filesystem", str(tmp_path / "f"))
    features([0.5, 0.25]).store(place)
    with np.load(tmp_path / "f") as raw:
        assert raw["feat"].dtype == np.float32


def test_features_without_points_are_read_and_told_apart(tmp_path: Path) -> None:
    (tmp_path / "old").write_text(json.dumps([[1.1, 2], [3, 4]]))
    found = ImageFeatures.load(DataLocation("filesystem", str(tmp_path / "old")))
    assert (found.valid_rowcol, found.npoints, found.feature_dim) == (False, 2, 2)
    assert found.point_features[0].data.tolist() == [1.1, 2]
    with pytest.raises(ValueError, match="not supported"):
        found[(0, 0)]
    with pytest.raises(RowColumnMissingError):
        list(found.match_with_annotations([(0, 0, "x")]))


def test_labels_find_their_vectors_in_any_order() -> None:
    given = features([1.0], [2.0], [3.0])
    found = list(given.match_with_annotations([(2, 3, "c"), (0, 1, "a"), (2, 3, "c")]))
    assert [(vector.tolist(), label) for vector, label in found] == [
        ([3.0], "c"),
        ([1.0], "a"),
        ([3.0], "c"),
    ]
    with pytest.raises(RowColumnMismatchError, match=r"\(9, 9\)"):
        list(given.match_with_annotations([(0, 1, "a"), (9, 9, "b")]))


def test_of_several_points_at_one_place_the_last_is_found() -> None:
    points = [PointFeatures(1, 1, [1.0]), PointFeatures(1, 1, [2.0])]
    assert ImageFeatures(points, True, 1, 2)[(1, 1)].tolist() == [2.0]


def test_what_contradicts_itself_is_refused() -> None:
    points = [PointFeatures(1, 1, [1.0])]
    for dimensions, count in ((2, 1), (1, 2)):
        with pytest.raises(AssertionError):
            ImageFeatures(points, True, dimensions, count)
