"""Points on photos that EXIF turns, beside what Pillow shows."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageOps

from spacer_tasks.annotations.placing import PhotoShape, placed
from spacer_tasks.annotations.points import FilePoint


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_point_of_the_turned_photo_is_found_in_the_stored_one(orientation: int) -> None:
    stored = np.arange(12, dtype=np.uint8).reshape(3, 4)
    image = Image.fromarray(stored)
    image.getexif()[0x0112] = orientation
    shown = np.asarray(ImageOps.exif_transpose(image))
    points = [FilePoint(1, row, column) for row, column in np.ndindex(shown.shape)]
    found = placed(points, PhotoShape(4, 3, orientation), apply_exif=True)
    assert not found.outside
    assert [stored[each.row, each.column] for each in found.inside] == list(shown.flat)


def test_a_point_outside_loses_itself_and_says_why() -> None:
    found = placed([FilePoint(2, 3, 1), FilePoint(3, 1, 1)], PhotoShape(4, 3), apply_exif=False)
    assert [each.line for each in found.inside] == [3]
    assert "--one-based" in found.text()
