"""Texts in a CSV that a spreadsheet would run as formulas, and back.

A cell that begins with = + - @, a tab or a return is a formula to a spreadsheet, which can send
what stands in other cells elsewhere; blanks and marks without a width before it may be dropped. An
apostrophe before it makes it a text. It is taken off when the file is read: what already begins
with apostrophes and one of these gets one more.

Source: OWASP, "CSV Injection".
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from io import StringIO
from typing import TypeVar

#: what is not seen, and what makes a formula, in full width too
_BEGINS = (
    r"[\s\0\u200B-\u200F\u2060\uFEFF]*"
    r"[=+\-@\t\r\n\uFF1D\uFF0B\uFF0D\uFF20\u2212]"
)
_FORMULA = re.compile(f"'*{_BEGINS}")
_QUOTED = re.compile(f"'+{_BEGINS}")
Cell = TypeVar("Cell")


def quoted(value: Cell) -> Cell | str:
    """The value as it is written; numbers stay numbers."""
    # a location and whatever else is written by its text
    if value is None or isinstance(value, (int, float)):
        return value
    text = str(value)
    return f"'{text}" if _FORMULA.match(text) else value


def unquoted(text: str) -> str:
    """The text that was written as this cell."""
    return text[1:] if _QUOTED.match(text) else text


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """The rows of a CSV, each cell `quoted`, with line ends of one character."""
    lines = []
    line = StringIO(newline="")
    # before Python 3.13 a return inside a cell is put into quotes only where it ends lines too, and
    # without them it begins a row
    writer = csv.writer(line, lineterminator="\r\n")
    for row in rows:
        line.seek(0)
        line.truncate()
        writer.writerow(map(quoted, row))
        lines.append(line.getvalue().rstrip("\r\n"))
    return "".join(f"{each}\n" for each in lines)
