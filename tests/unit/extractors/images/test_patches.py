"""Patches are what is cut from `numpy.pad(mode="reflect")`, without padding the photo."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from spacer_tasks.extractors import cut_patches
from spacer_tasks.extractors.images import patches


def pixels_of(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def cut_from_padded(
    pixels: NDArray[np.uint8], rowcols: list[tuple[int, int]], size: int
) -> NDArray[np.uint8]:
    padded = np.pad(pixels, ((size, size), (size, size), (0, 0)), mode="reflect")
    cut = []
    for row, col in rowcols:
        top, left = int(row + size - size / 2), int(col + size - size / 2)
        cut.append(padded[top : top + size, left : left + size])
    return np.stack(cut)


@pytest.mark.parametrize("seed", range(30))
def test_patches_equal_windows_of_the_padded_image_at_any_size(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = (int(side) for side in rng.integers(1, 601, 2))
    pixels = pixels_of(height, width, seed)
    corners = [(0, 0), (0, width - 1), (height - 1, 0), (height - 1, width - 1)]
    inside = [(int(rng.integers(height)), int(rng.integers(width))) for _ in range(6)]
    rowcols = corners + inside
    found = cut_patches(pixels, rowcols, 224)
    np.testing.assert_array_equal(found, cut_from_padded(pixels, rowcols, 224))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 300), (300, 1), (2, 2), (3, 500)])
def test_an_image_one_or_a_few_pixels_wide_is_mirrored_again_and_again(
    height: int, width: int
) -> None:
    pixels = pixels_of(height, width)
    rowcols = [(row, col) for row in {0, height - 1} for col in {0, width // 2, width - 1}]
    found = cut_patches(pixels, rowcols, 224)
    np.testing.assert_array_equal(found, cut_from_padded(pixels, rowcols, 224))


@pytest.mark.parametrize("size", [1, 2, 5, 224, 225])
def test_windows_that_touch_the_border_without_crossing_it_are_right(size: int) -> None:
    side = 2 * size + 3
    pixels = pixels_of(side, side)
    near = [(size + 1) // 2 + step for step in (-1, 0, 1)]
    far = [side - size + (size + 1) // 2 + step for step in (-1, 0, 1)]
    rowcols = [(row, col) for row in near + far for col in near + far if max(row, col) < side]
    found = cut_patches(pixels, rowcols, size)
    np.testing.assert_array_equal(found, cut_from_padded(pixels, rowcols, size))


def test_the_point_is_in_row_and_column_112_of_its_patch() -> None:
    pixels = pixels_of(500, 400)
    patch = cut_patches(pixels, [(210, 130)], 224)[0]
    np.testing.assert_array_equal(patch[112, 112], pixels[210, 130])


def test_a_patch_across_a_border_is_made_of_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    # pixel by pixel it took a hundred times as long as one inside, and Python's lock all the while
    monkeypatch.setattr(patches, "_mirrored", None)
    pixels = pixels_of(226, 600)
    rowcols = [(row, col) for row in (0, 5, 111, 225) for col in (0, 40, 300, 599)]
    found = cut_patches(pixels, rowcols, 224)
    np.testing.assert_array_equal(found, cut_from_padded(pixels, rowcols, 224))


def test_a_patch_does_not_share_memory_with_the_photo() -> None:
    pixels = pixels_of(300, 300)
    cut_patches(pixels, [(150, 150)], 224)[:] = 0
    assert pixels.any()
