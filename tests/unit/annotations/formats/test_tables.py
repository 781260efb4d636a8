"""Delimited text as it comes: remarks, joined files, quotes that nobody closed."""

from __future__ import annotations

from typing import Any

import pytest

from spacer_tasks.annotations.points import ReadOptions
from spacer_tasks.annotations.reading import read_points
from spacer_tasks.exceptions import PointsFileError

HEADER = "Name,Row,Column,Label\n"


def labels_of(text: str, **options: Any) -> tuple[list[Any], str]:
    file = read_points({"s": text.encode()}, "s", ReadOptions(**options))
    points = [(name, point.label) for name, some in file.images.items() for point in some]
    return points, " ".join(file.warnings)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "# by me\n# site, 4\n" + HEADER + "A.jpg,1,2,a\n# a remark\nB.jpg,1,2,b\n",
            "1 line of re",
        ),
        (HEADER + "A.jpg,1,2,a\n\ufeff" + HEADER + "B.jpg,1,2,b\n", "1 repeated header left out"),
        ("".join(f"# {i}, x\n" for i in range(30)) + HEADER + "A.jpg,1,2,a\nB.jpg,1,2,b\n", ""),
        ("Survey\n\n" * 12 + HEADER + "A.jpg,1,2,a\nB.jpg,1,2,b\n", ""),
        ("sep=;\n" + HEADER + "A.jpg,1,2,a\nB.jpg,1,2,b\n", ""),
        ('"sep=;",,,\nName;Row;Column;Label\nA.jpg;1;2;a\nB.jpg;1;2;b\n', ""),
        ('Name,Row,Column,Label,Note\nA.jpg,1,2,a,"two\nlines"\nB.jpg,1,2,b,\n', ""),
        (",,Name,,Row,Column,,Label,,\n,,A.jpg,,1,2,,a,,\n,,B.jpg,,1,2,,b,,\n", ""),
        # numbered as R writes what was left of a larger table
        ('"Name" "Row" "Column" "Label"\n"7" "A.jpg" 1 2 "a"\n"19" "B.jpg" 1 2 "b"\n', ""),
        # and names that are numbers, with a delimiter at each end
        ("Name,Row,Column,Label\nA.jpg,1,2,a,\nB.jpg,1,2,b,\n", ""),
    ],
)
def test_what_is_around_the_points_is_left_out(text: str, said: str) -> None:
    points, warnings = labels_of(text)
    assert points == [("A.jpg", "a"), ("B.jpg", "b")]
    assert said in warnings


def test_images_that_are_numbers_are_no_row_names() -> None:
    assert labels_of(HEADER + "1,12,30,a,\n2,12,30,b,\n")[0] == [("1", "a"), ("2", "b")]


@pytest.mark.parametrize(
    "rows",
    [
        'A.jpg,1,2,"a\nB.jpg,1,2,b\n',
        'A.jpg,1,2,"a\nB.jpg,1,2,b\nC.jpg,1,2,"c\nD.jpg,1,2,d\n',
        '"A.jpg,1,2,a\nB.jpg,1,2,b\n',
    ],
)
def test_a_quote_that_is_left_open_takes_in_no_points_in_silence(rows: str) -> None:
    with pytest.raises(PointsFileError, match="line 2: a quote is opened before"):
        labels_of(HEADER + rows)


def test_an_inch_mark_in_a_label_is_no_quote() -> None:
    assert labels_of(HEADER + 'A.jpg,1,2,5" rubble\nB.jpg,1,2,b\n')[0][0] == ("A.jpg", '5" rubble')


def test_formula_errors_and_blanks_of_all_languages_are_no_label() -> None:
    blanks = [
        "NA",
        "n.a.",
        "None",
        "#NV",
        "#DIV/0!",
        "#REF!",
        "#¡REF!",
        "-",
        "--",
        "(empty)",
        "nil",
    ]
    rows = "".join(f"A.jpg,{i},0,{blank}\n" for i, blank in enumerate(blanks))
    points, warnings = labels_of(HEADER + rows + "A.jpg,99,0,Unknown\n")
    assert [label for _, label in points] == [None] * len(blanks) + ["Unknown"]
    assert "'#REF!' (1)" in warnings


def test_labels_that_differ_little_are_told_in_a_training() -> None:
    text = HEADER + "A.jpg,1,2,Sand\nA.jpg,1,3,sand\nA.jpg,1,4,Dead coral\nA.jpg,1,5,dead_coral\n"
    _, warnings = labels_of(text, labels_needed=True)
    assert "'Sand' (1) and 'sand' (1)" in warnings
    assert "'Dead coral' (1) and 'dead_coral' (1)" in warnings


def test_accents_of_either_form_are_one_label() -> None:
    points, _ = labels_of(HEADER + "A.jpg,1,2,E\u0301ponge\nA.jpg,1,3,\u00c9ponge\n")
    assert {label for _, label in points} == {"Éponge"}


@pytest.mark.parametrize(
    ("column", "value"),
    [("Annotator", "Robot 5"), ("Annotator", "robot"), ("Is machine", "1"), ("status", "Machine")],
)
def test_a_machine_s_labels_are_known_by_their_names(column: str, value: str) -> None:
    text = f"Name,Row,Column,Label,{column}\nA.jpg,1,2,a,{value}\nA.jpg,1,3,a,\n"
    assert f"1 of 2 labels have {column} = {value}" in labels_of(text, labels_needed=True)[1]


@pytest.mark.parametrize(
    ("columns", "rows"),
    [
        ("width,height", "A.jpg,10,20,30,40,a\nA.jpg,11,21,35,45,a\n"),
        ("width,height", "A.jpg,100,200,30,40,a\n"),
        ("w,h", "A.jpg,100,200,30,40,a\n"),
    ],
)
def test_the_corner_of_a_box_is_no_point(columns: str, rows: str) -> None:
    with pytest.raises(PointsFileError, match="rows look like boxes, whose x and y are a corner"):
        labels_of(f"filename,x,y,{columns},label\n{rows}")


def test_a_photo_s_size_beside_its_points_is_kept() -> None:
    text = "filename,x,y,image_width,image_height,label\nA.jpg,100,200,1024,768,a\n"
    file = read_points({"s": text.encode()}, "s", ReadOptions())
    assert file.shapes == {"A.jpg": (1024, 768)}
