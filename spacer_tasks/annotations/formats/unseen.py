"""What python-calamine does not tell of a workbook: hidden rows, and formulas never computed.

An .xlsx and an .ods are looked through, sheet by sheet; .xls and .xlsb are not.

Source of the formats: ECMA-376 part 1, 18.3.1.73 (`row`); OpenDocument 1.3 part 3, 19.749
(`table:visibility`).
"""

from __future__ import annotations

import re
import zlib
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import unescape
from io import BytesIO
from pathlib import PurePosixPath
from xml.etree import ElementTree
from zipfile import BadZipFile, ZipFile

from spacer_tasks.exceptions import PointsFileError

#: the first bytes of a ZIP archive, which .xlsx and .ods are
ZIP = b"PK\x03\x04"
#: what only a ZIP that is a spreadsheet has inside
XLSX, XLSB, ODS = "xl/workbook.xml", "xl/workbook.bin", "content.xml"
#: which files an .xlsx's sheets are in
RELATIONS = "xl/_rels/workbook.xml.rels"
RELATION_ID = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
STRICT_ID = "{http://purl.oclc.org/ooxml/officeDocument/relationships}id"
#: elements may have a prefix, which the program that writes the file chooses
PREFIX = rb"(?:[\w.-]+:)?"
#: a cell of an .xlsx with a formula and no value
NO_RESULT = re.compile(
    rb"(?:</%(p)sf>|<%(p)sf\b[^>]*/>)\s*(?:<%(p)sv\s*/>|<%(p)sv></%(p)sv>)?\s*</%(p)sc>"
    % {b"p": PREFIX}
)
#: a row, and what is written of it
ROW = re.compile(rb"<" + PREFIX + rb"row\b([^>]*)>")
ROW_NUMBER = re.compile(rb"(?<![\w:])r=[\"']([0-9]{1,7})[\"']")
HIDDEN = re.compile(rb"(?<![\w:])hidden=[\"'](?:1|true)[\"']")
#: a sheet of an .ods, a row of it, and what is written of both
ODS_SHEET = re.compile(rb"<" + PREFIX + rb"table\s([^>]*)>")
ODS_ROW = re.compile(rb"<" + PREFIX + rb"table-row\b([^>]*)>")
ODS_NAME = re.compile(PREFIX + rb"name=\"([^\"]*)\"")
ODS_REPEATED = re.compile(PREFIX + rb"number-rows-repeated=\"([0-9]{1,7})\"")
ODS_HIDDEN = re.compile(PREFIX + rb"visibility=\"(?:collapse|filter)\"")
#: bytes of a sheet that is looked through
LOOKED_THROUGH = 100_000_000


@dataclass
class Unseen:
    """Of one sheet: cells with a formula that nobody computed yet, and which rows are hidden."""

    formulas: int = 0
    hidden: list[range] = field(default_factory=list)

    def hidden_among(self, lines: Sequence[int]) -> int:
        """How many of these lines, in ascending order, are hidden."""
        return sum(
            bisect_left(lines, each.stop) - bisect_left(lines, each.start) for each in self.hidden
        )


def unseen_of(data: bytes, name: str) -> dict[str, Unseen]:
    """By sheet, what is not seen in it; empty where the format is not looked through.

    Raises
    ------
    PointsFileError
        The archive is no workbook.
    """
    if not data.startswith(ZIP):
        return {}
    try:
        with ZipFile(BytesIO(data)) as archive:
            inside = archive.namelist()
            if "word/document.xml" in inside or not {XLSX, XLSB, ODS} & set(inside):
                shown = ", ".join(map(repr, inside[:3]))
                raise PointsFileError(
                    f"{name}: looks like an archive (ZIP) with {shown}, not like a spreadsheet;"
                    " unpack it, or copy its table into a CSV"
                )
            if XLSX in inside:
                return {
                    sheet: _of_xlsx(_content(archive, file))
                    for sheet, file in _xlsx_sheets(archive).items()
                }
            return dict(_of_ods(_content(archive, ODS))) if ODS in inside else {}
    except (
        BadZipFile,
        ElementTree.ParseError,
        LookupError,
        ValueError,
        NotImplementedError,
        OSError,
        zlib.error,
    ):
        # told by what reads it
        return {}


def _content(archive: ZipFile, file: str) -> bytes:
    """A file's content; nothing where it is too long to be looked through."""
    return archive.read(file) if archive.getinfo(file).file_size <= LOOKED_THROUGH else b""


def _xlsx_sheets(archive: ZipFile) -> dict[str, str]:
    """The file of each sheet."""
    targets = {
        each.get("Id"): each.get("Target", "")
        for each in ElementTree.fromstring(_content(archive, RELATIONS))
    }
    found = {}
    for each in ElementTree.fromstring(_content(archive, XLSX)).iter():
        target = targets.get(each.get(RELATION_ID, each.get(STRICT_ID)), "")
        if each.tag.endswith("}sheet") and target:
            # from the root, or from the workbook's folder
            found[each.get("name", "")] = str(PurePosixPath("/xl", target))[1:]
    return {sheet: file for sheet, file in found.items() if file in archive.namelist()}


def _of_xlsx(content: bytes) -> Unseen:
    hidden = []
    line = 0
    for row in ROW.finditer(content):
        number = ROW_NUMBER.search(row[1])
        line = int(number[1]) if number else line + 1
        if HIDDEN.search(row[1]):
            hidden.append(range(line, line + 1))
    return Unseen(len(NO_RESULT.findall(content)), hidden)


def _of_ods(content: bytes) -> Iterator[tuple[str, Unseen]]:
    sheets = list(ODS_SHEET.finditer(content))
    ends = [*(each.start() for each in sheets[1:]), len(content)]
    for sheet, end in zip(sheets, ends, strict=True):
        hidden = []
        line = 1
        for row in ODS_ROW.finditer(content, sheet.end(), end):
            repeated = ODS_REPEATED.search(row[1])
            below = line + (int(repeated[1]) if repeated else 1)
            if ODS_HIDDEN.search(row[1]):
                hidden.append(range(line, below))
            line = below
        name = ODS_NAME.search(sheet[1])
        yield unescape(name[1].decode()) if name else "", Unseen(0, hidden)
