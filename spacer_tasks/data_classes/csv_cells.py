"""Texts in a CSV that a spreadsheet would run as formulas, and back.

A cell that begins with = + - @, a tab or a return is a formula to a spreadsheet, which can send
what stands in other cells elsewhere. An apostrophe before it makes it a text. It is taken off when
the file is read: what already begins with apostrophes and one of these gets one more.

Source: OWASP, "CSV Injection".
"""

from __future__ import annotations

import re
from typing import TypeVar

_FORMULA = re.compile(r"'*[=+\-@\t\r\n\uFF1D\uFF0B\uFF0D\uFF20]")
_QUOTED = re.compile(r"'+[=+\-@\t\r\n\uFF1D\uFF0B\uFF0D\uFF20]")
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
