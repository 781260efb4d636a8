"""Layouts of points: simple random, stratified random, regular grid, inside a margin.

A photo's points depend on the seed and on its name alone, so that they stay where they are when
other photos are added. Rows and columns count from 0, and no two points of a photo are the same.
"""

from __future__ import annotations

import math
import random
import unicodedata
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import pairwise

from spacer_tasks.exceptions import InputError

Point = tuple[int, int]


@dataclass(frozen=True)
class Frame:
    """The part of a photo where points may lie: its first row and column, and its size."""

    top: int
    left: int
    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.width} x {self.height} pixels"


@dataclass(frozen=True)
class Margin:
    """What stays free of points at each edge: pixels, or a share of the height and of the width."""

    pixels: int = 0
    share: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Margin:
        """`40` for pixels, `5%` for percent of the height and of the width.

        Raises
        ------
        InputError
            It is neither, negative, or leaves nothing of any photo.
        """
        number = text.strip()
        try:
            if not number.endswith("%"):
                margin = cls(pixels=int(number))
            else:
                margin = cls(share=float(number.removesuffix("%")) / 100)
        except ValueError:
            margin = cls(pixels=-1)
        # written so that what is not a number fails too
        if margin.pixels < 0 or not 0 <= margin.share < 0.5:
            raise InputError(
                f"{text!r} is no margin; expected pixels, as 40, or percent below 50, as 5%"
            )
        return margin

    def frame(self, height: int, width: int) -> Frame:
        """What is left of a photo.

        Raises
        ------
        InputError
            Nothing is.
        """
        rows = self.pixels or math.ceil(self.share * height)
        columns = self.pixels or math.ceil(self.share * width)
        if 2 * rows >= height or 2 * columns >= width:
            raise InputError(
                f"the photo has {width} x {height} pixels, of which margins of {columns} at the"
                f" sides and {rows} at top and bottom leave nothing"
            )
        return Frame(rows, columns, height - 2 * rows, width - 2 * columns)


class Layout(ABC):
    """How a photo's points are placed."""

    #: points of a photo
    count: int

    @abstractmethod
    def place(self, frame: Frame, chance: random.Random) -> list[Point]:
        """The points, by row and column.

        Raises
        ------
        InputError
            The frame is too small for them.
        """


@dataclass(frozen=True)
class RandomLayout(Layout):
    """So many points anywhere, each pixel as likely as the others."""

    count: int

    def place(self, frame: Frame, chance: random.Random) -> list[Point]:
        """The points from top to bottom."""
        return sorted(_distinct(self.count, frame, chance, "the photo"))


@dataclass(frozen=True)
class StratifiedLayout(Layout):
    """Rows and columns of equal cells, and so many points anywhere in each."""

    rows: int
    columns: int
    per_cell: int

    @property
    def count(self) -> int:  # type: ignore[override]  # read only, as the fields are
        """Points of a photo."""
        return self.rows * self.columns * self.per_cell

    def place(self, frame: Frame, chance: random.Random) -> list[Point]:
        """The points cell by cell."""
        points: list[Point] = []
        for top, height in _parts(frame.top, frame.height, self.rows):
            for left, width in _parts(frame.left, frame.width, self.columns):
                cell = Frame(top, left, height, width)
                points += sorted(_distinct(self.per_cell, cell, chance, "a cell"))
        return points


@dataclass(frozen=True)
class GridLayout(Layout):
    """Points in the middle of each cell of rows and columns; nothing is left to chance."""

    rows: int
    columns: int

    @property
    def count(self) -> int:  # type: ignore[override]  # read only, as the fields are
        """Points of a photo."""
        return self.rows * self.columns

    def place(self, frame: Frame, chance: random.Random) -> list[Point]:
        """The points from top to bottom."""
        if frame.height < self.rows or frame.width < self.columns:
            raise InputError(
                f"a grid of {self.rows} rows and {self.columns} columns does not fit in {frame}"
            )
        return [
            (frame.top + _middle(row, self.rows, frame.height), frame.left + at)
            for row in range(self.rows)
            for at in (_middle(column, self.columns, frame.width) for column in range(self.columns))
        ]


def points_of(
    name: str, height: int, width: int, layout: Layout, margin: Margin, seed: int
) -> list[Point]:
    """The points of a photo: the same for the same name, size, layout, margin and seed.

    Raises
    ------
    InputError
        The photo is too small.
    """
    # macOS and Linux write one name in two ways
    chance = random.Random(f"{seed}/{unicodedata.normalize('NFC', name)}")
    return layout.place(margin.frame(height, width), chance)


def _parts(start: int, length: int, count: int) -> list[tuple[int, int]]:
    """Starts and lengths of so many parts, which differ by one pixel at most."""
    edges = [start + length * i // count for i in range(count + 1)]
    return [(first, last - first) for first, last in pairwise(edges)]


def _middle(number: int, count: int, length: int) -> int:
    return (2 * number + 1) * length // (2 * count)


def _distinct(count: int, frame: Frame, chance: random.Random, where: str) -> set[Point]:
    """So many different pixels, all sets of them equally likely.

    Floyd's algorithm (Bentley and Floyd, "A sample of brilliance", CACM 30(9), 1987), by
    `random.random` alone: of Python's generator, only that stays the same in later versions.
    """
    area = frame.height * frame.width
    if area < count:
        raise InputError(f"{count} points do not fit in {frame} ({where} without its margin)")
    chosen: set[int] = set()
    for last in range(area - count, area):
        pixel = int(chance.random() * (last + 1))
        chosen.add(last if pixel in chosen else pixel)
    return {
        (frame.top + pixel // frame.width, frame.left + pixel % frame.width) for pixel in chosen
    }
