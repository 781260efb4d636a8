"""Square patches around points, with the image mirrored at its borders.

What the reference cuts from `numpy.pad(image, size, mode="reflect")`, without padding the photo:
a window inside the image is a slice of it, and a window across a border is made of a few slices,
some of them backwards. In an image smaller than a patch, rows and columns are taken one by one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spacer_tasks.data_classes.labels import Point


def cut_patches(
    pixels: NDArray[np.uint8], rowcols: Sequence[Point], size: int
) -> NDArray[np.uint8]:
    """The patches, uint8, shape (points, size, size, 3), in the order of the points.

    Parameters
    ----------
    pixels
        The image, uint8, shape (height, width, 3); it may be smaller than a patch.
    rowcols
        Points inside the image. The pixel of a point is in row and column ceil(size / 2) of its
        patch, counted from 0.
    size
        Rows and columns of a patch.
    """
    height, width = pixels.shape[:2]
    patches = np.empty((len(rowcols), size, size, 3), dtype=np.uint8)
    for patch, (row, col) in zip(patches, rowcols, strict=True):
        top, left = row - (size + 1) // 2, col - (size + 1) // 2
        if 0 <= top <= height - size and 0 <= left <= width - size:
            patch[:] = pixels[top : top + size, left : left + size]
        elif height > size and width > size:
            for rows, from_rows in _runs(top, size, height):
                for cols, from_cols in _runs(left, size, width):
                    patch[rows, cols] = pixels[from_rows, from_cols]
        else:
            patch[:] = pixels[np.ix_(_mirrored(top, size, height), _mirrored(left, size, width))]
    return patches


def _runs(start: int, count: int, length: int) -> list[tuple[slice, slice]]:
    """Which of `count` places from `start` on come from where, those outside mirrored into it.

    `count` must be less than `length`, and the middle lie inside: then what is mirrored is not
    mirrored twice.
    """
    before, after = max(0, -start), max(0, start + count - length)
    runs = [(slice(before, count - after), slice(start + before, start + count - after))]
    if before:
        # backwards from `before` to 1: the border itself is not repeated
        runs.append((slice(0, before), slice(before, 0, -1)))
    if after:
        stop = length - 2 - after
        last = slice(length - 2, stop if stop >= 0 else None, -1)
        runs.append((slice(count - after, count), last))
    return runs


def _mirrored(start: int, count: int, length: int) -> NDArray[np.intp]:
    """The places from `start` on, those outside of `length` mirrored into it.

    A mirror of a mirror (an image smaller than a patch) goes to and fro with this period.
    """
    period = max(1, 2 * (length - 1))
    places = np.arange(start, start + count) % period
    return np.minimum(places, period - places) if length > 1 else np.zeros(count, np.intp)
