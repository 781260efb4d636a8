"""Labels and names that a spreadsheet would run are texts in every CSV, and come back unchanged."""

from __future__ import annotations

import csv
import re
import zipfile
from io import BytesIO, StringIO
from pathlib import Path

import pytest
from openpyxl import load_workbook

from spacer_tasks.annotations.formats.writing import Tool, written
from spacer_tasks.annotations.reading import read_points_file
from spacer_tasks.cli.predictions import Predictions
from spacer_tasks.cli.stored.csv_report import store_csv
from spacer_tasks.data_classes.csv_cells import quoted, unquoted
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.messages.tasks import ClassifyReturnMsg

FORMULAS = ["=1+1", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "'=1", "''=1", "\uff1d1",
            " =1", "\u3000=1", "\ufeff=1", "\u200b+1", "\x00-1", "\u22121", "'  =1"]  # fmt: skip
TEXTS = ["reef", "'reef'", "a=b", "", "'", "-"[:0], "1", "Å"]
#: what a spreadsheet takes for a formula
RUN = re.compile(r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")


@pytest.mark.parametrize("text", FORMULAS + TEXTS)
def test_a_text_comes_back_unchanged(text: str) -> None:
    assert unquoted(str(quoted(text))) == text
    assert not RUN.match(str(quoted(text)))


def test_numbers_stay_numbers() -> None:
    assert [quoted(value) for value in (-1, -0.5, None, 3)] == [-1, -0.5, None, 3]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1+1", "@SUM(A1)", "'=1", "reef", "'reef"])
def test_predictions_run_no_formula_and_are_read_back(text: str, tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    predictions = Predictions(2)
    predictions.add(
        f"{text}.jpg",
        ClassifyReturnMsg(
            runtime=1, scores=[(3, 4, [0.25, 0.75])], classes=["b", text], valid_rowcol=True
        ),
    )
    predictions.store(DataLocation.parse(str(path)))
    for row in csv.reader(StringIO(path.read_text())):
        assert not any(map(RUN.match, row)), row
    read = read_points_file(path.read_bytes(), str(path))
    assert list(read.images) == [f"{text}.jpg"]
    assert [point.label for point in read.images[f"{text}.jpg"]] == [text]


def test_a_report_runs_no_formula(tmp_path: Path) -> None:
    path = tmp_path / "report.csv"
    place = DataLocation.parse("=cmd/1.npz")
    store_csv(DataLocation.parse(str(path)), ["file", "error"], [[place, "=1"], ["@x", -1]])
    rows = list(csv.reader(StringIO(path.read_text())))
    assert rows[1:] == [["'=cmd/1.npz", "'=1"], ["'@x", "-1"]]


def test_the_columns_of_a_report_run_no_formula(tmp_path: Path) -> None:
    # those of a confusion matrix are labels
    path = tmp_path / "report.csv"
    store_csv(DataLocation.parse(str(path)), ["truth", "=1", "@x"], [["=1", 1, 2]])
    assert list(csv.reader(StringIO(path.read_text()))) == [
        ["truth", "'=1", "'@x"],
        ["'=1", "1", "2"],
    ]


@pytest.mark.parametrize("tool", ["csv", "coralnet", "taglab"])
@pytest.mark.parametrize("text", FORMULAS)
def test_no_tool_s_predictions_run_a_formula(text: str, tool: Tool) -> None:
    header = ["image", "row", "column", "label", "probability", "label_2", "probability_2"]
    row = [f"{text}.jpg", "1", "2", text, "0.7", f"{text}2", "0.3"]
    for cells in csv.reader(StringIO(written([header, row], tool).decode(), newline="")):
        assert not any(map(RUN.match, cells)), cells


@pytest.mark.parametrize("text", [text for text in FORMULAS if "\x00" not in text])
def test_a_workbook_holds_texts_and_no_formula(text: str) -> None:
    header = ["image", "row", "column", "label", "probability"]
    data = written([header, [f"{text}.jpg", "1", "2", text, "0.7"]], "xlsx")
    sheet = load_workbook(BytesIO(data)).active
    assert sheet is not None
    image, _, _, label, _ = next(sheet.iter_rows(min_row=2))
    assert (image.data_type, label.data_type) == ("s", "s")
    with zipfile.ZipFile(BytesIO(data)) as archive:
        assert b"<f>" not in archive.read("xl/worksheets/sheet1.xml")
