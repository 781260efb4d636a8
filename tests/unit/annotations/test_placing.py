"""Points on photos that EXIF turns, beside what Pillow shows."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageOps

from spacer_tasks.annotations.placing import PhotoShape, placed
from spacer_tasks.annotations.points import Duplicates, FilePoint


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


@pytest.mark.parametrize(
    ("labels", "how", "label"),
    [
        (["Sand", "Sand"], "drop", "Sand"),
        ([None, "Sand"], "drop", "Sand"),
        (["Sand", "Turf"], "drop", None),
        (["Sand", "Turf"], "first", "Sand"),
        (["Sand", "Turf", "Turf"], "majority", "Turf"),
    ],
)
def test_of_shares_in_one_pixel_none_is_dropped_in_silence(
    labels: list[str | None], how: Duplicates, label: str | None
) -> None:
    points = [
        FilePoint(2 + i, -1, -1, each, share=(0.5 + i / 1000, 0.5)) for i, each in enumerate(labels)
    ]
    found = placed(points, PhotoShape(10, 10), apply_exif=False, duplicates=how)
    assert [(each.row, each.column, each.label) for each in found.inside] == [(5, 5, label)]
    assert found.shared == 1
    assert found.unclear == (len({each for each in labels if each}) > 1)
    if found.unclear:
        refused = placed(points, PhotoShape(10, 10), apply_exif=False, duplicates="error")
        assert not refused.inside
        assert "several points with several labels" in refused.text()


def test_points_far_outside_ask_for_another_size() -> None:
    found = placed([FilePoint(2, 300, 700)], PhotoShape(40, 30), apply_exif=False)
    assert "or on this one in another size?" in found.text()
