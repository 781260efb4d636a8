"""What columns of a width and a height are: the photo's size, or that of a box."""

from __future__ import annotations

from collections.abc import Sequence

from spacer_tasks.annotations.column_names import plain
from spacer_tasks.annotations.numbers import number

WIDTHS = ("image width", "img width", "photo width", "width", "w", "bbox width", "box width")
HEIGHTS = ("image height", "img height", "photo height", "height", "h", "bbox height", "box height")


class Sizes:
    """Looks at the columns of a table's sizes beside its points."""

    def __init__(self, header: Sequence[str]) -> None:
        self._places = [_place(header, WIDTHS), _place(header, HEIGHTS)]
        self._header = header
        self._found: dict[str, set[tuple[float, float]]] = {}
        self._boxes = False

    def take(self, image: str, row: float, column: float, fields: Sequence[str]) -> None:
        """Look at a row's size beside its position."""
        values = [
            number(fields[place]) if place is not None and place < len(fields) else None
            for place in self._places
        ]
        width, height = values
        if width is None or height is None or min(width, height) <= 0:
            return
        self._found.setdefault(image, set()).add((width, height))
        self._boxes |= column > width or row > height

    def problem(self) -> str:
        """What is wrong where the sizes are of boxes; empty if they are not."""
        several = any(len(sizes) > 1 for sizes in self._found.values())
        if not (self._boxes or several):
            return ""
        names = " and ".join(repr(self._header[each]) for each in self._places if each is not None)
        return (
            f"{names} are not the photo's size, so rows look like boxes, whose x and y are a"
            " corner: export points, or make columns of their middles and leave out these two"
        )

    def shapes(self) -> dict[str, tuple[float, float]]:
        """Width and height of each image."""
        return {image: next(iter(sizes)) for image, sizes in self._found.items()}


def _place(header: Sequence[str], names: Sequence[str]) -> int | None:
    there = [plain(value) for value in header]
    return next((there.index(name) for name in names if name in there), None)
