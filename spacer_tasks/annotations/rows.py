"""From rows to points: each cell checked, doubles settled, everything wrong kept for one error."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter

from spacer_tasks.annotations.doubles import Doubles, Key, alike
from spacer_tasks.annotations.doubtful import conditions, is_date, no_label
from spacer_tasks.annotations.formats.tables import Table
from spacer_tasks.annotations.image_names import relative_name
from spacer_tasks.annotations.machine_labels import MachineLabels
from spacer_tasks.annotations.namesakes import Namesakes
from spacer_tasks.annotations.numbers import INTEGER
from spacer_tasks.annotations.other_rows import AROUND, OtherRows, is_total
from spacer_tasks.annotations.points import Column, Coordinates, FilePoint, ReadOptions
from spacer_tasks.annotations.positions import Positions
from spacer_tasks.annotations.problems import LISTED, problems_error, shown_value
from spacer_tasks.annotations.sizes import Sizes
from spacer_tasks.console import counted, listed
from spacer_tasks.data_classes.labels import LabelId

#: digits of a share that make two points one
SHARE_DIGITS = 9
#: of what `classify --threshold` and `review` write: whose a label is
STATUS = "status"
#: what no name and no label has; a line may be broken in a cell
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class RowReader:
    """Takes tables row by row; keeps the points, and what is wrong.

    Parameters
    ----------
    several
        Several files are read as one sheet: what is said of a row names its file.
    """

    def __init__(self, options: ReadOptions, *, several: bool = False) -> None:
        self.images: dict[str, list[FilePoint]] = {}
        self.foreign: set[str] = set()
        self.shapes: dict[str, tuple[float, float]] = {}
        self._options = options
        self._several = several
        self._part = ""
        self._problems: list[str] = []
        self._positions = Positions(1 if options.one_based else 0, options.coordinates, self._wrong)
        self._doubles = Doubles()
        self._parts: dict[str, list[str]] = {}
        self._others = OtherRows()
        #: by what cells say, since they say the same many times
        self._known_images: dict[str, str] = {}
        self._known_labels: dict[str, str] = {}
        self._empty: Counter[str] = Counter()
        self._dates: Counter[str] = Counter()
        self._nameless: list[str] = []
        self._warnings: list[str] = []
        self._machine: list[str] = []

    def take_table(
        self, table: Table, name: str, places: dict[Column, int], image_name: str
    ) -> None:
        """Take a table's rows. `image_name` is the image of all of them, where not empty."""
        self._header, self._places = table.header, places
        self._image_name = "" if "image" in places else image_name
        self._coordinates: Coordinates = table.coordinates
        self._positions.typed = table.typed
        self._positions.beyond = table.kind.startswith("CPCe")
        self._positions.least = int(self._options.one_based and not table.own)
        self._swap = self._options.swap and not table.own
        self._named = max((i for i, each in enumerate(table.header, 1) if each), default=0)
        self._delimited = table.delimited
        self._program = table.kind
        # what stands for no label depends on the program
        self._known_labels.clear()
        self._others.begin(table.header, places)
        self._sizes = Sizes(table.header)
        wanted = conditions(self._options.where, table.header, name)
        machine = MachineLabels(table.header, places.get("label"))
        self._namesakes = Namesakes(table.header, places.get("image"), places.get("label"))
        self._part = part = name if self._several else ""
        for number, (line, fields) in enumerate(table.rows):
            if table.parts:
                self._part = ", ".join(filter(None, (part, table.parts[number])))
            if self._others.is_between(fields):
                continue
            if not all(condition.holds(fields) for condition in wanted):
                self._others.filtered += 1
                continue
            if not self._others.is_other_shape(fields) and self._take(line, fields):
                machine.take(fields)
        if box := self._sizes.problem():
            self._problems.append(box)
        self._problems += self._namesakes.problems()
        self.shapes |= table.shapes | self._sizes.shapes()
        if self._options.labels_needed:
            self._warnings += self._namesakes.warnings()
            reviewed = self._options.truth and STATUS in table.header
            if reviewed or not table.own:
                self._machine += machine.warnings(name)
            elif self._options.truth:
                self._machine.append(
                    f"{name}: these labels are what `spacer-tasks classify` predicted, and are"
                    " taken as true here; the classifier would learn its own errors"
                )

    def finish(self, name: str) -> None:
        """Settle doubles, and raise what was wrong."""
        self._doubles.settle(self.images, self._options.duplicates)
        self._problems += self._doubles.problems
        if not self._problems and not self.images:
            self._problems.append(
                f"no row meets --where {' and '.join(self._options.where)}"
                if self._others.filtered
                else "no points below the first line"
            )
        self._problems += self._positions.problems(others=bool(self._problems))
        if self._problems:
            raise problems_error(name, self._problems)

    def warnings(self, name: str) -> list[str]:
        """What a person should know of what was read."""
        found = [*self._warnings, *self._doubles.unclear[:LISTED]]
        if unclear := len(self._doubles.unclear):
            found.append(
                f"{counted(unclear, 'point')} with several labels (--duplicates"
                f" {self._options.duplicates}; first, majority, drop and error can be chosen)"
            )
        if again := self._doubles.repeated:
            many = "point is" if again == 1 else "points are"
            once = "was" if again == 1 else "were"
            found.append(f"{again} {many} listed again and {once} taken once")
        several = {image: parts for image, parts in self._parts.items() if len(parts) > 1}
        if several:
            shown = listed([f"{image} ({', '.join(parts)})" for image, parts in several.items()])
            found.append(
                f"{counted(len(several), 'photo')} with points in several places, taken for one"
                f" photo each: {shown}; where they are different photos, put the folder before"
                " the name"
            )
        if self._options.labels_needed:
            found += [
                f"labels that differ little are taken for different ones: {labels}; --map makes"
                " them one"
                for labels in alike(self.images)
            ]
            if self._dates:
                values = listed([f"{value!r} ({count})" for value, count in self._dates.items()])
                found.append(f"labels that are dates: {values}: did a spreadsheet make them so?")
        if self._empty:
            values = ", ".join(f"{value!r} ({count})" for value, count in self._empty.items())
            found.append(f"read as no label: {values}")
        found += self._positions.warnings()
        if self._nameless:
            found.append(
                f"{counted(len(self._nameless), 'row')} with a value in a column without a name,"
                f" not read, first {self._nameless[0]}: a comma in a label that is not quoted?"
            )
        found += self._others.warnings()
        return [*(f"{name}: {text}" for text in found), *self._machine]

    def _take(self, line: int, fields: list[str]) -> bool:
        """Take a row; whether it is a point with a label."""
        width = len(self._header)
        # spreadsheets end lines with empty fields
        needed = max(place for column, place in self._places.items() if column != "label")
        if any(fields[width:]) or len(fields) <= needed:
            if is_total(fields):
                self._others.totals += 1
                return False
            self._problems.append(
                f"{self._at(line)}: {len(fields)} fields, expected {width} as in the first line"
            )
            return False
        faults = len(self._problems)
        row_text, column_text = self._position_texts(line, fields)
        if not (row_text and column_text) and is_total(fields):
            self._others.totals += 1
            return False
        if all(not value or no_label(value) for value in (row_text, column_text)):
            self._others.add_unplaced(line)
            return False
        if self._delimited and (extra := "".join(fields[self._named : width])):
            self._nameless.append(f"{self._at(line)}: {shown_value(extra)}")
        image = self._image(line, fields)
        if self._swap:
            row_text, column_text = column_text, row_text
        label = self._label(line, fields)
        if self._coordinates == "pixel":
            row = self._positions.pixel(line, row_text, "row")
            column = self._positions.pixel(line, column_text, "column")
            between = row % 1 or column % 1
            point = FilePoint(line, math.floor(row), math.floor(column), label)
            key: Key = (image, point.row, point.column)
            self._sizes.take(image, row, column, fields)
        else:
            between = 0.0
            y = self._positions.share(line, row_text, "row", self._coordinates)
            x = self._positions.share(line, column_text, "column", self._coordinates)
            key = (image, round(y, SHARE_DIGITS), round(x, SHARE_DIGITS))
            point = FilePoint(line, -1, -1, label, share=(y, x))
        if len(self._problems) != faults:
            return False
        if between:
            self._positions.lay_between()
        self._namesakes.take(fields, image, label)
        parts = self._parts.setdefault(image, []) if "/" not in image else []
        if self._part and self._part not in parts:
            parts.append(self._part)
        if self._doubles.is_new(key, point, self._part):
            self.images.setdefault(image, []).append(point)
        return label is not None

    def _position_texts(self, line: int, fields: list[str]) -> tuple[str, str]:
        row, column = self._places["row"], self._places["column"]
        if row != column:
            return fields[row], fields[column]
        # x and y, and a circle's radius, in one cell; `[[x,y]]` is one frame of a video
        numbers = [each for each in re.split(r"[,;\s]+", fields[row].strip(AROUND)) if each]
        if len(numbers) not in (2, 3):
            self._wrong(line, "row", fields[row], "x,y")
            return "0", "0"
        return numbers[1], numbers[0]

    def _image(self, line: int, fields: list[str]) -> str:
        found = self._image_name or fields[self._places["image"]]
        known = self._known_images.get(found)
        if known is not None:
            return known
        name, foreign = relative_name(found)
        if name is None or CONTROL.search(name):
            self._wrong(line, "image", found, "a file name, or a path")
            return found
        # the folders of files that name their photo are not always the photos'
        if foreign or (self._image_name and "/" in name):
            self.foreign.add(name)
        self._known_images[found] = name
        return name

    def _label(self, line: int, fields: list[str]) -> LabelId | None:
        place = self._places.get("label", len(fields))
        value = fields[place] if place < len(fields) else ""
        if not value:
            return None
        known = self._known_labels.get(value)
        if known is None:
            if no_label(value, self._program):
                self._empty[value] += 1
                return None
            if CONTROL.search(value):
                self._wrong(line, "label", value, "a text without control characters")
                return None
            # the same letters, whichever way accents are stored
            known = self._known_labels[value] = unicodedata.normalize("NFC", value)
            if is_date(value):
                self._dates[value] += 0
        if value in self._dates:
            self._dates[value] += 1
        value = known
        if not self._options.integer_labels:
            return value
        if INTEGER.fullmatch(value):
            return int(value)
        self._wrong(line, "label", value, "an integer")
        return None

    def _at(self, line: int) -> str:
        return f"{self._part}, line {line}" if self._part else f"line {line}"

    def _wrong(self, line: int, column: Column, value: str, expected: str) -> None:
        name = self._header[self._places[column]] if column in self._places else "the file's name"
        self._problems.append(
            f"{self._at(line)}, column {name}: found {shown_value(value)}, expected {expected}"
        )
