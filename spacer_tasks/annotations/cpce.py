"""Coral Point Count's `.cpc`: one photo with its points, as CPCe 4 writes it.

The first line names the code file and the photo and gives the photo's size in CPCe's units (15 a
pixel at 96 dpi, other numbers at others); four lines give the border; then follow the number of
points, a line `x,y` for each, and a line `"number","code","Notes","note"` for each. A position is
a share of the size, so the unit does not matter.
"""

from __future__ import annotations

import csv
import math
from io import StringIO

from spacer_tasks.annotations.tables import Table
from spacer_tasks.exceptions import PointsFileError

#: the first line and the border
ABOVE = 5


def is_cpc(text: str) -> bool:
    """Whether a text is a CPCe file, by its first line."""
    try:
        first = next(csv.reader(StringIO(text[:4096], newline="")), [])
    except csv.Error:
        return False
    return len(first) == 6 and first[0].lower().endswith(".txt") and all(map(_number, first[2:]))


def cpc_table(text: str, name: str) -> Table:
    """The photo's points, as shares of its size.

    Raises
    ------
    PointsFileError
        Lines are missing or are not what they should be.
    """
    lines = list(csv.reader(StringIO(text, newline="")))
    _, path, *sizes = lines[0]
    width, height = float(sizes[0]), float(sizes[1])
    try:
        count = int(lines[ABOVE][0])
    except (IndexError, ValueError):
        raise PointsFileError(
            f"{name}: a CPCe file whose line {ABOVE + 1} is not the number of points"
        ) from None
    positions = lines[ABOVE + 1 : ABOVE + 1 + count]
    codes = lines[ABOVE + 1 + count : ABOVE + 1 + 2 * count]
    if count < 1 or len(codes) < count or min(width, height) <= 0:
        raise PointsFileError(
            f"{name}: a CPCe file that is cut short: it says {count} points, and has"
            f" {len(positions)} positions and {len(codes)} codes"
        )
    rows = []
    for number, (position, code) in enumerate(zip(positions, codes, strict=True), ABOVE + 2):
        if len(position) != 2 or not all(map(_number, position)) or len(code) < 2:
            raise PointsFileError(
                f"{name}: line {number}: found {','.join(position)[:60]!r}, expected x,y"
            )
        x, y = map(float, position)
        rows.append((number, [path, repr(y / height), repr(x / width), code[1].strip()]))
    return Table(
        "CPCe .cpc", ["Name", "Row", "Column", "Label"], rows, "has", "fraction", typed=True
    )


def _number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
