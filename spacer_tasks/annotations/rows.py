"""From rows to points: each cell checked, doubles settled, everything wrong kept for one error."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter

from spacer_tasks.annotations.column_names import plain
from spacer_tasks.annotations.doubles import Doubles, Key, alike
from spacer_tasks.annotations.doubtful import MachineLabels, conditions, no_label
from spacer_tasks.annotations.formats.tables import Table
from spacer_tasks.annotations.image_names import relative_name
from spacer_tasks.annotations.numbers import INTEGER, Thousands, number
from spacer_tasks.annotations.points import Column, Coordinates, FilePoint, ReadOptions
from spacer_tasks.annotations.problems import LISTED, problems_error, shown_value
from spacer_tasks.annotations.sizes import Sizes
from spacer_tasks.console import counted
from spacer_tasks.data_classes.labels import LabelId

#: a number of no pixel of any image
NO_PIXEL = 1_000_000_000
#: digits of a share that make two points one
SHARE_DIGITS = 9
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


class RowReader:
    """Takes tables row by row; keeps the points, and what is wrong."""

    def __init__(self, options: ReadOptions) -> None:
        self.images: dict[str, list[FilePoint]] = {}
        self.foreign: set[str] = set()
        self._options = options
        self._problems: list[str] = []
        self.shapes: dict[str, tuple[float, float]] = {}
        self._doubles = Doubles()
        self._headers = 0
        self._remarks = 0
        self._above_one = False
        self._empty: Counter[str] = Counter()
        self._typed = False
        self._fractions = 0
        self._unplaced: list[int] = []
        self._percent_signs = 0
        self._thousands = Thousands()
        self._totals = 0
        self._filtered = 0
        self._below_one = 0
        self._largest = 0.0
        self._shares_found = True
        self._warnings: list[str] = []
        self._machine: list[str] = []

    def take_table(
        self, table: Table, name: str, places: dict[Column, int], image_name: str
    ) -> None:
        """Take a table's rows. `image_name` is the image of all of them, where not empty."""
        self._header, self._places = table.header, places
        self._image_name = "" if "image" in places else image_name
        self._coordinates: Coordinates = table.coordinates
        self._typed = table.typed
        self._shape = next(
            (i for i, each in enumerate(table.header) if plain(each) in SHAPES), None
        )
        self._program = table.kind
        outline = next((i for i, each in enumerate(table.header) if plain(each) == OUTLINE), None)
        self._sizes = Sizes(table.header)
        wanted = conditions(self._options.where, table.header, name)
        machine = MachineLabels(table.header)
        other_shapes: Counter[str] = Counter()
        for line, fields in table.rows:
            if fields == table.header:
                # files that were joined, each with its header
                self._headers += 1
                continue
            if fields[0].startswith("#") and sum(map(bool, fields)) < len(places):
                self._remarks += 1
                continue
            if not all(condition.holds(fields) for condition in wanted):
                self._filtered += 1
                continue
            if self._shape is not None and self._shape < len(fields):
                shape = fields[self._shape]
                if shape and shape.casefold() not in POINTS:
                    other_shapes[shape] += 1
                    continue
            if outline is not None and "".join(fields[outline : outline + 1]).strip("[] "):
                other_shapes["polygon"] += 1
                continue
            if self._take(line, fields):
                machine.take(fields)
        if box := self._sizes.problem():
            self._problems.append(box)
        self.shapes |= table.shapes | self._sizes.shapes()
        if other_shapes:
            shapes = ", ".join(f"{count} {shape}" for shape, count in other_shapes.items())
            self._warnings.append(f"annotations that are no points left out: {shapes}")
        if self._options.labels_needed:
            self._machine += machine.warnings(name)

    def finish(self, name: str) -> None:
        """Settle doubles, and raise what was wrong."""
        self._doubles.settle(self.images, self._options.duplicates)
        self._problems += self._doubles.problems
        if not self._problems and not self.images:
            self._problems.append(
                f"no row meets --where {' and '.join(self._options.where)}"
                if self._filtered
                else "no points below the first line"
            )
        if thousands := self._thousands.problem():
            self._problems.append(thousands)
        if self._problems:
            if self._shares_found and self._below_one:
                self._problems.append(
                    "all positions are from 0 to 1: fractions of the image? Then give"
                    " --coordinates fraction"
                )
            elif self._percent_signs:
                self._problems.append("positions in percent: give --coordinates percent")
            elif self._above_one:
                self._problems.append(
                    "positions above 1 are no fractions: pixels? Then give --coordinates pixel"
                )
            raise problems_error(name, self._problems)

    def warnings(self, name: str) -> list[str]:
        """What a person should know of what was read."""
        found = [f"{name}: {text}" for text in self._warnings]
        found += [f"{name}: {text}" for text in self._doubles.unclear[:LISTED]]
        if unclear := len(self._doubles.unclear):
            found.append(
                f"{name}: {counted(unclear, 'point')} with several labels (--duplicates"
                f" {self._options.duplicates}; first, majority, drop and error can be chosen)"
            )
        if again := self._doubles.repeated:
            many = "point is" if again == 1 else "points are"
            once = "was" if again == 1 else "were"
            found.append(f"{name}: {again} {many} listed again and {once} taken once")
        if self._options.labels_needed:
            found += [
                f"{name}: labels that differ little are taken for different ones: {labels}; --map"
                " makes them one"
                for labels in alike(self.images)
            ]
        if self._empty:
            values = ", ".join(f"{value!r} ({count})" for value, count in self._empty.items())
            found.append(f"{name}: read as no label: {values}")
        if self._fractions:
            found.append(
                f"{name}: {counted(self._fractions, 'point')} between pixels: the pixel around was"
                " taken"
            )
        if 0 < self._largest <= 1:
            found.append(
                f"{name}: all positions are 0 or 1: if they are fractions of the image, give"
                " --coordinates fraction"
            )
        elif 0 < self._largest <= 100 and not self._typed and self._fractions:
            found.append(
                f"{name}: no position is above 100: if they are percentages, give --coordinates"
                " percent"
            )
        if self._totals:
            found.append(f"{name}: {counted(self._totals, 'row')} of totals left out")
        if self._headers:
            found.append(f"{name}: {counted(self._headers, 'repeated header')} left out")
        if self._remarks:
            found.append(f"{name}: {counted(self._remarks, 'line')} of remarks (#) left out")
        if self._unplaced:
            found.append(
                f"{name}: {counted(len(self._unplaced), 'row')} without a position left out, first"
                f" line {self._unplaced[0]}"
            )
        if self._filtered:
            found.append(f"{name}: {counted(self._filtered, 'row')} left out by --where")
        return [*found, *self._machine]

    def _take(self, line: int, fields: list[str]) -> bool:
        """Take a row; whether it is a point with a label."""
        width = len(self._header)
        # spreadsheets end lines with empty fields
        needed = max(place for column, place in self._places.items() if column != "label")
        if any(fields[width:]) or len(fields) <= needed:
            if _is_total(fields):
                self._totals += 1
                return False
            self._problems.append(
                f"line {line}: {len(fields)} fields, expected {width} as in the first line"
            )
            return False
        faults = len(self._problems)
        row_text, column_text = self._positions(line, fields)
        if not (row_text and column_text) and _is_total(fields):
            self._totals += 1
            return False
        if all(not value or no_label(value) for value in (row_text, column_text)):
            self._unplaced.append(line)
            return False
        image = self._image(line, fields)
        if self._options.swap:
            row_text, column_text = column_text, row_text
        label = self._label(line, fields)
        if self._coordinates == "pixel":
            row = self._pixel(line, row_text, "row")
            column = self._pixel(line, column_text, "column")
            between = row % 1 or column % 1
            point = FilePoint(line, math.floor(row), math.floor(column), label)
            key: Key = (image, point.row, point.column)
            self._sizes.take(image, row, column, fields)
        else:
            between = 0.0
            y = self._share(line, row_text, "row")
            x = self._share(line, column_text, "column")
            key = (image, round(y, SHARE_DIGITS), round(x, SHARE_DIGITS))
            point = FilePoint(line, -1, -1, label, share=(y, x))
        if len(self._problems) != faults:
            return False
        self._fractions += bool(between)
        if self._doubles.is_new(key, point):
            self.images.setdefault(image, []).append(point)
        return label is not None

    def _positions(self, line: int, fields: list[str]) -> tuple[str, str]:
        row, column = self._places["row"], self._places["column"]
        if row != column:
            return fields[row], fields[column]
        # x and y, and a circle's radius, in one cell; `[[x,y]]` is one frame of a video
        numbers = [each for each in re.split(r"[,;\s]+", fields[row].strip("[](){} ")) if each]
        if len(numbers) not in (2, 3):
            self._wrong(line, "row", fields[row], "x,y")
            return "0", "0"
        return numbers[1], numbers[0]

    def _image(self, line: int, fields: list[str]) -> str:
        found = self._image_name or fields[self._places["image"]]
        name, foreign = relative_name(found)
        if name is None:
            self._wrong(line, "image", found, "a file name, or a path")
            return found
        if foreign:
            self.foreign.add(name)
        return name

    def _pixel(self, line: int, value: str, column: Column) -> float:
        """The position, which may lie between pixels, or outside of the photo."""
        least = 1 if self._options.one_based else 0
        found = number(value)
        self._percent_signs += value.endswith("%")
        if not self._typed:
            self._thousands.take(value, f"line {line}")
        self._shares_found &= found is not None and found <= 1
        share = found is not None and 0 < found < 1
        self._below_one += share
        if found is not None and not share and abs(found) < NO_PIXEL:
            self._largest = max(self._largest, found)
            return found - least
        self._wrong(line, column, value, f"an integer from {least}")
        return -1

    def _share(self, line: int, value: str, column: Column) -> float:
        most = 1 if self._coordinates == "fraction" else 100
        found = number(value.removesuffix("%").strip())
        # a .cpc file says the photo's size itself: what is beyond it is a point outside
        if found is not None and (0 <= found <= most or self._program.startswith("CPCe")):
            return found / most
        self._above_one |= found is not None and found > most == 1
        self._wrong(line, column, value, f"a number from 0 to {most} ({self._coordinates})")
        return -1.0

    def _label(self, line: int, fields: list[str]) -> LabelId | None:
        place = self._places.get("label", len(fields))
        value = fields[place] if place < len(fields) else ""
        if value and no_label(value, self._program):
            self._empty[value] += 1
            return None
        # the same letters, whichever way accents are stored
        value = unicodedata.normalize("NFC", value)
        if not value or not self._options.integer_labels:
            return value or None
        if INTEGER.fullmatch(value):
            return int(value)
        self._wrong(line, "label", value, "an integer")
        return None

    def _wrong(self, line: int, column: Column, value: str, expected: str) -> None:
        name = self._header[self._places[column]] if column in self._places else "the file's name"
        self._problems.append(
            f"line {line}, column {name}: found {shown_value(value)}, expected {expected}"
        )


def _is_total(fields: list[str]) -> bool:
    first = next((value for value in fields if value), "")
    return bool(TOTALS.fullmatch(first.strip(": ")))
