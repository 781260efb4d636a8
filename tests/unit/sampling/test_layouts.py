"""Where points are placed, and when they cannot be."""

from __future__ import annotations

import unicodedata
from collections import Counter

import pytest

from spacer_tasks.exceptions import InputError
from spacer_tasks.sampling.layouts import (
    GridLayout,
    Layout,
    Margin,
    RandomLayout,
    StratifiedLayout,
    points_of,
)

LAYOUTS: list[Layout] = [RandomLayout(50), StratifiedLayout(5, 5, 2), GridLayout(5, 10)]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_points_are_inside_the_margin_and_different(layout: Layout) -> None:
    points = points_of("a.jpg", 100, 200, layout, Margin(share=0.1), 3)
    assert len(points) == len(set(points)) == layout.count == 50
    assert all(10 <= row < 90 and 20 <= column < 180 for row, column in points)


def test_a_photo_has_the_same_points_for_a_seed_and_others_for_another() -> None:
    def of(name: str, seed: int) -> list[tuple[int, int]]:
        return points_of(name, 3000, 4000, RandomLayout(20), Margin(), seed)

    assert of("a.jpg", 1) == of("a.jpg", 1)
    assert len({tuple(of(*each)) for each in [("a.jpg", 1), ("a.jpg", 2), ("b.jpg", 1)]}) == 3
    assert of(unicodedata.normalize("NFD", "Récif.jpg"), 1) == of("Récif.jpg", 1)


def test_points_of_a_seed_stay_what_they_are() -> None:
    # a sheet that was annotated can be made again by any later version
    points = points_of("reef/a.jpg", 480, 640, RandomLayout(3), Margin(pixels=5), 7)
    assert points == [(40, 147), (208, 181), (381, 131)]


def test_every_pixel_is_as_likely_as_the_others() -> None:
    layout = RandomLayout(2)
    found = Counter(
        pair for i in range(6000) for pair in points_of(f"{i}", 4, 5, layout, Margin(pixels=1), 0)
    )
    # 6 pixels, 12,000 points: 2,000 each, and a standard deviation of 37
    assert len(found) == 6
    assert all(1800 < count < 2200 for count in found.values())


def test_each_cell_has_its_points() -> None:
    points = points_of("a", 10, 11, StratifiedLayout(2, 3, 4), Margin(), 0)
    cells = Counter((row >= 5, 0 if col < 3 else 1 if col < 7 else 2) for row, col in points)
    assert set(cells.values()) == {4}
    assert len(cells) == 6


def test_a_grid_is_regular() -> None:
    points = points_of("a", 60, 100, GridLayout(2, 2), Margin(pixels=10), 0)
    assert points == [(20, 30), (20, 70), (40, 30), (40, 70)]


def test_as_many_points_as_pixels_are_all_pixels() -> None:
    assert len(points_of("a", 3, 3, RandomLayout(9), Margin(), 0)) == 9


@pytest.mark.parametrize(
    ("layout", "margin", "text"),
    [
        (RandomLayout(1), "30", "60 x 50 pixels, of which margins of 30 .* leave nothing"),
        (RandomLayout(1), "49.9%", "margins of 30 at the sides and 25 .* leave nothing"),
        (RandomLayout(201), "20", "201 points do not fit in 20 x 10 pixels"),
        (StratifiedLayout(10, 10, 5), "20", "5 points do not fit in 2 x 1 pixels"),
        (StratifiedLayout(11, 1, 1), "20", "1 points do not fit in 20 x 0 pixels"),
        (GridLayout(11, 2), "20", "11 rows and 2 columns does not fit in 20 x 10 pixels"),
    ],
)
def test_a_photo_that_is_too_small_is_an_input_error(
    layout: Layout, margin: str, text: str
) -> None:
    with pytest.raises(InputError, match=text):
        points_of("a", 50, 60, layout, Margin.parse(margin), 0)


@pytest.mark.parametrize("text", ["-1", "50%", "-2%", "nan%", "inf%", "5 px", "", "1.5", "%"])
def test_what_is_no_margin_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is no margin; expected pixels"):
        Margin.parse(text)
