"""From a file's positions to pixels of the photo: shares, EXIF turns, and points outside."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from spacer_tasks.annotations.doubles import label_of
from spacer_tasks.annotations.points import Duplicates, FilePoint

#: EXIF orientations by which a viewer shows rows as columns
SIDEWAYS = frozenset({5, 6, 7, 8})
#: by how much the shapes of two sizes of a photo differ through rounding
SAME_SHAPE = 0.01


@dataclass(frozen=True)
class PhotoShape:
    """A photo's size as stored, in pixels, and its EXIF orientation, 1 where it has none."""

    width: int
    height: int
    orientation: int = 1

    @property
    def shown(self) -> tuple[int, int]:
        """Width and height as a viewer shows them."""
        if self.orientation in SIDEWAYS:
            return self.height, self.width
        return self.width, self.height

    def unturned(self, row: int, column: int) -> tuple[int, int]:
        """Where a pixel of the turned photo is in the stored one; EXIF 2.32, Orientation."""
        bottom, right = self.height - 1, self.width - 1
        return {
            2: (row, right - column),
            3: (bottom - row, right - column),
            4: (bottom - row, column),
            5: (column, row),
            6: (bottom - column, row),
            7: (bottom - column, right - row),
            8: (column, right - row),
        }.get(self.orientation, (row, column))


@dataclass(frozen=True)
class Placed:
    """A photo's points in pixels, those that are outside, and why that may be."""

    inside: list[FilePoint]
    outside: list[FilePoint]
    hints: list[str]
    shape: PhotoShape
    #: why no point can be placed; empty if they can
    other_photo: str = ""
    #: pixels in which several of the file's points are, and those of them whose labels differ
    shared: int = 0
    unclear: int = 0

    def text(self) -> str:
        """What is wrong with the points outside, with what may mend it."""
        if self.other_photo:
            return self.other_photo
        first = self.outside[0]
        width, height = self.shape.width, self.shape.height
        why = "".join(f"; {hint}" for hint in self.hints)
        count = len(self.outside)
        return (
            f"{count} point{'s' * (count != 1)} outside, first line {first.line}: row {first.row}"
            f" column {first.column}; the photo has {width} x {height} pixels: expected rows 0 to"
            f" {height - 1}, columns 0 to {width - 1}{why}"
        )


def placed(
    points: Sequence[FilePoint],
    shape: PhotoShape,
    *,
    apply_exif: bool,
    drawn_on: tuple[float, float] | None = None,
    duplicates: Duplicates = "drop",
) -> Placed:
    """The points in pixels of the stored photo.

    Parameters
    ----------
    drawn_on
        Width and height of the photo that they were drawn on, where the file says it: in pixels, or
        for shares in any unit. A photo of another size, or of another shape, is another photo.
    duplicates
        Which label a pixel has that several shares with several labels are in.
    """
    if drawn_on and (other := _other_photo(points, shape, drawn_on, apply_exif=apply_exif)):
        return Placed([], list(points), [], shape, other)
    shown_width, shown_height = shape.shown if apply_exif else (shape.width, shape.height)
    inside: list[FilePoint] = []
    outside: list[FilePoint] = []
    for point in points:
        row, column = point.row, point.column
        if point.share is not None:
            row, column = _pixel(point.share[0], shown_height), _pixel(point.share[1], shown_width)
        if not (0 <= row < shown_height and 0 <= column < shown_width):
            outside.append(replace(point, row=row, column=column))
            continue
        given = None
        if apply_exif and shape.orientation != 1:
            given = (row, column)
            row, column = shape.unturned(row, column)
        inside.append(replace(point, row=row, column=column, share=None, given=given))
    shared = unclear = 0
    if any(point.share is not None for point in points):
        inside, shared, unclear = _in_one_pixel(inside, duplicates)
        if unclear and duplicates == "error":
            why = f"{unclear} of its pixels have several points with several labels; expected one"
            return Placed([], list(points), [], shape, why)
    hints = [] if not outside or apply_exif else _hints(points, shape)
    return Placed(inside, outside, hints, shape, shared=shared, unclear=unclear)


def _in_one_pixel(
    points: Sequence[FilePoint], duplicates: Duplicates
) -> tuple[list[FilePoint], int, int]:
    """One point for each pixel, how many pixels had several, and how many several labels."""
    pixels: dict[tuple[int, int], list[FilePoint]] = {}
    for point in points:
        pixels.setdefault((point.row, point.column), []).append(point)
    kept = []
    shared = unclear = 0
    for first, *others in pixels.values():
        labels = [each.label for each in (first, *others) if each.label is not None]
        shared += bool(others)
        unclear += len(set(labels)) > 1
        kept.append(replace(first, label=label_of(labels, duplicates)) if others else first)
    return kept, shared, unclear


def _other_photo(
    points: Sequence[FilePoint],
    shape: PhotoShape,
    drawn_on: tuple[float, float],
    *,
    apply_exif: bool,
) -> str:
    """Why a photo is not the one that the points were drawn on; empty if it may be."""
    width, height = drawn_on
    shares = any(point.share is not None for point in points)

    def fits(size: tuple[int, int]) -> bool:
        if shares:
            return abs(width * size[1] - height * size[0]) <= SAME_SHAPE * width * size[1]
        return (width, height) == size

    if fits(shape.shown if apply_exif else (shape.width, shape.height)):
        return ""
    why = "was it made smaller, cut or turned since?"
    if not apply_exif and shape.orientation in SIDEWAYS and fits(shape.shown):
        why = f"its EXIF (orientation {shape.orientation}) turns it: give --apply-exif"
    elif apply_exif and fits((shape.width, shape.height)):
        why = "leave out --apply-exif"
    return (
        f"its points were drawn on a photo of {width:g} x {height:g}"
        f"{' (in any unit)' if shares else ' pixels'}, and it has {shape.width} x {shape.height}"
        f" pixels: {why}"
    )


def _pixel(share: float, length: int) -> int:
    # a share that was computed from a pixel comes back to it in spite of rounding
    found = math.floor(round(share * length, 6))
    return length - 1 if share == 1 else found


def _hints(points: Sequence[FilePoint], shape: PhotoShape) -> list[str]:
    rows, columns = [each.row for each in points], [each.column for each in points]
    width, height = shape.width, shape.height
    hints = []
    if min(rows) < 0 and max(rows) <= 0:
        return ["rows below 0: do they count from below? They are read from the top"]
    if min(rows + columns) < 0:
        return ["rows and columns count from 0; where --one-based is given, from 1"]
    if min(rows + columns) >= 1 and max(rows) <= height and max(columns) <= width:
        hints.append("do rows and columns count from 1? Then give --one-based")
    if shape.orientation in SIDEWAYS and max(rows) < width and max(columns) < height:
        hints.append(
            f"its EXIF (orientation {shape.orientation}) turns it, and points are read unturned:"
            " were they drawn on the turned photo? Then give --apply-exif"
        )
    elif max(rows) < width and max(columns) < height:
        hints.append("are rows and columns swapped? Then give --swap")
    if not hints:
        hints.append("were they drawn on another photo, or on this one in another size?")
    return hints
