"""Whole numbers that may be percentages are asked about on photos that are large enough."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from spacer_tasks.annotations.points import FilePoint, PointsFile
from spacer_tasks.cli.photos import place_selection
from spacer_tasks.cli.selection import select_images


@pytest.mark.parametrize(("side", "last", "asked"), [(600, 95, 1), (600, 300, 0), (120, 95, 0)])
def test_positions_to_100_are_asked_about_on_large_photos(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], side: int, last: int, asked: int
) -> None:
    Image.new("RGB", (side, side)).save(tmp_path / "a.png")
    some = [FilePoint(2 + n, 9 * n, 50) for n in range(10)] + [
        FilePoint(20, 1, min(last, side - 1))
    ]
    points = PointsFile("sheet.csv", {"a.png": some}, False)
    selection = select_images(str(tmp_path), points)
    place_selection(selection, points, refuse_outside=False)
    assert capsys.readouterr().err.count("--coordinates percent") == asked
