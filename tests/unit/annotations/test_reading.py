from __future__ import annotations

import codecs

import pytest

from spacer_tasks.annotations.points import Column, Duplicates, PointsFile, ReadOptions
from spacer_tasks.annotations.reading import read_points_file
from spacer_tasks.exceptions import PointsFileError

HEADER = "Name,Row,Column,Label\n"


def read(text: str, **options: object) -> PointsFile:
    return read_points_file(text.encode(), "points.csv", **options)  # type: ignore[arg-type]


def rows(file: PointsFile) -> list[tuple[str, int, int, object]]:
    return [
        (image, point.row, point.column, point.label)
        for image, points in file.images.items()
        for point in points
    ]


def error_of(text: str, **options: object) -> str:
    with pytest.raises(PointsFileError) as caught:
        read(text, **options)
    return str(caught.value)


def test_coralnets_columns_are_known_and_others_are_ignored() -> None:
    file = read("Name,Date,Row,Column,Label,Annotator\nb.jpg,2020,3,4,sand,me\na.jpg,,0,9,coral,\n")
    assert rows(file) == [("b.jpg", 3, 4, "sand"), ("a.jpg", 0, 9, "coral")]
    assert file.has_labels
    assert file.warnings == []
    assert file.point_count == 2


def test_labels_are_optional_unless_needed() -> None:
    file = read("image,row,column\na.jpg,1,2\n")
    assert rows(file) == [("a.jpg", 1, 2, None)]
    assert not file.has_labels
    assert error_of("image,row,column\na.jpg,1,2\n", labels_needed=True).startswith(
        "points.csv (whose first line, read with a comma between, has 'image', 'row', 'column'): "
        "no column for the label: expected 'label', 'label code', "
    )


@pytest.mark.parametrize(
    ("name", "encoded"),
    [
        ("UTF-8", "utf-8"),
        ("UTF-8 with BOM", "utf-8-sig"),
        ("UTF-16 with BOM", "utf-16"),
        ("UTF-16 LE without BOM", "utf-16-le"),
        ("UTF-16 BE without BOM", "utf-16-be"),
    ],
)
def test_unicode_encodings_are_recognised(name: str, encoded: str) -> None:
    data = (HEADER + "récif.jpg,1,2,Acropora pulchra 珊瑚\n").encode(encoded)
    file = read_points_file(data, "points.csv")
    assert rows(file) == [("récif.jpg", 1, 2, "Acropora pulchra 珊瑚")], name
    assert file.warnings == []


def test_big_endian_utf16_with_its_mark_is_read() -> None:
    data = codecs.BOM_UTF16_BE + (HEADER + "a.jpg,1,2,é\n").encode("utf-16-be")
    assert rows(read_points_file(data, "points.csv")) == [("a.jpg", 1, 2, "é")]


def test_cp1252_is_the_fallback_and_a_warning_says_so() -> None:
    file = read_points_file((HEADER + "a.jpg,1,2,récif – “x”\n").encode("cp1252"), "points.csv")
    assert rows(file) == [("a.jpg", 1, 2, "récif – “x”")]
    assert file.warnings == [
        "points.csv: not UTF-8 (line 2); read as cp1252 (Windows): check names with accents"
        " ('récif', '–', '“x”'); if they are wrong, give --encoding"
    ]


def test_what_is_in_neither_encoding_asks_for_one() -> None:
    data = HEADER.encode() + b"a.jpg,1,2,\xe9\x81\n"
    with pytest.raises(PointsFileError, match=r"byte 0x81, line 2\): save it as UTF-8, or say"):
        read_points_file(data, "points.csv")
    file = read_points_file(data, "points.csv", options=ReadOptions(encoding="latin-1"))
    assert rows(file) == [("a.jpg", 1, 2, "é\x81")]


def test_damaged_utf16_is_an_input_error() -> None:
    data = codecs.BOM_UTF16_LE + HEADER.encode("utf-16-le") + b"\x00\xd8"
    with pytest.raises(PointsFileError, match="looks like UTF-16, but is damaged at byte"):
        read_points_file(data, "points.csv")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_delimiters_are_recognised(delimiter: str) -> None:
    lines = [["Name", "Row", "Column", "Label"], ["a.jpg", "1", "2", '"dead, white; old"']]
    file = read("\r\n".join(delimiter.join(line) for line in lines))
    assert rows(file) == [("a.jpg", 1, 2, "dead, white; old")]


