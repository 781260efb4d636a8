"""Predictions in the columns of the tool that the photos came from, read back by the reader."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Literal

from spacer_tasks.data_classes.csv_cells import csv_text
from spacer_tasks.exceptions import InputError

Tool = Literal["csv", "coralnet", "taglab", "xlsx"]
#: image, row and column in front of the labels and their probabilities
PLACE = 3


def written(rows: Sequence[Sequence[str]], tool: Tool) -> bytes:
    """The file of a tool.

    Parameters
    ----------
    rows
        The header and the rows of the predictions, as texts: image, row, column, then pairs of a
        label and its probability, the most probable first.
    """
    header, *points = rows
    if tool == "xlsx":
        return _workbook([header, *points])
    if tool == "csv":
        return _csv([header, *points])
    pairs = sum(name.startswith("probability") for name in header)
    numbers = range(1, pairs + 1)
    suggestions = [
        text
        for number in numbers
        for text in (f"Machine suggestion {number}", f"Machine confidence {number}")
    ]
    table: list[list[str]] = []
    if tool == "coralnet":
        table.append(["Name", "Row", "Column", "Label", *suggestions])
        table += [[*each[: PLACE + 1], *_suggested(each, pairs)] for each in points]
    else:
        taglab = ["Id", "Type", "Class name", "Centroid x", "Centroid y"]
        table.append(["Image name", *(f"TagLab {name}" for name in taglab), *suggestions])
        for number, each in enumerate(points, start=1):
            image, row, column, label = each[: PLACE + 1]
            place = [image, str(number), "Point", label, column, row]
            table.append([*place, *_suggested(each, pairs)])
    return _csv(table)


def _suggested(row: Sequence[str], pairs: int) -> list[str]:
    """Labels with their probabilities in percent, as CoralNet exports them."""
    cells = []
    for place in range(PLACE, PLACE + 2 * pairs, 2):
        cells += [row[place], f"{100 * float(row[place + 1]):.4f}"]
    return cells


def _csv(rows: Sequence[Sequence[str]]) -> bytes:
    return csv_text(rows).encode()


def _workbook(rows: Sequence[Sequence[str]]) -> bytes:
    from openpyxl import Workbook
    from openpyxl.utils.exceptions import IllegalCharacterError

    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "Predictions"
    numeric = [name in ("row", "column") or name.startswith("probability") for name in rows[0]]
    for line, row in enumerate(rows, start=1):
        for place, value in enumerate(row, start=1):
            if line > 1 and numeric[place - 1]:
                sheet.cell(line, place, float(value))
            elif value:
                try:
                    cell = sheet.cell(line, place, value)
                except IllegalCharacterError:
                    raise InputError(
                        f"{row[0]}, row {row[1]}, column {row[2]}: {value!r} in"
                        f" {rows[0][place - 1]!r} has control characters, which no workbook can"
                        " hold: write another format"
                    ) from None
                # a text, also where it begins as a formula does
                cell.data_type = "s"
    stream = BytesIO()
    book.save(stream)
    return stream.getvalue()
