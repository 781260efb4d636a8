"""What the network saw of a point, small enough for a page."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spacer_tasks.exceptions import RowColumnInvalidError

#: pixels of the photo to each side of the point: the patch of the built-in networks
REACH = 112
#: pixels of a patch on the page, and its JPEG quality
SIDE, QUALITY = 200, 80


def patch_of(pixels: NDArray[np.uint8], row: int, column: int) -> Image.Image:
    """The surroundings of a point, grey beyond the photo's edges.

    Raises
    ------
    RowColumnInvalidError
        The point is not in the photo.
    """
    height, width = pixels.shape[:2]
    if not (0 <= row < height and 0 <= column < width):
        raise RowColumnInvalidError(
            f"row {row} column {column} is outside the photo of {width} x {height} pixels"
        )
    patch = np.full((2 * REACH, 2 * REACH, 3), 128, dtype=np.uint8)
    top, left = row - REACH, column - REACH
    seen = pixels[max(0, top) : row + REACH, max(0, left) : column + REACH]
    down, right = max(0, -top), max(0, -left)
    patch[down : down + seen.shape[0], right : right + seen.shape[1]] = seen
    return Image.fromarray(patch).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