def test_other_column_names_are_mapped() -> None:
    columns: dict[Column, str] = {"image": "Photo ID", "row": "Y pos", "label": "Species"}
    file = read("photo_id,y pos,x,species,label\na.jpg,1,2,sand,ignored\n", columns=columns)
    assert rows(file) == [("a.jpg", 1, 2, "sand")]


def test_missing_columns_are_all_named() -> None:
    error = error_of("snap,lat,lon\na.jpg,1,2\n", columns={"label": "Species"})
    assert error.splitlines() == [
        "points.csv (whose first line, read with a comma between, has 'snap', 'lat', 'lon'):"
        " 4 problems",
        "  no column for the image: expected 'name', 'image', 'image name', 'file name',"
        " 'filename', 'file' or 'photo' (or give --image-column)",
        "  no column for the row: expected 'row' or 'y' (or give --row-column)",
        "  no column for the column: expected 'column', 'col' or 'x' (or give --column-column)",
        "  no column for the label: expected 'Species' (or give --label-column)",
    ]


def test_two_columns_that_could_be_meant_are_refused() -> None:
    error = error_of("Name,Row,Column,Label,Class\n")
    assert "'Label' and 'Class' could both be the label: say which with --label" in error
    error = error_of("Name,Row,Row,Column\n")
    assert "'Row' and 'Row' could both be the row" in error


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("a.jpg,0.5,2,x", "line 3, column Row: found '0.5', expected an integer from 0"),
        ("a.jpg,1,,x", "line 3, column Column: found nothing, expected an integer from 0"),
        ("a.jpg,1_0,2,x", "line 3, column Row: found '1_0', expected an integer from 0"),
        ("a.jpg,9999999999,2,x", "line 3, column Row: found '9999999999', expected an integer"),
        ("a.jpg,²,2,x", "line 3, column Row: found '²', expected an integer from 0"),
        (",1,2,x", "line 3, column Name: found nothing, expected a file name, or a path"),
        ("a.jpg,1", "line 3: 2 fields, expected 4 as in the first line"),
        ("a.jpg,1,2,x,y", "line 3: 5 fields, expected 4 as in the first line"),
        ("a.jpg;1;2;x", "line 3: 1 fields, expected 4 as in the first line"),
    ],
)
def test_a_wrong_line_is_named_with_column_found_and_expected(line: str, problem: str) -> None:
    assert error_of(f"{HEADER}a.jpg,1,1,x\n{line}\n").startswith(f"points.csv: {problem}")


def test_ten_problems_are_listed_and_the_rest_counted() -> None:
    lines = error_of(HEADER + "".join(f"a.jpg,x,{i},l\n" for i in range(15))).splitlines()
    assert lines[0] == "points.csv: 15 problems"
    assert lines[1] == "  line 2, column Row: found 'x', expected an integer from 0"
    assert lines[10] == "  line 11, column Row: found 'x', expected an integer from 0"
    assert lines[11:] == ["  and 5 more"]


def test_a_label_that_is_missing_at_a_line_s_end_is_none() -> None:
    # spreadsheets leave out empty cells at the end, of some lines
    assert rows(read(HEADER + "a.jpg,1,2\na.jpg,3,4,x\n"))[0] == ("a.jpg", 1, 2, None)


def test_a_position_before_the_first_pixel_is_a_point_outside() -> None:
    assert rows(read(HEADER + "a.jpg,-1,2,x\n")) == [("a.jpg", -1, 2, "x")]


def test_empty_lines_trailing_fields_and_spaces_are_no_problem() -> None:
    file = read(HEADER + "\n a.jpg , 1 ,2, dead coral ,,\n,,,\n\n./b.jpg,3,4,x\nc\\d.jpg,5,6,x")
    assert rows(file) == [
        ("a.jpg", 1, 2, "dead coral"),
        ("b.jpg", 3, 4, "x"),
        ("c/d.jpg", 5, 6, "x"),
    ]


