"""Rows of a table that are no points: totals, remarks, repeated headers, other shapes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from spacer_tasks.annotations.column_names import plain
from spacer_tasks.annotations.numbers import number
from spacer_tasks.annotations.points import Column
from spacer_tasks.console import counted

#: rows below a table that sum it up
TOTALS = re.compile(
    r"(?:grand )?(?:sub)?total(?:s|es)?|sum|mean|average|(?:gesamt)?summe|gesamt|mittelwert|somme"
    r"|moyenne|suma|promedio",
    re.IGNORECASE,
)
#: columns that say what kind of annotation a row is, and what stands there for a point
SHAPES = frozenset({"shape name", "annotation type", "taglab type"})
POINTS = frozenset({"point", "points", "circle", "patchannotation"})
#: Squidle+'s outline of what is more than a point
OUTLINE = "point.polygon"
#: what stands around and between x and y in one cell
AROUND = "[](){} "


class OtherRows:
    """Tells the rows that are left out, and counts them over all tables."""

    def __init__(self) -> None:
        self.totals = 0
        self.filtered = 0
        self._headers = 0
        self._remarks = 0
        self._unplaced: list[int] = []
        self._shapes: Counter[str] = Counter()

    def begin(self, header: Sequence[str], places: Mapping[Column, int]) -> None:
        """Begin with a table."""
        self._header, self._places = header, places
        names = [plain(each) for each in header]
        self._shape = next((i for i, each in enumerate(names) if each in SHAPES), None)
        self._outline = names.index(OUTLINE) if OUTLINE in names else None

    def is_between(self, fields: list[str]) -> bool:
        """Whether a row is between points: a header that comes again, or a remark."""
        header = fields == self._header
        remark = not header and self._is_remark(fields)
        # files that were joined, each with its header
        self._headers += header
        self._remarks += remark
        return header or remark

    def is_other_shape(self, fields: list[str]) -> bool:
        """Whether a row is an annotation that is no point."""
        found = ""
        if self._shape is not None and self._shape < len(fields):
            shape = fields[self._shape]
            found = shape if shape.casefold() not in POINTS else ""
        outline = self._outline
        if outline is not None and "".join(fields[outline : outline + 1]).strip(AROUND):
            found = found or "polygon"
        if found:
            self._shapes[found] += 1
        return bool(found)

    def add_unplaced(self, line: int) -> None:
        """Note a row without a position."""
        self._unplaced.append(line)

    def warnings(self) -> list[str]:
        """What was left out."""
        found = []
        if self._shapes:
            shapes = ", ".join(f"{count} {shape}" for shape, count in self._shapes.items())
            found.append(f"annotations that are no points left out: {shapes}")
        for count, what in (
            (self.totals, counted(self.totals, "row") + " of totals"),
            (self._headers, counted(self._headers, "repeated header")),
            (self._remarks, counted(self._remarks, "line") + " of remarks (#)"),
        ):
            if count:
                found.append(f"{what} left out")
        if self._unplaced:
            found.append(
                f"{counted(len(self._unplaced), 'row')} without a position left out, first line"
                f" {self._unplaced[0]}"
            )
        if self.filtered:
            found.append(f"{counted(self.filtered, 'row')} left out by --where")
        return found

    def _is_remark(self, fields: list[str]) -> bool:
        """Whether a row is a remark, not a photo whose name begins with #."""
        if not fields[0].startswith("#") or sum(map(bool, fields)) >= len(self._places):
            return False
        cells = [
            fields[place : place + 1] for place in (self._places["row"], self._places["column"])
        ]
        return not all(
            cell and number(cell[0].strip(AROUND).partition(",")[0]) is not None for cell in cells
        )


def is_total(fields: Sequence[str]) -> bool:
    """Whether a row sums up what is above it."""
    first = next((value for value in fields if value), "")
    return bool(TOTALS.fullmatch(first.strip(": ")))
