"""Points that cannot be cut out of an image are refused, and the text says which."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from spacer_tasks.exceptions import DataLimitError, RowColumnInvalidError
from spacer_tasks.extractors import check_points


def test_the_four_corners_are_inside() -> None:
    check_points([(0, 0), (0, 29), (19, 0), (19, 29)], width=30, height=20, name="reef.jpg")


def test_integers_of_numpy_are_integers() -> None:
    check_points([(np.int64(3), np.uint16(4))], width=30, height=20, name="reef.jpg")  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        ((-1, 5), "point 1 has row -1; expected 0 to 19"),
        ((20, 5), "point 1 has row 20; expected 0 to 19"),
        ((5, -1), "point 1 has column -1; expected 0 to 29"),
        ((5, 30), "point 1 has column 30; expected 0 to 29"),
    ],
)
def test_a_point_outside_is_named_with_its_place_and_the_valid_range(
    point: tuple[int, int], expected: str
) -> None:
    with pytest.raises(RowColumnInvalidError) as caught:
        check_points([(0, 0), point], width=30, height=20, name="reef.jpg")
    assert str(caught.value).startswith("reef.jpg: " + expected)


@pytest.mark.parametrize("point", [(1.0, 2), ("1", "2"), (True, 1), (1,), (1, 2, 3), 7, None, "12"])
def test_a_point_that_is_no_pair_of_integers_is_named(point: Any) -> None:
    with pytest.raises(RowColumnInvalidError, match=r"reef\.jpg: point 0 is .*pair of integers"):
        check_points([point], width=30, height=20, name="reef.jpg")


def test_no_points_at_all_are_an_input_error() -> None:
    with pytest.raises(RowColumnInvalidError, match=r"reef\.jpg: no points"):
        check_points([], width=30, height=20, name="reef.jpg")


def test_one_point_more_than_the_limit_is_too_many(
    settings_changed: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPACER_MAX_POINTS_PER_IMAGE", "3")
    settings_changed()
    check_points([(0, 0)] * 3, width=1, height=1, name="reef.jpg")
    with pytest.raises(DataLimitError, match=r"reef\.jpg: 4 points, more than the 3 of SPACER_MAX"):
        check_points([(0, 0)] * 4, width=1, height=1, name="reef.jpg")
