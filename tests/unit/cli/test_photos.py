"""What is asked about points beside their photos: percentages, and copies of another size."""

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


@pytest.mark.parametrize(
    ("reach", "aside", "asked"),
    [((0.5, 0.5), 0.0, 1), ((0.5, 0.95), 0.0, 0), ((0.7, 0.7), 0.45, 0)],
)
def test_points_in_the_upper_left_of_all_photos_are_asked_about(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    reach: tuple[float, float],
    aside: float,
    asked: int,
) -> None:
    """Points on copies of half the size; on the whole width; and in the middle of the photo."""
    Image.new("RGB", (600, 450)).save(tmp_path / "a.png")
    steps = [aside + (1 - aside) * n / 39 for n in range(40)]
    some = [
        FilePoint(2 + n, round(450 * reach[0] * step), round(600 * reach[1] * step))
        for n, step in enumerate(steps)
    ]
    points = PointsFile("sheet.csv", {"a.png": some}, False)
    place_selection(select_images(str(tmp_path), points), points, refuse_outside=False)
    assert capsys.readouterr().err.count("were they drawn on smaller copies?") == asked


def test_shares_in_one_pixel_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (60, 45)).save(tmp_path / "a.png")
    some = [FilePoint(2 + n, -1, -1, label, (0.5, 0.5)) for n, label in enumerate("ab")]
    points = PointsFile("sheet.csv", {"a.png": some}, True)
    selection = place_selection(select_images(str(tmp_path), points), points, refuse_outside=False)
    assert [each.label for each in selection.images[0].points] == [None]
    said = "1 pixel with several points of the sheet, taken once; with several labels"
    assert said in capsys.readouterr().err
