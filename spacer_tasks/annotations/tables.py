"""Delimited text and workbooks as tables: a header and rows, with the line each stands in."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BytesIO, StringIO

from spacer_tasks.annotations.points import Coordinates
from spacer_tasks.data_classes.csv_cells import unquoted
from spacer_tasks.exceptions import PointsFileError

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", " ": "space"}
#: rows above the header that may be a title, an author, a date
TITLE_ROWS = 10
#: the first bytes of a ZIP archive, which every .xlsx is, and of an old .xls
XLSX, XLS = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
#: the line by which Excel is told the delimiter
SEP_LINE = re.compile(r"\ufeff?\"?sep=(.)\"?\r?\n", re.IGNORECASE)

Rows = list[tuple[int, list[str]]]


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
    warnings: list[str] = field(default_factory=list)


def decoded(data: bytes, name: str) -> tuple[str, list[str]]:
    """The text of a file in any of the encodings of spreadsheets, and what to check in it."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif b"\0" in data[:2]:
        # text in UTF-16 without its mark: each ASCII letter stands beside a zero
        encoding = "utf-16-be" if data[:1] == b"\0" else "utf-16-le"
    else:
        encoding = "utf-8-sig"
    try:
        return _with_newlines(data.decode(encoding)), []
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
    return _with_newlines(text), [
        f"{name}: not UTF-8 (line {line}); read as {taken}: check names with accents"
    ]


def _with_newlines(text: str) -> str:
    """Excel on old Macs ends lines with a return alone."""
    return text if "\n" in text else text.replace("\r", "\n")


def text_table(text: str, name: str, known: Callable[[list[str]], int]) -> Table:
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
        delimiters = [sep[1]]
    candidates = []
    for delimiter in delimiters:
        try:
            top = _top(text, delimiter)
        except csv.Error as error:
            raise PointsFileError(f"{name}: line 1: {error}") from error
        place = max(range(len(top)), key=lambda i: known(top[i][1]), default=None)
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
        _records(text, delimiter, name, -line, skipped),
        f"whose {where}, read with {between}, has",
    )


def _has_row_names(header: list[str], below: Rows) -> bool:
    """Whether rows are numbered in a column without a name, as R's `write.table` does it."""
    return bool(below) and all(
        len(fields) == len(header) + 1 and fields[0] == str(number)
        for number, (_, fields) in enumerate(below, start=1)
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
    text: str, delimiter: str, name: str, header_line: int, skipped: int
) -> Iterator[tuple[int, list[str]]]:
    """The lines below the header that are not empty, with the number of the line each starts in."""
    reader = csv.reader(StringIO(text, newline=""), delimiter=delimiter)
    line = 1
    try:
        for fields in reader:
            # what the project's own CSVs quote against spreadsheets is taken as it was
            stripped = [unquoted(value.strip()) for value in fields]
            if line > header_line and any(stripped):
                yield line + skipped, stripped
            line = reader.line_num + 1
    except csv.Error as error:
        raise PointsFileError(f"{name}: line {reader.line_num + skipped}: {error}") from error


def workbook_table(data: bytes, name: str, known: Callable[[list[str]], int]) -> Table:
    """The table of an Excel workbook: of the sheet whose header fits best.

    Raises
    ------
    PointsFileError
        It is no workbook, or python-calamine, which reads it, is missing.
    """
    try:
        from python_calamine import CalamineError, CalamineWorkbook
    except ImportError:
        raise PointsFileError(
            f"{name}: an Excel workbook; reading it needs python-calamine (extra [cli]), or save it"
            " as CSV"
        ) from None
    best: tuple[int, Table] | None = None
    try:
        workbook = CalamineWorkbook.from_filelike(BytesIO(data))
        for sheet in workbook.sheet_names:
            cells = workbook.get_sheet_by_name(sheet).to_python(skip_empty_area=False)
            rows = [
                (line, [_cell(value) for value in row]) for line, row in enumerate(cells, start=1)
            ]
            filled = [(line, row) for line, row in rows if any(row)]
            top = filled[:TITLE_ROWS]
            if not top:
                continue
            place = max(range(len(top)), key=lambda i: known(top[i][1]))
            line, header = top[place]
            table = Table(
                f"Excel workbook, sheet {sheet!r}",
                header,
                filled[place + 1 :],
                f"an Excel workbook; line {line} of its sheet {sheet!r} has",
                typed=True,
            )
            if best is None or known(header) > best[0]:
                best = (known(header), table)
    except (CalamineError, ValueError, OSError) as error:
        raise PointsFileError(
            f"{name}: looks like an Excel workbook, but cannot be read ({error}); save it as CSV"
        ) from error
    if best is None:
        raise PointsFileError(f"{name}: an Excel workbook without a filled sheet")
    return best[1]


def _cell(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, bool):
        return "True" if value else "False"
    return str(value).strip()
