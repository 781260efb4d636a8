"""Workbooks as people keep them: several sheets, merged names, titles, dates, formulas."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from openpyxl import Workbook

from spacer_tasks.annotations.points import PointsFile, ReadOptions
from spacer_tasks.annotations.reading import read_points
from spacer_tasks.exceptions import PointsFileError

FIELD = Path(__file__).parents[3] / "fixtures/field"
HEADER: list[Any] = ["Name", "Row", "Column", "Label"]
POINT = ["A.jpg", 12, 30, "Sand"]
OTHER = ["B.jpg", 1, 2, "Turf"]


def workbook(sheets: dict[str, Sequence[Sequence[Any]]], **change: Any) -> bytes:
    book = Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    for sheet, cells in change.get("merged", ()):
        book[sheet].merge_cells(cells)
    for sheet in change.get("hidden", ()):
        book[sheet].sheet_state = "hidden"
    stream = BytesIO()
    book.save(stream)
    return stream.getvalue()


def read(data: bytes, **options: Any) -> tuple[list[Any], PointsFile]:
    file = read_points({"s.xlsx": data}, "s.xlsx", ReadOptions(**options))
    points = [(n, p.row, p.column, p.label) for n, some in file.images.items() for p in some]
    return points, file


def test_sheets_of_one_header_are_read_together_and_named() -> None:
    points, file = read(workbook({"T1": [HEADER, POINT], "Notes": [["x"]], "T2": [HEADER, OTHER]}))
    assert points == [("A.jpg", 12, 30, "Sand"), ("B.jpg", 1, 2, "Turf")]
    assert file.kind == "Excel workbook, sheets 'T1', 'T2'"
    assert file.warnings == ["s.xlsx: sheet 'Notes' not read (--sheet chooses one)"]


def test_sheets_that_fit_alike_with_other_headers_ask_for_one() -> None:
    data = workbook({"A": [HEADER, POINT], "B": [["Image", "Y", "X", "Class"], OTHER]})
    with pytest.raises(PointsFileError, match="sheets 'A', 'B' could all be the points"):
        read(data)
    assert read(data, sheet="B")[0] == [("B.jpg", 1, 2, "Turf")]
    with pytest.raises(PointsFileError, match="no sheet 'C' for --sheet; there are 'A', 'B'"):
        read(data, sheet="C")


def test_a_hidden_sheet_is_not_read_in_silence() -> None:
    data = workbook({"Old": [HEADER, OTHER], "New": [HEADER, POINT]}, hidden=["Old"])
    points, file = read(data)
    assert points == [("A.jpg", 12, 30, "Sand")]
    assert file.warnings == ["s.xlsx: hidden sheet 'Old' not read (--sheet chooses one)"]


def test_a_name_that_is_merged_over_its_rows_holds_for_each() -> None:
    rows: list[list[Any]] = [
        ["Survey of March"],
        HEADER,
        POINT,
        ["", 13, 30, "Turf"],
        OTHER,
        ["Total", 3],
    ]
    data = workbook({"S": rows}, merged=[("S", "A1:D1"), ("S", "A3:A4")])
    points, file = read(data)
    assert points == [
        ("A.jpg", 12, 30, "Sand"),
        ("A.jpg", 13, 30, "Turf"),
        ("B.jpg", 1, 2, "Turf"),
    ]
    assert "1 row of totals left out" in " ".join(file.warnings)


def test_numbers_are_numbers_and_texts_may_be_thousands() -> None:
    assert read(workbook({"S": [HEADER, ["A.jpg", 1.234, 30.5, 7]]}))[0] == [("A.jpg", 1, 30, "7")]
    with pytest.raises(PointsFileError, match=r"line 2: found '1.234', which may be a decimal"):
        read(workbook({"S": [HEADER, ["A.jpg", "1.234", 30, "a"]]}))


def test_a_date_in_a_position_is_named() -> None:
    with pytest.raises(PointsFileError, match="line 2, column Row: found '2024-01-12"):
        read(workbook({"S": [HEADER, ["A.jpg", datetime(2024, 1, 12), 30, "a"]]}))


def test_a_formula_without_a_result_is_no_label_and_no_position() -> None:
    rows: list[list[Any]] = [
        HEADER,
        ["A.jpg", 12, 30, '=CONCATENATE("Sa","nd")'],
        ["A.jpg", "=1+1", "=2+2", "x"],
    ]
    points, file = read(workbook({"S": rows}))
    assert points == [("A.jpg", 12, 30, None)]
    assert "formulas without a stored result" in " ".join(file.warnings)


@pytest.mark.parametrize("name", ["libreoffice.ods", "excel_97.xls"])
def test_older_and_open_workbooks_are_read(name: str) -> None:
    points, file = read((FIELD / name).read_bytes())
    assert points == [("A.jpg", 12, 30, "Porites"), ("A.jpg", 13, 31, "Île")]
    assert file.kind == "Excel workbook, sheet 'Points'"


def test_an_archive_that_is_no_workbook_is_named() -> None:
    stream = BytesIO()
    with ZipFile(stream, "w") as archive:
        archive.writestr("annotations.csv", "x")
    with pytest.raises(PointsFileError, match=r"an archive \(ZIP\) with 'annotations.csv', not"):
        read(stream.getvalue())


def test_a_workbook_with_nothing_in_it_is_an_input_error() -> None:
    with pytest.raises(PointsFileError, match="without a filled sheet"):
        read(workbook({"S": []}))


def test_one_photo_in_two_sheets_is_told_and_errors_name_the_sheet() -> None:
    _, file = read(workbook({"North": [HEADER, POINT], "South": [HEADER, ["A.jpg", 1, 2, "c"]]}))
    assert "A.jpg (sheet 'North', sheet 'South')" in " ".join(file.warnings)
    with pytest.raises(PointsFileError, match="sheet 'South', line 2, column Row: found 'x'"):
        read(workbook({"North": [HEADER, POINT], "South": [HEADER, ["B.jpg", "x", 2, "c"]]}))


def test_a_raw_sheet_of_cpce_says_that_it_has_no_positions() -> None:
    # as pointcoral's reader has its columns
    header = ["Raw data", "Notes", "Major category", "Frame limits", "Frame image name"]
    with pytest.raises(PointsFileError, match=r"without positions: give the \.cpc files"):
        read(
            workbook({"A_raw": [[*header, "CPC filename"], ["SPO", None, "S", "*", "A.jpg", "A"]]})
        )
