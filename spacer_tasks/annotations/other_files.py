"""Files that are no points, told by what they look like and what to do instead."""

from __future__ import annotations

import re
from collections.abc import Sequence

from spacer_tasks.annotations.column_names import length_unit, plain
from spacer_tasks.exceptions import PointsFileError

#: the first bytes of files that are neither text nor workbooks
BINARY: dict[bytes, str] = {
    b"%PDF": "a PDF; export the table as CSV",
    b"\xff\xd8\xff": "a photo (JPEG); give the sheet of its points",
    b"\x89PNG": "a picture (PNG); give the sheet of its points",
    b"\x1f\x8b": "a compressed file (gzip); unpack it",
    b"7z\xbc\xaf": "an archive (7z); unpack it",
    b"Rar!": "an archive (RAR); unpack it",
    b"PAR1": "a Parquet file; in Python, pandas.read_parquet(…).to_csv(…) makes a CSV of it",
    b"SQLite format 3": "a database; export the table as CSV",
    b"RDX": "a file of R; in R, write.csv(…) makes a CSV of it",
}
#: a page or XML that some programs save as .xls
MARKUP = re.compile(r"\s*<(?:!doctype|html|table|\?xml|\w+[ >])", re.IGNORECASE)
#: columns by which another kind of table is known, and what it is
OTHER_TABLES: tuple[tuple[frozenset[str], str], ...] = (
    (
        frozenset({"taglab region id"}),
        "it looks like TagLab's table of regions: export its points, whose table has 'Image name'",
    ),
    (
        frozenset({"image label id"}),
        "it looks like BIIGLE's labels of whole images: request the report of annotations",
    ),
    (
        frozenset({"video id"}),
        "it looks like annotations of a video: points of photos are read",
    ),
    (
        frozenset({"annotation status", "points"}),
        "it looks like CoralNet's percent covers, a line for each photo: export the annotations",
    ),
    (
        frozenset({"xmin", "ymin", "xmax", "ymax"}),
        "it looks like boxes, not points: export points, or make a column each of their middles",
    ),
    (
        frozenset({"raw data", "frame image name"}),
        "it looks like a raw sheet of CPCe's workbooks, without positions: give the .cpc files",
    ),
    (
        frozenset({"latitude", "longitude"}),
        "it has places on the globe, not on the photo: export the points' rows and columns",
    ),
    (
        frozenset({"label id", "short code"}),
        "it looks like a label set, not like points: export the annotations",
    ),
)
#: the first line is a point where one of its cells is a photo's name
PHOTO = re.compile(r".+\.(?:jpe?g|png|tiff?|bmp|webp)", re.IGNORECASE)


def refuse_binary(data: bytes, name: str) -> None:
    """Raise `PointsFileError` for a file that is empty or of a known kind without points."""
    if not data.strip():
        raise PointsFileError(
            f"{name}: the file is empty; expected a line of column names and a line for each point"
        )
    for start, what in BINARY.items():
        if data.startswith(start):
            raise PointsFileError(f"{name}: looks like {what}")


def refuse_markup(text: str, name: str) -> None:
    """Raise `PointsFileError` for a page or XML, and for text that has bytes of no text."""
    if MARKUP.match(text):
        raise PointsFileError(
            f"{name}: looks like a web page or XML, which some programs save as .xls; open it in a"
            " spreadsheet and save it as .xlsx or CSV"
        )
    if "\0" in text[:4096]:
        raise PointsFileError(
            f"{name}: looks like a binary file; expected CSV, .xlsx, .cpc or JSON"
        )


def hint(header: Sequence[str], found: Sequence[str]) -> str:
    """What a table without the columns needed may be; empty if nothing is known.

    Parameters
    ----------
    found
        The columns that were found.
    """
    numbers = sum(value.replace(".", "").isdecimal() for value in header)
    if not found and (any(PHOTO.fullmatch(value) for value in header) or numbers > 1):
        return "the first line looks like a point: put a line of names above, Name,Row,Column,Label"
    if {"image", "row", "column"} <= set(found):
        return ""
    there = {plain(value) for value in header}
    for columns, what in OTHER_TABLES:
        if columns <= there:
            return what
    lengths = [value for value in header if length_unit(value)]
    if len(lengths) > 1 and not {"row", "column"} & set(found):
        return (
            f"{' and '.join(map(repr, lengths[:2]))} are lengths; positions on the photo are"
            " needed, in pixels, fractions or percent"
        )
    if "image" in found and not {"row", "column"} & set(found):
        return (
            "without positions it may be a table of cover or of metadata, a line for each photo:"
            " export the points"
        )
    return ""
