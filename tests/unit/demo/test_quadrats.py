"""The quadrats of the demo: repeatable, and true to their labels."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spacer_tasks.demo import quadrats
from spacer_tasks.demo.photographs import PHOTOGRAPHS, Photograph, part_of
from spacer_tasks.demo.quadrats import compose, make_quadrats
from spacer_tasks.exceptions import ObjectNotFoundError


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small quadrats: the same code on a tenth of the pixels."""
    monkeypatch.setattr(quadrats, "SIZE_RANGE", (1.5e5, 3e5))
    monkeypatch.setattr(quadrats, "REGION_AREA", 120.0**2)


@pytest.mark.parametrize("photograph", PHOTOGRAPHS, ids=lambda photograph: photograph.label)
def test_the_two_parts_of_a_photograph_share_no_pixels(photograph: Photograph) -> None:
    training, test = part_of(photograph, "training"), part_of(photograph, "test")
    whole = np.concatenate([training, test], axis=photograph.axis)
    assert abs(training.size - test.size) <= max(whole.shape)
    # the line between them runs inside the photograph, not along its border
    assert min(*training.shape, *test.shape) >= 100


def test_a_photograph_that_is_not_there_is_named() -> None:
    missing = Photograph("x", "skimage", "no-such.png", (0, 0, 1, 1), 0, "")
    with pytest.raises(ObjectNotFoundError, match=r"no-such\.png"):
        part_of(missing, "test")
    with pytest.raises(ObjectNotFoundError, match="package no_such_package"):
        part_of(Photograph("x", "no_such_package", "x.png", (0, 0, 1, 1), 0, ""), "test")


def test_the_same_seed_gives_the_same_files(small: None, tmp_path: Path) -> None:
    first = make_quadrats(tmp_path / "a", 3, seed=7)
    again = make_quadrats(tmp_path / "b", 3, seed=7)
    other = make_quadrats(tmp_path / "c", 3, seed=8)
    for name in [*first.training, *first.test]:
        content = (first.folder / name).read_bytes()
        assert content == (again.folder / name).read_bytes()
        assert content != (other.folder / name).read_bytes()
    assert first.points_csv.read_text() == again.points_csv.read_text()


def test_points_lie_inside_and_are_all_different(small: None, tmp_path: Path) -> None:
    done: list[int] = []
    made = make_quadrats(tmp_path, 4, 0, done.append)
    assert done == [1, 2, 3, 4]
    assert (len(made.training), len(made.test)) == (3, 1)
    with made.points_csv.open(encoding="utf-8") as stream:
        lines = list(csv.DictReader(stream))
    assert list(lines[0]) == ["image", "row", "column", "label"]
    for name in [*made.training, *made.test]:
        with Image.open(tmp_path / name) as image:
            width, height = image.size
        points = {(int(p["row"]), int(p["column"])) for p in lines if p["image"] == name}
        assert len(points) == quadrats.POINTS_PER_QUADRAT
        assert all(0 <= row < height and 0 <= column < width for row, column in points)
    assert {line["label"] for line in lines} <= {photograph.label for photograph in PHOTOGRAPHS}


def test_a_point_s_label_is_the_photograph_shown_there(
    small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # each photograph is replaced by an even grey of its own, which nothing then changes
    greys = {photograph.label: 20 * i + 30 for i, photograph in enumerate(PHOTOGRAPHS)}

    def even(photograph: Photograph, part: str) -> Image.Image:
        return Image.new("L", (quadrats.SHEET_SIZE, quadrats.SHEET_SIZE), greys[photograph.label])

    monkeypatch.setattr(quadrats, "_mirrored_sheet", even)
    monkeypatch.setattr(quadrats, "_dyed", lambda grey, hue, random: grey.convert("RGB"))
    monkeypatch.setattr(quadrats, "_taken_by_a_camera", lambda canvas, random: canvas)
    for seed in range(4):
        made = compose(np.random.default_rng(seed), "training")
        pixels = np.asarray(made.image)
        for row, column, label in made.points:
            assert abs(int(pixels[row, column, 0]) - greys[label]) <= 8, (seed, row, column, label)


def test_a_quadrat_has_one_to_four_megapixels() -> None:
    sizes = [quadrats._size(np.random.default_rng(seed)) for seed in range(200)]
    assert min(height * width for height, width in sizes) > 0.99e6
    assert max(height * width for height, width in sizes) <= 4e6


def test_one_quadrat_cannot_be_both_training_and_test(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="1 quadrats"):
        make_quadrats(tmp_path, 1, 0)
