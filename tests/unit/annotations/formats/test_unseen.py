"""Rows that a filter hides, and formulas that nobody computed, of the sheets that are read."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from openpyxl import Workbook
from openpyxl.styles import Font

from spacer_tasks.annotations.points import ReadOptions
from spacer_tasks.annotations.reading import read_points

FIELD = Path(__file__).parents[3] / "fixtures/field"
HEADER = ["Name", "Row", "Column", "Label"]
ONE_HIDDEN = "1 hidden row, as a filter leaves it, is read as the others"


def warnings_of(data: bytes, sheet: str | None = None) -> str:
    return " ".join(read_points({"s": data}, "s", ReadOptions(sheet=sheet)).warnings)


def workbook(*hidden: int, old: bool = False) -> bytes:
    book = Workbook()
    sheets = [book.active, *([book.create_sheet("Old & <new>")] if old else [])]
    for number, sheet in enumerate(sheets):
        assert sheet is not None
        for row in (HEADER, ["A.jpg", 1 + number, 2, "Sand"], ["B.jpg", 3, 4 + number, "Turf"]):
            sheet.append(row)
    last: Any = sheets[-1]
    if old:
        last.cell(2, 4, "=1+1")
    # below the table: a row of a style only, as templates have them
    last.cell(9, 1).font = Font(bold=True)
    for line in (*hidden, 9):
        last.row_dimensions[line].hidden = True
    return saved(book)


def saved(book: Workbook) -> bytes:
    stream = BytesIO()
    book.save(stream)
    return stream.getvalue()


def changed(data: bytes, change: Callable[[str, bytes], bytes]) -> bytes:
    stream = BytesIO()
    with ZipFile(BytesIO(data)) as old, ZipFile(stream, "w") as new:
        for each in old.namelist():
            new.writestr(each, change(each, old.read(each)))
    return stream.getvalue()


def with_prefix(name: str, content: bytes) -> bytes:
    if not name.startswith("xl/worksheets/"):
        return content
    content = re.sub(rb"<(/?)(?=\w)", rb"<\1x:", content)
    return content.replace(b" xmlns=", b" xmlns:x=")


def test_rows_that_a_filter_hides_are_counted_where_they_are_read() -> None:
    assert ONE_HIDDEN in warnings_of(workbook(3))
    assert "2 hidden rows, as a filter leaves them, are read" in warnings_of(workbook(2, 3))


def test_rows_without_a_value_are_no_hidden_rows() -> None:
    assert "hidden" not in warnings_of(workbook())


def test_sheets_that_are_not_read_are_not_counted() -> None:
    data = workbook(3, old=True)
    first, second = warnings_of(data, "Sheet"), warnings_of(data, "Old & <new>")
    assert "hidden" not in first
    assert "formula" not in first
    assert ONE_HIDDEN in second
    assert "1 cells are formulas" in second


def test_xml_with_prefixes_is_looked_through() -> None:
    data = changed(workbook(3, old=True), with_prefix)
    assert "hidden" not in warnings_of(data, "Sheet")
    assert ONE_HIDDEN in warnings_of(data, "Old & <new>")
    assert "1 cells are formulas" in warnings_of(data, "Old & <new>")


@pytest.mark.parametrize("how", ["collapse", "filter"])
def test_an_open_document_s_hidden_rows_are_counted(how: str) -> None:
    def change(name: str, content: bytes) -> bytes:
        if name != "content.xml":
            return content
        head, first, second, last = content.split(b"<table:table-row>")
        row = b"<table:table-row>"
        hidden = f'<table:table-row table:visibility="{how}">'.encode()
        # empty rows between, and hidden ones down to the end of the sheet
        empty = b'<table:table-row table:number-rows-repeated="%d"><table:table-cell/>'
        end = b"</table:table>"
        below = (empty % 1000).replace(b">", f' table:visibility="{how}">'.encode(), 1)
        last = last.replace(end, below + b"</table:table-row>" + end)
        between = empty % 3 + b"</table:table-row>"
        return head + row + first + between + row + second + hidden + last

    data = changed((FIELD / "libreoffice.ods").read_bytes(), change)
    assert ONE_HIDDEN in warnings_of(data)
