"""Patches around points."""

from __future__ import annotations

import numpy as np
import pytest

from spacer_tasks.exceptions import RowColumnInvalidError
from spacer_tasks.review.patches import REACH, SIDE, patch_of


def test_the_point_is_in_the_middle_and_beyond_the_edge_is_grey() -> None:
    pixels = np.zeros((300, 400, 3), dtype=np.uint8)
    pixels[:20, :20] = (255, 0, 0)
    patch = np.asarray(patch_of(pixels, 0, 0))
    assert patch.shape == (SIDE, SIDE, 3)
    middle = SIDE // 2
    assert patch[middle + 4, middle + 4].tolist() == [255, 0, 0]
    assert patch[5, 5].tolist() == [128, 128, 128]
    assert patch[-5, -5].tolist() == [0, 0, 0]


@pytest.mark.parametrize("size", [(1, 1), (2 * REACH, 2 * REACH), (5, 900)])
def test_photos_of_any_size_have_patches_at_each_corner(size: tuple[int, int]) -> None:
    pixels = np.full((*size, 3), 9, dtype=np.uint8)
    for row in (0, size[0] - 1):
        for column in (0, size[1] - 1):
            assert patch_of(pixels, row, column).size == (SIDE, SIDE)


def test_a_point_outside_is_an_input_error() -> None:
    with pytest.raises(RowColumnInvalidError, match="row 10 column 0 is outside the photo of 5 x"):
        patch_of(np.zeros((10, 5, 3), dtype=np.uint8), 10, 0)
