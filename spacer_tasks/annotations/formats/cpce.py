"""Coral Point Count's `.cpc`: one photo with its points, as CPCe 3 and 4 write it.

The first line names the code file and the photo and gives the photo's size in CPCe's units (15 a
pixel at 96 dpi, 12 at 120 dpi, other numbers at others); four lines give the border; then follow
the number of points, a line `x,y` for each, and a line `"number","code","Notes","note"` for each.
Up to 28 header fields at the end are not read. A position is a share of the size, so the unit does
not matter.

Source of the format: CoralNet's reader and writer, project/cpce in github.com/coralnet/coralnet.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from io import StringIO

from spacer_tasks.annotations.formats.tables import Table
from spacer_tasks.annotations.image_names import relative_name
from spacer_tasks.exceptions import PointsFileError

#: the first line and the border
ABOVE = 5
#: CPCe's units a pixel at 96 dpi, which CPCe 4 demands
UNITS = 15
#: by which share the border may be beyond the photo, through rounding
BORDER = 0.01
#: where another locale's semicolon stands between
DELIMITERS = (",", ";")


def is_cpc(text: str) -> bool:
    """Whether a text is a CPCe file, by its first lines."""
    return _delimiter(text) is not None


def cpc_table(text: str, name: str) -> Table:
    """The photo's points, as shares of its size.

    Raises
    ------
    PointsFileError
        Lines are missing or are not what they should be.
    """
    lines = list(csv.reader(StringIO(text, newline=""), delimiter=_delimiter(text) or ","))
    _, path, *sizes = lines[0]
    width, height = map(_value, sizes[:2])
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
    _refuse_other_border(lines[1:ABOVE], (width, height), name)
    rows = []
    for number, (position, code) in enumerate(zip(positions, codes, strict=True), ABOVE + 2):
        if len(position) != 2 or not all(map(_number, position)) or len(code) < 2:
            raise PointsFileError(
                f"{name}: line {number}: found {','.join(position)[:60]!r}, expected x,y"
            )
        if len(code) == len(position) and all(map(_number, code)):
            raise PointsFileError(
                f"{name}: a CPCe file that says {count} points and has more positions: found"
                f" {','.join(code)[:60]!r} where the first codes should be"
            )
        x, y = map(_value, position)
        rows.append((number, [path, repr(y / height), repr(x / width), code[1].strip()]))
    table = Table("CPCe .cpc", ["Name", "Row", "Column", "Label"], rows, "has", "fraction", True)
    image, _ = relative_name(path)
    if image:
        table.shapes[image] = (width, height)
    return table


def _refuse_other_border(
    border: Sequence[Sequence[str]], size: tuple[float, float], name: str
) -> None:
    """Raise `PointsFileError` where the border is not on the photo: one of the sizes is wrong."""
    for number, corner in enumerate(border, 2):
        if len(corner) < len(size) or not all(map(_number, corner[: len(size)])):
            raise PointsFileError(
                f"{name}: line {number}: found {','.join(corner)[:60]!r}, expected x,y of a corner"
            )
    for place, length in enumerate(size):
        most = max(_value(corner[place]) for corner in border)
        if most > (1 + BORDER) * length:
            raise PointsFileError(
                f"{name}: a CPCe file whose border reaches to {most:g} on a photo of"
                f" {size[0]:g} x {size[1]:g}: where its points are cannot be told"
            )


def cpc_text(image: str, size: tuple[int, int], points: Sequence[tuple[int, int, str, str]]) -> str:
    """The file of a photo, as CPCe 4 writes it.

    Parameters
    ----------
    size
        Width and height in pixels.
    points
        Row, column, code and note of each.
    """
    width, height = (UNITS * length for length in size)
    corners = [(0, height), (width, height), (width, 0), (0, 0)]
    lines = [f"{_quoted('')},{_quoted(image)},{width},{height},{width},{height}"]
    lines += [f"{x},{y}" for x, y in corners]
    lines.append(str(len(points)))
    lines += [f"{UNITS * column},{UNITS * row}" for row, column, _, _ in points]
    lines += [
        ",".join(map(_quoted, (str(number), code, "Notes", note)))
        for number, (_, _, code, note) in enumerate(points, start=1)
    ]
    return "".join(f"{line}\r\n" for line in lines)


def _quoted(text: str) -> str:
    """In quotes; CPCe knows no way to have one inside."""
    return '"' + " ".join(text.replace('"', "").split()) + '"'


def _delimiter(text: str) -> str | None:
    """What stands between the values; None where this is no CPCe file."""
    start = text[:8192]
    for delimiter in DELIMITERS:
        try:
            lines = csv.reader(StringIO(start, newline=""), delimiter=delimiter)
            first = next(lines, [])
            border = [fields for fields, _ in zip(lines, range(ABOVE - 1), strict=False)]
        except csv.Error:
            continue
        corners = [fields for fields in border if len(fields) == 2 and all(map(_number, fields))]
        numbers = len(first) == 6 and all(map(_number, first[2:]))
        if numbers and len(corners) == len(border) and not _number(first[1]):
            return delimiter
    return None


def _value(text: str) -> float:
    return float(text.strip().replace(",", "."))


def _number(text: str) -> bool:
    try:
        return math.isfinite(_value(text))
    except ValueError:
        return False
