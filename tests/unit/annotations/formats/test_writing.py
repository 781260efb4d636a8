"""What is written for a tool is read back equal."""

from __future__ import annotations

from typing import get_args

import pytest

from spacer_tasks.annotations.formats.writing import Tool, written
from spacer_tasks.annotations.reading import read_points_file
from spacer_tasks.exceptions import InputError

HEADER = ["image", "row", "column", "label", "probability", "label_2", "probability_2"]
ROWS = [
    ["Île/1.jpg", "126", "562", "=Sand", "0.750000", "Turf", "0.250000"],
    ["Île/1.jpg", "0", "7", "66", "0.600000", "=Sand", "0.400000"],
    ["2.jpg", "3", "4", "a,b", "0.510000", "Turf", "0.490000"],
]


@pytest.mark.parametrize("tool", get_args(Tool))
def test_predictions_are_read_back_equal(tool: Tool) -> None:
    file = read_points_file(written([HEADER, *ROWS], tool), f"predictions.{tool}")
    found = [
        [name, str(point.row), str(point.column), point.label]
        for name, points in file.images.items()
        for point in points
    ]
    assert found == [row[:4] for row in ROWS]


def test_each_tool_s_file_is_known() -> None:
    kinds = {
        tool: read_points_file(written([HEADER, *ROWS], tool), "p").kind for tool in get_args(Tool)
    }
    assert kinds["coralnet"] == "CoralNet CSV"
    assert kinds["taglab"] == "TagLab CSV"
    assert kinds["xlsx"] == "Excel workbook, sheet 'Predictions'"


def test_confidence_and_alternatives_are_beside_the_label() -> None:
    lines = written([HEADER, *ROWS], "coralnet").decode().splitlines()
    assert lines[0].endswith("Label,Machine suggestion 1,Machine confidence 1,"
                             "Machine suggestion 2,Machine confidence 2")  # fmt: skip
    assert lines[1] == "Île/1.jpg,126,562,'=Sand,'=Sand,75.0000,Turf,25.0000"
    assert "TagLab Centroid x" in written([HEADER, *ROWS], "taglab").decode()


def test_a_label_that_no_workbook_can_hold_is_an_input_error() -> None:
    row = ["1.jpg", "1", "2", "a\x07b", "1.000000", "Turf", "0.000000"]
    with pytest.raises(
        InputError, match=r"1.jpg, row 1, column 2: 'a.x07b' in 'label' has control characters"
    ):
        written([HEADER, row], "xlsx")
