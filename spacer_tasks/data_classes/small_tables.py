"""Small CSVs that people write by hand: the group of each label, the site of each photo.

They are taken in the encodings and with the delimiters of spreadsheets, and columns are found by
the names in their first line.
"""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO

from spacer_tasks.data_classes.csv_cells import unquoted
from spacer_tasks.exceptions import PointsFileError

DELIMITERS = ",;\t"
LABEL_COLUMNS = ("label", "label code", "short code", "code", "name")
GROUP_COLUMNS = ("group", "functional group", "category")
OLD_COLUMNS = ("old", "from", "label")
NEW_COLUMNS = ("new", "to")
IMAGE_COLUMNS = ("image", "name", "image name", "file name", "filename", "file", "photo")


@dataclass(frozen=True)
class SmallTable:
    """A table's columns by their names in small letters, and its rows with their lines."""

    name: str
    header: list[str]
    rows: list[tuple[int, list[str]]]

    def place_of(self, names: Sequence[str], what: str) -> int:
        """Which column has one of these names, the first name first.

        Raises
        ------
        PointsFileError
            None has, or several have.
        """
        for name in names:
            places = [i for i, each in enumerate(self.header) if plain(each) == plain(name)]
            if len(places) == 1:
                return places[0]
            if places:
                raise PointsFileError(f"{self.name}: {len(places)} columns are named {name!r}")
        raise PointsFileError(
            f"{self.name}: no column for {what}: expected {' or '.join(map(repr, names))} in the"
            f" first line, which has {', '.join(map(repr, self.header)) or 'nothing'}"
        )


def plain(name: str) -> str:
    """A column's name without regard to case, spaces, `-` and `_`."""
    return " ".join(name.replace("_", " ").replace("-", " ").casefold().split())


def read_table(data: bytes, name: str) -> SmallTable:
    """The table in a CSV file: UTF-8, UTF-16 or cp1252, delimited by comma, semicolon or tab.

    Raises
    ------
    PointsFileError
        It is empty or no CSV.
    """
    text = _decoded(data, name)
    first = text.partition("\n")[0]
    delimiter = max(DELIMITERS, key=first.count)
    try:
        reader = csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
        records = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except csv.Error as error:
        raise PointsFileError(f"{name}: not a CSV: {error}") from error
    records = [(line, cells) for line, cells in records if any(cells)]
    if not records:
        raise PointsFileError(f"{name}: the file is empty")
    (_, header), *rows = records
    return SmallTable(name, header, rows)


def read_pairs(
    data: bytes, name: str, first: Sequence[str], second: Sequence[str], what: tuple[str, str]
) -> dict[str, str]:
    """What stands in the second column, by what stands in the first. Other columns are passed over.

    Parameters
    ----------
    first, second
        Names of the columns.
    what
        What each column holds, in words.

    Raises
    ------
    PointsFileError
        A column is missing, a cell is empty, or a value of the first column is listed again with
        another one of the second. The text names the line.
    """
    table = read_table(data, name)
    places = table.place_of(first, what[0]), table.place_of(second, what[1])
    pairs: dict[str, str] = {}
    for line, cells in table.rows:
        found = [
            unicodedata.normalize("NFC", unquoted(cells[place])) if place < len(cells) else ""
            for place in places
        ]
        for value, described in zip(found, what, strict=True):
            if not value:
                raise PointsFileError(f"{name}: line {line} has no {described}")
        key, value = found
        if pairs.setdefault(key, value) != value:
            raise PointsFileError(
                f"{name}: line {line}: {what[0]} {key!r} has {what[1]} {value!r}, and"
                f" {pairs[key]!r} in a line before; expected one"
            )
    if not pairs:
        raise PointsFileError(f"{name}: no line below the first")
    return pairs


def _decoded(data: bytes, name: str) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ["utf-16"]
    else:
        encodings = ["utf-8-sig", "cp1252"]
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" in text:
            break
        return text
    raise PointsFileError(
        f"{name}: not a text file; expected a CSV in UTF-8. A workbook is saved as CSV first"
    )
