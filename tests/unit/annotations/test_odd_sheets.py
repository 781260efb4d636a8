"""What people save out of spreadsheets, R and pandas, in their languages: read, or refused."""

from __future__ import annotations

from typing import Any

import pytest

from spacer_tasks.annotations.points import ReadOptions
from spacer_tasks.annotations.reading import read_points, read_points_file
from spacer_tasks.data_classes.labels import LabelId
from spacer_tasks.exceptions import PointsFileError

HEADER = "Name,Row,Column,Label\n"
POINT = [("A.jpg", 12, 30, "Sand")]


def points_of(
    data: bytes, **options: Any
) -> tuple[list[tuple[str, int, int, LabelId | None]], str]:
    file = read_points_file(data, "sheet", options=ReadOptions(**options))
    points = [
        (name, point.row, point.column, point.label)
        for name, some in file.images.items()
        for point in some
    ]
    return points, " ".join(file.warnings)


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\r\nName;Row;Column;Label\r\nA.jpg;12;30;Sand\r\n",
        "\ufeffsep=,\nName,Row,Column,Label\nA.jpg,12,30,Sand\n",
        "Name\tRow\tColumn\tLabel\r\nA.jpg\t12\t30\tSand\r\n",
        "Name|Row|Column|Label\nA.jpg|12|30|Sand\n",
        "Name,Row,Column,Label\rA.jpg,12,30,Sand\r",
        "Bild;Zeile;Spalte;Etikett\nA.jpg;12,0;30,0;Sand\n",
        "Image;Ligne;Colonne;Étiquette\nA.jpg;12;30;Sand\n",
        "Imagen;Fila;Columna;Etiqueta\nA.jpg;12;30;Sand\n",
        ",Name,Row,Column,Label\n0,A.jpg,12.0,30.0,Sand\n",
        '"","Name","Row","Column","Label"\n"1","A.jpg",1.2e1,30,"Sand"\n',
        '"Name" "Row" "Column" "Label"\n"1" "A.jpg" 12 30 "Sand"\n',
        "Name Row Column Label\nA.jpg 12 30 Sand\n",
        "Name\u00a0,Row,Column,Label\nA.jpg\u00a0,12\u00a0,30,Sand\n",
        "# Row ; Column ; Label; Name\n12 ; 30 ; Sand ; A.jpg\n",
    ],
)
def test_a_sheet_of_another_habit_is_read_alike(text: str) -> None:
    assert points_of(text.encode())[0] == POINT


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
def test_unicode_of_each_kind_is_read_without_a_word(encoding: str) -> None:
    text = "Name\tRow\tColumn\tLabel\r\nA.jpg\t12\t30\tSänd\r\n"
    assert points_of(text.encode(encoding)) == ([("A.jpg", 12, 30, "Sänd")], "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Survey 2024;;;\nName;Row;Column;Label\nA.jpg;12;30;Sand\nTotal;;;1\n", "1 row of totals"),
        ("Name;Row;Column;Label\nA.jpg;12;30;Sand\nSumme;;;1\n", "1 row of totals"),
        (HEADER + "A.jpg,12,30,Sand\nTotal,1,,\n", "1 row of totals"),
        (HEADER + "A.jpg,12,30,Sand\nA.jpg,nan,nan,\n", "1 row without a position left out, first"),
        (HEADER + "A.jpg,12.6,30.2,Sand\n", "1 point between pixels"),
    ],
)
def test_what_was_left_out_or_assumed_is_told(text: str, said: str) -> None:
    points, warnings = points_of(text.encode())
    assert points == POINT
    assert said in warnings


def test_cp1252_is_told_and_read() -> None:
    points, warnings = points_of((HEADER + "A.jpg,12,30,Sänd\n").encode("cp1252"))
    assert points == [("A.jpg", 12, 30, "Sänd")]
    assert "not UTF-8 (line 2); read as cp1252 (Windows)" in warnings


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("A.jpg,0,1,x\nA.jpg,1,0,x\n", "if they are fractions of the image"),
        ("A.jpg,50.5,25,x\n", "if they are percentages"),
    ],
)
def test_positions_that_may_be_shares_are_asked_about(rows: str, said: str) -> None:
    assert said in points_of((HEADER + rows).encode())[1]


@pytest.mark.parametrize(
    ("header", "row", "said"),
    [
        ("Verified", "False", "Verified = False"),
        ("Verified", "FALSCH", "Verified = FALSCH"),
        ("Status", "Unconfirmed", "Status = Unconfirmed"),
        ("needs_review", "True", "needs_review = True"),
        ("Annotator", "Alleviate", "Annotator = Alleviate"),
    ],
)
def test_labels_that_nobody_confirmed_are_counted(header: str, row: str, said: str) -> None:
    text = f"Name,Row,Column,Label,{header}\nA.jpg,12,30,Sand,{row}\nA.jpg,13,30,Sand,\n"
    assert f"1 of 2 labels have {said}" in points_of(text.encode(), labels_needed=True)[1]


