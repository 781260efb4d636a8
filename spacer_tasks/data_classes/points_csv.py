"""CSV files of points, with labels or without: image, row, column[, label].

What spreadsheets and CoralNet export is taken as it is: any of their encodings and delimiters,
and columns known by the usual names. Everything that is wrong with a file is told at once.

Labels are text, also where they look like numbers. Were it decided by what is in the file, one
more line could change the type of every label, and with it what a classifier answers; whoever
works with label ids says so (`integer_labels`).
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from typing import Literal

from spacer_tasks.data_classes.csv_cells import unquoted
from spacer_tasks.data_classes.labels import LabelId
from spacer_tasks.exceptions import PointsFileError

Column = Literal["image", "row", "column", "label"]

#: names of columns in use, without regard to case; `Name`, `Row`, `Column` and `Label` or
#: `Label code` are what CoralNet exports
SYNONYMS: dict[Column, tuple[str, ...]] = {
    "image": ("name", "image", "image name", "file name", "filename", "file", "photo"),
    "row": ("row", "y"),
    "column": ("column", "col", "x"),
    "label": ("label", "label code", "label id", "class"),
}
DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}
#: problems that an error lists; the rest is counted
LISTED = 10
#: characters of a value that an error shows
SHOWN = 60
#: ten digits and more are no pixel of any image
INTEGER = re.compile(r"[+-]?[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class FilePoint:
    """One point of a file. `line` counts from 1; row and column from 0; an empty label is None."""

    line: int
    row: int
    column: int
    label: LabelId | None = None


@dataclass(frozen=True)
class PointsFile:
    """What a file holds.

    Attributes
    ----------
    images
        The points of each image, images and points in the file's order. Names are relative paths
        with `/`.
    has_labels
        Whether there is a column of labels.
    warnings
        What a person should know although it stops nothing, one line each.
    """

    name: str
    images: dict[str, list[FilePoint]]
    has_labels: bool
    warnings: list[str] = field(default_factory=list)

    @property
    def point_count(self) -> int:
        """The points of all images."""
        return sum(map(len, self.images.values()))


def read_points_file(
    data: bytes,
    name: str,
    columns: Mapping[Column, str] | None = None,
    *,
    integer_labels: bool = False,
    labels_needed: bool = False,
) -> PointsFile:
    """The points in a CSV file.

    Parameters
    ----------
    data
        The file's content: UTF-8 with or without BOM, UTF-16, or else cp1252; delimited by comma,
        semicolon or tab.
    name
        Says which file in errors.
    columns
        The names of columns that are not among `SYNONYMS`.
    integer_labels
        Labels are integers, and anything else is wrong.
    labels_needed
        A file without a column of labels is wrong.

    Raises
    ------
    PointsFileError
        Columns are missing or ambiguous, lines are wrong, a point has two labels, or there is no
        point. The text names line, column, what was found and what was expected, ten times at
        most, and counts the rest.
    """
    text, warnings = _decoded(data, name)
    delimiter, header, places = _header(text, name, dict(columns or {}), labels_needed)
    reader = _Reader(name, header, places, integer_labels)
    for line, fields in _records(text, delimiter, name):
        reader.take(line, fields)
    reader.finish()
    if reader.repeated:
        warnings.append(f"{name}: {reader.repeated} points are listed again and were taken once")
    return PointsFile(name, reader.images, "label" in places, warnings)


def _decoded(data: bytes, name: str) -> tuple[str, list[str]]:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif b"\0" in data[:2]:
        # text in UTF-16 without its mark: each ASCII letter stands beside a zero
        encoding = "utf-16-be" if data[:1] == b"\0" else "utf-16-le"
    else:
        encoding = "utf-8-sig"
    try:
        return data.decode(encoding), []
    except UnicodeDecodeError as error:
        if encoding != "utf-8-sig":
            raise PointsFileError(
                f"{name}: looks like UTF-16, but is damaged at byte {error.start}"
            ) from error
        line = data.count(b"\n", 0, error.start) + 1
    try:
        text, taken = data.decode("cp1252"), "cp1252 (Windows)"
    except UnicodeDecodeError:
        text, taken = data.decode("latin-1"), "Latin-1"
    return text, [f"{name}: not UTF-8 (line {line}); read as {taken}: check names with accents"]


def _records(text: str, delimiter: str, name: str) -> Iterator[tuple[int, list[str]]]:
    """The lines below the header that are not empty, with the number of the line each starts in."""
    reader = csv.reader(StringIO(text, newline=""), delimiter=delimiter)
    try:
        next(reader, None)
        line = reader.line_num + 1
        for fields in reader:
            stripped = [value.strip() for value in fields]
            if any(stripped):
                yield line, stripped
            line = reader.line_num + 1
    except csv.Error as error:
        raise PointsFileError(f"{name}: line {reader.line_num}: {error}") from error


def _header(
    text: str, name: str, columns: dict[Column, str], labels_needed: bool
) -> tuple[str, list[str], dict[Column, int]]:
    """The delimiter, the names of the columns, and where those that are needed are."""
    candidates = []
    for delimiter in DELIMITERS:
        try:
            first: list[str] = next(csv.reader(StringIO(text, newline=""), delimiter=delimiter), [])
        except csv.Error as error:
            raise PointsFileError(f"{name}: line 1: {error}") from error
        header = [value.strip() for value in first]
        found = {column: _places(header, column, columns) for column in SYNONYMS}
        candidates.append((sum(map(bool, found.values())), len(header), delimiter, header, found))
    # the first of equal ones: a comma
    _, _, delimiter, header, found = max(candidates, key=lambda each: each[:2])
    problems = []
    for column, places in found.items():
        option = f"--{column}-column"
        if len(places) > 1:
            names = " and ".join(repr(header[place]) for place in places)
            problems.append(f"{names} could both be the {column}: say which with {option}")
        elif not places and (column != "label" or labels_needed or column in columns):
            wanted = repr(columns[column]) if column in columns else _synonyms(column)
            problems.append(f"no column for the {column}: expected {wanted} (or give {option})")
    if problems:
        there = ", ".join(map(repr, header[:LISTED])) or "nothing"
        read = f"whose first line, read with a {DELIMITERS[delimiter]} between, has {there}"
        raise _error(f"{name} ({read})", problems)
    return delimiter, header, {column: places[0] for column, places in found.items() if places}


def _places(header: Sequence[str], column: Column, columns: dict[Column, str]) -> list[int]:
    names = (columns[column],) if column in columns else SYNONYMS[column]
    plain = {_plain(name) for name in names}
    return [place for place, value in enumerate(header) if _plain(value) in plain]


def _plain(name: str) -> str:
    return " ".join(re.split(r"[\s_-]+", name.strip().casefold()))


def _synonyms(column: Column) -> str:
    *most, last = (repr(name) for name in SYNONYMS[column])
    return f"{', '.join(most)} or {last}"


class _Reader:
    """Takes lines one by one; keeps the points, and what is wrong."""

    def __init__(
        self, name: str, header: list[str], places: dict[Column, int], integer_labels: bool
    ) -> None:
        self.images: dict[str, list[FilePoint]] = {}
        self.repeated = 0
        self._name = name
        self._header = header
        self._places = places
        self._integer_labels = integer_labels
        self._problems: list[str] = []
        self._seen: dict[tuple[str, int, int], FilePoint] = {}

    def take(self, line: int, fields: list[str]) -> None:
        width = len(self._header)
        # spreadsheets end lines with empty fields
        if any(fields[width:]) or len(fields) <= max(self._places.values()):
            self._problems.append(
                f"line {line}: {len(fields)} fields, expected {width} as in the first line"
            )
            return
        faults = len(self._problems)
        image = self._image(line, fields)
        row, column = self._integer(line, fields, "row"), self._integer(line, fields, "column")
        label = self._label(line, fields)
        if len(self._problems) == faults:
            self._keep(image, FilePoint(line, row, column, label))

    def finish(self) -> None:
        """Raise what was wrong."""
        if not self._problems and not self.images:
            self._problems.append("no points below the first line")
        if self._problems:
            raise _error(self._name, self._problems)

    def _keep(self, image: str, point: FilePoint) -> None:
        first = self._seen.setdefault((image, point.row, point.column), point)
        if first is point:
            self.images.setdefault(image, []).append(point)
        elif first.label == point.label:
            self.repeated += 1
        else:
            self._problems.append(
                f"lines {first.line} and {point.line}: two labels for one point, {image} row"
                f" {point.row} column {point.column}: {_shown(first.label)} and"
                f" {_shown(point.label)}; expected one"
            )

    def _image(self, line: int, fields: list[str]) -> str:
        value = unquoted(fields[self._places["image"]]).replace("\\", "/").removeprefix("./")
        if not value or value.startswith("/") or ".." in value.split("/"):
            self._wrong(line, "image", value, "a file name, or a path below the folder of images")
        return value

    def _integer(self, line: int, fields: list[str], column: Column) -> int:
        value = fields[self._places[column]]
        if INTEGER.fullmatch(value) and int(value) >= 0:
            return int(value)
        self._wrong(line, column, value, "an integer from 0")
        return -1

    def _label(self, line: int, fields: list[str]) -> LabelId | None:
        value = unquoted(fields[self._places["label"]]) if "label" in self._places else ""
        if not value or not self._integer_labels:
            return value or None
        if INTEGER.fullmatch(value):
            return int(value)
        self._wrong(line, "label", value, "an integer")
        return None

    def _wrong(self, line: int, column: Column, value: str, expected: str) -> None:
        name = self._header[self._places[column]]
        self._problems.append(
            f"line {line}, column {name}: found {_shown(value)}, expected {expected}"
        )


def _shown(value: LabelId | None) -> str:
    if value is None or value == "":
        return "nothing"
    return repr(value[:SHOWN] + "…" if isinstance(value, str) and len(value) > SHOWN else value)


def _error(name: str, problems: list[str]) -> PointsFileError:
    if len(problems) == 1:
        return PointsFileError(f"{name}: {problems[0]}")
    listed = problems[:LISTED]
    if len(problems) > LISTED:
        listed.append(f"and {len(problems) - LISTED} more")
    lines = "\n".join(f"  {problem}" for problem in listed)
    return PointsFileError(f"{name}: {len(problems)} problems\n{lines}")
