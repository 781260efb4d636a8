"""The numbers of positions: pixels or shares, and what makes it doubtful which they are."""

from __future__ import annotations

from collections.abc import Callable

from spacer_tasks.annotations.numbers import Thousands, number
from spacer_tasks.annotations.points import Column, Coordinates
from spacer_tasks.console import counted

#: a number of no pixel of any image
NO_PIXEL = 1_000_000_000
#: told of a value that is wrong: its line, column and what was expected
Wrong = Callable[[int, Column, str, str], None]


class Positions:
    """Reads numbers of rows and columns, and notes what a person should look at.

    Parameters
    ----------
    least
        What the first pixel's row and column are called.
    given
        How positions are given, where an option says it.
    """

    def __init__(self, least: int, given: Coordinates | None, wrong: Wrong) -> None:
        self.least = least
        self._given = given
        self._wrong = wrong
        #: numbers are numbers, not texts in somebody's language
        self.typed = False
        #: what is beyond the photo is a point outside: the file says the photo's size itself
        self.beyond = False
        self._between = 0
        self._above_one = False
        self._percent_signs = 0
        self._thousands = Thousands()
        self._below_one = 0
        self._largest = 0.0
        self._largest_percent = 0.0
        self._shares_found = True

    def pixel(self, line: int, value: str, column: Column) -> float:
        """The position, which may lie between pixels, or outside of the photo."""
        found = number(value)
        self._percent_signs += value.endswith("%")
        if not self.typed:
            self._thousands.take(value, f"line {line}")
        self._shares_found &= found is not None and found <= 1
        share = found is not None and 0 < found < 1
        self._below_one += share
        if found is not None and not share and abs(found) < NO_PIXEL:
            self._largest = max(self._largest, found)
            return found - self.least
        self._wrong(line, column, value, f"an integer from {self.least}")
        return -1

    def share(self, line: int, value: str, column: Column, coordinates: Coordinates) -> float:
        """The position as a share of the photo, from 0 to 1."""
        most = 1 if coordinates == "fraction" else 100
        found = number(value.removesuffix("%").strip())
        if found is not None and (0 <= found <= most or self.beyond):
            if most > 1:
                self._largest_percent = max(self._largest_percent, found)
            return found / most
        self._above_one |= found is not None and found > most == 1
        self._wrong(line, column, value, f"a number from 0 to {most} ({coordinates})")
        return -1.0

    def lay_between(self) -> None:
        """Note a point that lies between pixels."""
        self._between += 1

    def problems(self, *, others: bool) -> list[str]:
        """What is wrong with all of them; `others` says whether something is wrong already."""
        found = [thousands] if (thousands := self._thousands.problem()) else []
        if 0 < self._largest_percent <= 1 and self._given is None:
            found.append(
                "all positions are from 0 to 1 percent: fractions of the image? Then give"
                " --coordinates fraction, or else --coordinates percent"
            )
        if not (others or found):
            return []
        if self._shares_found and self._below_one:
            found.append(
                "all positions are from 0 to 1: fractions of the image? Then give --coordinates"
                " fraction"
            )
        elif self._percent_signs:
            found.append("positions in percent: give --coordinates percent")
        elif self._above_one:
            found.append(
                "positions above 1 are no fractions: pixels? Then give --coordinates pixel"
            )
        return found

    def warnings(self) -> list[str]:
        """What a person should look at."""
        found = []
        if self._between:
            found.append(
                f"{counted(self._between, 'point')} between pixels: the pixel around was taken"
            )
        if 0 < self._largest <= 1:
            found.append(
                "all positions are 0 or 1: if they are fractions of the image, give --coordinates"
                " fraction"
            )
        elif 0 < self._largest <= 100 and not self.typed and self._between:
            found.append(
                "no position is above 100: if they are percentages, give --coordinates percent"
            )
        if 0 < self._largest_percent <= 1:
            found.append(
                "all positions are from 0 to 1 percent: if they are fractions of the image, give"
                " --coordinates fraction"
            )
        return found
