"""Numbers that may be pixels, percent or fractions."""

from __future__ import annotations

import pytest

from spacer_tasks.annotations.points import PointsFile, ReadOptions
from spacer_tasks.annotations.reading import read_points_file
from spacer_tasks.exceptions import PointsFileError

FRACTIONS = "A.jpg,0.28,0.5,c\nA.jpg,0.9,0.1,d\n"


def read(text: str, options: ReadOptions | None = None) -> PointsFile:
    return read_points_file(text.encode(), "s", options=options)


def test_fractions_below_a_header_of_percent_are_not_taken_for_percent() -> None:
    # a spreadsheet shows 0.28 as 28 % and saves 0.28
    with pytest.raises(PointsFileError, match="all positions are from 0 to 1 percent: fractions"):
        read("Name,Row (%),Column (%),Label\n" + FRACTIONS)
    text = "Name,Row (%),Column (%),Label\nA.jpg,28,50,c\nA.jpg,0.9,0.1,d\n"
    assert read(text).images["A.jpg"][0].share == (0.28, 0.5)


def test_fractions_that_are_called_percent_by_an_option_are_asked_about() -> None:
    file = read("Name,Row,Column,Label\n" + FRACTIONS, ReadOptions(coordinates="percent"))
    assert "all positions are from 0 to 1 percent" in " ".join(file.warnings)


def test_what_classify_wrote_counts_from_0_whatever_the_options_say() -> None:
    text = "image,row,column,label,probability\nA.jpg,1,2,Sand,0.9\n"
    file = read(text, ReadOptions(one_based=True, swap=True))
    assert [(p.row, p.column) for p in file.images["A.jpg"]] == [(1, 2)]
    assert "--one-based and --swap do not hold for it" in " ".join(file.warnings)
    other = read(text.replace(",probability", ",p"), ReadOptions(one_based=True, swap=True))
    assert [(p.row, p.column) for p in other.images["A.jpg"]] == [(1, 0)]


@pytest.mark.parametrize(
    "header", ["Image,Row,Column,Label,Probability", "image,label,row,column,probability"]
)
def test_columns_of_the_same_names_in_another_s_table_are_not_taken_for_our_own(
    header: str,
) -> None:
    place = {"image": "A.jpg", "row": "1", "column": "2", "label": "Sand", "probability": "0.9"}
    text = f"{header}\n{','.join(place[name] for name in header.lower().split(','))}\n"
    file = read(text, ReadOptions(one_based=True, labels_needed=True, truth=True))
    assert [(p.row, p.column) for p in file.images["A.jpg"]] == [(0, 1)]
    assert file.kind == "CSV"
    assert "classify" not in " ".join(file.warnings)


def test_a_column_that_a_person_adds_to_what_classify_wrote_changes_nothing() -> None:
    text = "image,row,column,label,probability,Remarks\nA.jpg,1,2,Sand,0.9,big\n"
    file = read(text, ReadOptions(one_based=True))
    assert [(p.row, p.column) for p in file.images["A.jpg"]] == [(1, 2)]
    assert "rename its column 'probability'" in " ".join(file.warnings)
