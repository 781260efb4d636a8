"""Numbers as spreadsheets of any language write them."""

from __future__ import annotations

import math
import re

#: ten digits and more are no pixel of any image
INTEGER = re.compile(r"[+-]?[0-9]{1,9}")
#: with a point or a comma: which of them is the locale's
DECIMAL = re.compile(r"[+-]?[0-9]{0,9}[.,]?[0-9]{1,20}(?:[eE][+-]?[0-9]{1,2})?|[+-]?[0-9]{1,9}[.,]")
#: 1.234 and 1,234 may be decimals, or have a separator of thousands; other numbers tell
EITHER = re.compile(r"[+-]?[1-9][0-9]{0,2}([.,])[0-9]{3}")
#: thousands apart by what is no decimal sign in any language: spaces of all widths, an apostrophe
APART = re.compile("[+-]?[0-9]{1,3}(?:[ \u00a0\u2009\u202f'\u2019][0-9]{3})+(?:[.,][0-9]+)?")
APARTS = re.compile("[ \u00a0\u2009\u202f'\u2019]")
#: both signs, or one of them twice: the last is the decimal one, if there are two
GROUPED = re.compile(
    r"[+-]?[0-9]{1,3}(?:(?:,[0-9]{3})+\.[0-9]+|(?:\.[0-9]{3})+,[0-9]+|(?:,[0-9]{3}){2,}"
    r"|(?:\.[0-9]{3}){2,})"
)


def number(value: str) -> float | None:
    """The number, with a point or a comma; None if it is none."""
    if APART.fullmatch(value):
        value = APARTS.sub("", value)
    elif GROUPED.fullmatch(value):
        groups, sign = _signs(value)
        value = value.replace(groups, "").replace(sign, ".")
    if not DECIMAL.fullmatch(value):
        return None
    found = float(value.replace(",", "."))
    return found if math.isfinite(found) else None


def _signs(value: str) -> tuple[str, str]:
    """The separator of thousands and the decimal sign of a number that has the first."""
    places = {sign: value.find(sign) for sign in ",." if sign in value}
    groups = min(places, key=places.__getitem__)
    return groups, "." if groups == "," else ","


class Thousands:
    """Whether 1.234 is one and a bit, or a thousand and more: the other numbers tell.

    So for 1,234. A sign that another number has before two digits, say, is the decimal one.
    """

    def __init__(self) -> None:
        self._first: dict[str, str] = {}
        self._decimals: set[str] = set()

    def take(self, value: str, place: str) -> None:
        """Look at a number; `place` says where it stands."""
        either = EITHER.fullmatch(value)
        if either:
            self._first.setdefault(either[1], f"{place}: found {value!r}")
            return
        if GROUPED.fullmatch(value):
            _, sign = _signs(value)
            if sign in value:
                self._decimals.add(sign)
            return
        self._decimals |= {sign for sign in ",." if sign in value}

    def problem(self) -> str:
        """What cannot be told; empty if all is clear."""
        unclear = [text for sign, text in self._first.items() if sign not in self._decimals]
        if not unclear:
            return ""
        return (
            f"{unclear[0]}, which may be a decimal or have a separator of thousands; expected"
            " pixels without one (in a spreadsheet, format the cells as numbers without it)"
        )
