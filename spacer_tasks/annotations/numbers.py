"""Numbers as spreadsheets of any language write them."""

from __future__ import annotations

import math
import re

#: ten digits and more are no pixel of any image
INTEGER = re.compile(r"[+-]?[0-9]{1,9}")
#: with a point or a comma: which of them is the locale's
DECIMAL = re.compile(r"[+-]?[0-9]{0,9}[.,]?[0-9]{1,20}(?:[eE][+-]?[0-9]{1,2})?|[+-]?[0-9]{1,9}[.,]")
#: 1,234 may be either: a decimal comma, or thousands
THOUSANDS = re.compile(r"[0-9]{1,3},[0-9]{3}")
#: 1.234 too, where no other number of the file has another count of digits behind the point
POINT_THOUSANDS = re.compile(r"[1-9][0-9]{0,2}\.[0-9]{3}")


def number(value: str) -> float | None:
    """The number, with a point or a comma; None if it is none."""
    if not DECIMAL.fullmatch(value):
        return None
    found = float(value.replace(",", "."))
    return found if math.isfinite(found) else None


class Thousands:
    """Whether 1.234 is one and a bit, or a thousand and more: the other numbers tell."""

    def __init__(self) -> None:
        self._first = ""
        self._decimals = False

    def take(self, value: str, place: str) -> None:
        """Look at a number; `place` says where it stands."""
        if "." not in value:
            return
        if POINT_THOUSANDS.fullmatch(value):
            self._first = self._first or f"{place}: found {value!r}"
        else:
            self._decimals = True

    def problem(self) -> str:
        """What cannot be told; empty if all is clear."""
        if not self._first or self._decimals:
            return ""
        return (
            f"{self._first}, which may be a decimal or have a separator of thousands; expected"
            " pixels without one (in a spreadsheet, format the cells as numbers without it)"
        )