def test_lines_are_counted_as_an_editor_does_also_in_quoted_text() -> None:
    text = HEADER + 'a.jpg,1,2,"two\nlines"\n\na.jpg,z,2,x\n'
    assert error_of(text).startswith("points.csv: line 5, column Row: found 'z'")


def test_the_same_point_with_the_same_label_is_taken_once_and_counted() -> None:
    file = read(HEADER + "a.jpg,1,2,x\na.jpg,1,2,x\nb.jpg,1,2,x\na.jpg,1,2,x\n")
    assert rows(file) == [("a.jpg", 1, 2, "x"), ("b.jpg", 1, 2, "x")]
    assert file.warnings == ["points.csv: 2 points are listed again and were taken once"]


@pytest.mark.parametrize(("how", "label"), [("drop", None), ("first", "x"), ("majority", "y")])
def test_one_point_with_two_labels_is_settled_and_names_its_lines(
    how: Duplicates, label: str | None
) -> None:
    text = HEADER + "a.jpg,1,2,x\nb.jpg,1,2,x\na.jpg,1,2,y\na.jpg,1,2,y\n"
    file = read(text, options=ReadOptions(duplicates=how))
    assert rows(file) == [("a.jpg", 1, 2, label), ("b.jpg", 1, 2, "x")]
    assert "lines 2 and 4 and 5: two labels for one point, a.jpg row 1" in file.warnings[0]
    assert "'x' and 'y'; expected one" in error_of(text, options=ReadOptions(duplicates="error"))


def test_blanks_of_spreadsheets_are_no_labels() -> None:
    file = read(HEADER + "a.jpg,1,2,NA\na.jpg,1,3,#N/A\na.jpg,1,4,sand\n")
    assert [label for *_, label in rows(file)] == [None, None, "sand"]
    assert file.warnings == ["points.csv: read as no label: 'NA' (1), '#N/A' (1)"]


def test_machine_labels_are_counted_and_can_be_left_out() -> None:
    text = "Name,Row,Column,Label,Annotator\na.jpg,1,2,x,robot\na.jpg,1,3,y,me\n"
    (warning,) = read(text, labels_needed=True).warnings
    assert "1 of 2 labels have Annotator = robot" in warning
    file = read(text, labels_needed=True, options=ReadOptions(where=("Annotator != robot",)))
    assert rows(file) == [("a.jpg", 1, 3, "y")]


def test_positions_from_0_to_1_are_asked_about_and_read_as_fractions() -> None:
    text = HEADER + "a.jpg,0.5,0.25,x\n"
    assert "--coordinates fraction" in error_of(text)
    file = read(text, options=ReadOptions(coordinates="fraction"))
    assert file.images["a.jpg"][0].share == (0.5, 0.25)


def test_thousands_are_not_taken_for_a_decimal_comma() -> None:
    error = error_of("Name;Row;Column;Label\na.jpg;1,234;2;x\n")
    assert "found '1,234', which may be a decimal or have a separator of thousands" in error


def test_labels_stay_text_unless_integers_are_asked_for() -> None:
    text = HEADER + "a.jpg,1,2,007\na.jpg,1,3,7\n"
    assert [label for *_, label in rows(read(text))] == ["007", "7"]
    assert [label for *_, label in rows(read(text, integer_labels=True))] == [7, 7]
    error = error_of(HEADER + "a.jpg,1,2,7\na.jpg,1,3,sand\n", integer_labels=True)
    assert error == "points.csv: line 3, column Label: found 'sand', expected an integer"


@pytest.mark.parametrize("text", ["", "\n", HEADER])
def test_a_file_without_points_is_an_input_error(text: str) -> None:
    assert "points.csv" in error_of(text)


def test_a_file_without_line_ends_or_with_a_quote_left_open_is_an_input_error() -> None:
    assert "points.csv" in error_of("x" * 200_000)
    assert "points.csv" in error_of(HEADER + 'a.jpg,1,2,"' + "y" * 200_000)


def test_a_long_value_is_cut_in_an_error() -> None:
    assert len(error_of(HEADER + f"a.jpg,{'9' * 1000},2,x\n")) < 200
