"""Delimited text as a table: a header and rows, with the line each stands in."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import StringIO

from spacer_tasks.annotations.points import Coordinates
from spacer_tasks.data_classes.csv_cells import unquoted
from spacer_tasks.exceptions import PointsFileError

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", " ": "space"}
#: rows above the header that may be a title, an author, a date, remarks
TITLE_ROWS = 40
#: the line by which Excel is told the delimiter
SEP_LINE = re.compile(r"\"?sep=(.|\\t)\"?[,;\t]*\r?\n", re.IGNORECASE)
#: put behind the text: it is a row of its own unless a quote was left open
END = "\x1a"

Rows = list[tuple[int, list[str]]]
Known = Callable[[list[str]], int]


@dataclass
class Table:
    """A table. `read` says how it was read, in words; `rows` have the line each starts in."""

    kind: str
    header: list[str]
    rows: Iterator[tuple[int, list[str]]] | Rows
    read: str = ""
    coordinates: Coordinates = "pixel"
    #: numbers were numbers, not texts in somebody's language
    typed: bool = False
    #: of delimited text, whose cells may shift
    delimited: bool = False
    #: what `spacer-tasks classify` wrote, which counts from 0
    own: bool = False
    #: of each row, which of several sheets it is from; empty where there is one
    parts: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    #: width and height of each image in any unit, where the file says it
    shapes: dict[str, tuple[float, float]] = field(default_factory=dict)


def text_table(text: str, name: str, known: Known) -> Table:
    """The table in delimited text.

    Parameters
    ----------
    known
        How many of the columns that are looked for a header has: by it the delimiter is found, and
        the header below title rows.
    """
    skipped = 0
    sep = SEP_LINE.match(text)
    delimiters = list(DELIMITERS)
    if sep:
        text, skipped = text[sep.end() :], 1
        named = "\t" if sep[1] == "\\t" else sep[1]
        delimiters = [named, *(each for each in delimiters if each != named)]
    candidates = []
    for delimiter in delimiters:
        try:
            top = _top(text, delimiter)
        except csv.Error as error:
            raise PointsFileError(f"{name}: line 1: {error}") from error
        place = best_header(top, known)
        line, header = top[place] if place is not None else (1, [])
        if place is not None and _has_row_names(header, top[place + 1 :]):
            header = ["", *header]
        candidates.append((known(header), len(header), -line, delimiter, header))
    # the first of equal ones: a comma; a space only where nothing else finds as much
    _, _, line, delimiter, header = max(
        candidates, key=lambda each: (each[0], each[3] != " ", each[1])
    )
    between = f"a {DELIMITERS.get(delimiter, repr(delimiter))} between"
    where = "first line" if -line + skipped == 1 else f"line {-line + skipped}"
    return Table(
        "CSV",
        header,
        _records(text, delimiter, name, -line, skipped, len(header)),
        f"whose {where}, read with {between}, has",
        delimited=True,
    )


def best_header(top: Rows, known: Known) -> int | None:
    """Which of the first rows is the header; None if there is none."""
    return max(range(len(top)), key=lambda i: known(top[i][1]), default=None)


def _has_row_names(header: list[str], below: Rows) -> bool:
    """Whether rows are numbered in a column without a name, as R's `write.table` does it."""
    below = [(line, fields) for line, fields in below if not fields[0].startswith("#")]
    numbers = [fields[0] for _, fields in below]
    return (
        bool(below)
        and all(len(fields) == len(header) + 1 for _, fields in below)
        and all(map(str.isdecimal, numbers))
        and len(set(numbers)) == len(numbers)
        # or else lines end with a delimiter
        and any(fields[-1] for _, fields in below)
    )


def _top(text: str, delimiter: str) -> Rows:
    """The rows that may be the header; the first if none is."""
    top: Rows = []
    reader = csv.reader(StringIO(text, newline=""), delimiter=delimiter)
    line = 1
    for fields in reader:
        stripped = [value.strip() for value in fields]
        if any(stripped) or not top:
            top.append((line, stripped))
        line = reader.line_num + 1
        if len(top) == TITLE_ROWS:
            break
    return top


def _records(
    text: str, delimiter: str, name: str, header_line: int, skipped: int, width: int
) -> Iterator[tuple[int, list[str]]]:
    """The lines below the header that are not empty, with the number of the line each starts in."""
    end = "" if text.endswith(("\n", "\r")) else "\n"
    reader = csv.reader(StringIO(f"{text}{end}{END}", newline=""), delimiter=delimiter)
    line = 1
    try:
        for fields in reader:
            if fields == [END]:
                return
            at = line + skipped
            _refuse_swallowed(fields, name, at, delimiter, width)
            # what the project's own CSVs quote against spreadsheets is taken as it was
            stripped = [unquoted(value.strip()) for value in fields]
            if line > header_line and any(stripped):
                yield at, stripped
            line = reader.line_num + 1
    except csv.Error as error:
        raise PointsFileError(f"{name}: line {reader.line_num + skipped}: {error}") from error


def _refuse_swallowed(fields: list[str], name: str, line: int, delimiter: str, width: int) -> None:
    """Raise `PointsFileError` where a quote that is left open took in further lines."""
    for value in fields:
        rest = value.splitlines()[1:] if "\n" in value or "\r" in value else []
        if any(END in each or each.count(delimiter) >= max(width - 1, 1) for each in rest):
            raise PointsFileError(
                f"{name}: line {line}: a quote is opened before {value.splitlines()[0][:40]!r} and"
                f" takes in {len(rest)} further lines; expected one that is closed, or none"
            )