@pytest.mark.parametrize("cell", ["50,5 %", "50.5%", "50,5"])
def test_percent_signs_are_read_where_percent_is_meant(cell: str) -> None:
    text = f"Name;Row;Column\nA.jpg;{cell};25\n"
    file = read_points_file(text.encode(), "s", options=ReadOptions(coordinates="percent"))
    assert file.images["A.jpg"][0].share == (0.505, 0.25)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "the file is empty; expected a line of column names"),
        (b"\n\n", "the file is empty"),
        (b"%PDF-1.4 \x00\x01", "looks like a PDF; export the table as CSV"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "looks like a photo (JPEG)"),
        (b"\x1f\x8b\x08\x00", "looks like a compressed file (gzip); unpack it"),
        (b"PK\x03\x04\x14\x00", "looks like a spreadsheet, but cannot be read"),
        (b"abc\x01\x00\x00,d", "looks like a binary file"),
        (b"<html><table><tr><td>Name</td>", "looks like a web page or XML"),
        (b"A.jpg,12,30,Sand\n", "the first line looks like a point: put a line of names above"),
        (b"Image,Coral,Sand\nA.jpg,30,50\n", "it may be a table of cover or of metadata"),
        (b"Label ID,Short Code\n66,Porit\n", "it looks like a label set"),
        (b"Name,Latitude,Longitude\nA.jpg,1,2\n", "it has places on the globe"),
        (b"image,xmin,ymin,xmax,ymax\nA.jpg,1,2,3,4\n", "it looks like boxes, not points"),
        (b'{"images": [], "annotations": []}', "JSON without points that are known"),
        (b"{", "looks like JSON, but cannot be read"),
        (b"Name;Row;Column\nA.jpg;1.234;2.345\n", "may be a decimal or have a separator of thous"),
        (b"Name,Row,Column\nA.jpg,50%,25%\n", "positions in percent: give --coordinates percent"),
        (b"Name,Row,Column\nA.jpg,12. Jan,30\n", "line 2, column Row: found '12. Jan'"),
        (b"Name,Row,Column\nA.jpg,#REF!,30\n", "line 2, column Row: found '#REF!'"),
        (b"Name,Row,Column,Label,Label\nA.jpg,1,2,a,b\n", "could both be the label: say which"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_sentence(data: bytes, said: str) -> None:
    with pytest.raises(PointsFileError) as error:
        points_of(data)
    assert said in str(error.value)


def test_decimals_of_any_length_show_that_a_point_is_no_separator() -> None:
    text = HEADER + "A.jpg,1.234,2.5,Sand\n"
    assert points_of(text.encode())[0] == [("A.jpg", 1, 2, "Sand")]


def test_a_value_behind_the_last_named_column_is_told_with_its_line() -> None:
    text = "Name,Row,Column,Label,\nA.jpg,12,30,Coral, branching\nB.jpg,1,2,Sand,\n"
    points, warnings = points_of(text.encode())
    assert points[0] == ("A.jpg", 12, 30, "Coral")
    assert "1 row with a value in a column without a name, not read, first line 2" in warnings
    assert "'branching': a comma in a label that is not quoted?" in warnings


@pytest.mark.parametrize("row", ["A.jpg,12,30,Co\0ral", "A\x07.jpg,12,30,Sand"])
def test_control_characters_are_refused_wherever_they_stand(row: str) -> None:
    text = HEADER + "B.jpg,1,2,Sand\n" * 600 + row + "\n"
    with pytest.raises(PointsFileError, match=r"line 602, column (Label|Name): found"):
        points_of(text.encode())


def test_labels_that_differ_in_leading_zeros_are_told() -> None:
    text = HEADER + "A.jpg,1,2,01\nA.jpg,3,4,1\n"
    assert (
        "taken for different ones: '01' (1) and '1' (1)"
        in points_of(text.encode(), labels_needed=True)[1]
    )


@pytest.mark.parametrize(
    "label",
    [
        *("1-Mar", "Mar-01", "2024-03-01", "01-Dec-2024", "01/03/2024", "1/3/24", "01.03.2024"),
        *("2024/3/1", "01. Mrz", "01-août", "1-ene", "01-Dez-24", "mars-01", "1-set", "01-03-2024"),
    ],
)
def test_labels_that_a_spreadsheet_made_dates_are_asked_about(label: str) -> None:
    text = HEADER + f"A.jpg,1,2,{label}\n"
    assert (
        f"labels that are dates: '{label}' (1)" in points_of(text.encode(), labels_needed=True)[1]
    )


@pytest.mark.parametrize("label", ["Mar", "1.3", "1/3", "M-1", "2024", "Turf 24", "1-2/2024"])
def test_labels_that_are_no_dates_are_not_asked_about(label: str) -> None:
    text = HEADER + f"A.jpg,1,2,{label}\n"
    assert "dates" not in points_of(text.encode(), labels_needed=True)[1]


def test_what_is_wrong_in_one_of_many_files_names_the_file() -> None:
    good, bad = (HEADER + row for row in ("A.jpg,12,30,Sand\n", "A.jpg,x,30,Sand\n"))
    with pytest.raises(PointsFileError, match=r"b\.csv, line 2, column Row: found 'x'"):
        read_points({"a.csv": good.encode(), "b.csv": bad.encode()}, "folder", ReadOptions())
