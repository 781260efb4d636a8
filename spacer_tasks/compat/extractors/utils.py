"""Patches around points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spacer_tasks.extractors.images.patches import cut_patches

if TYPE_CHECKING:
    from PIL import Image


def crop_patches(
    im: Image.Image, rowcols: Sequence[tuple[int, int]], crop_size: int
) -> list[NDArray[np.uint8]]:
    """The square around each point, RGB, mirrored at the borders of the image."""
    pixels = np.asarray(im.convert("RGB"))
    return list(cut_patches(pixels, rowcols, crop_size))
