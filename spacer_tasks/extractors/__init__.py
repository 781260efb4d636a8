"""An image and points to feature vectors.

`load_extractor` gives the extractor that a message names; `read_photo` and `check_points` turn
what users send into what an extractor takes, or into an error that says what is wrong.
"""

from __future__ import annotations

from spacer_tasks.extractors.base import Extractor
from spacer_tasks.extractors.images.patches import cut_patches
from spacer_tasks.extractors.images.points import check_points
from spacer_tasks.extractors.images.reading import Photo, load_image, load_pixels, read_photo
from spacer_tasks.extractors.loading import load_extractor

__all__ = [
    "Extractor",
    "Photo",
    "check_points",
    "cut_patches",
    "load_extractor",
    "load_image",
    "load_pixels",
    "read_photo",
]
