"""Cover as an Excel workbook: the table, one row a unit, and how the numbers were made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO

from openpyxl import Workbook
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from spacer_tasks.cover.survey import SurveyCover
from spacer_tasks.cover.tables import COLUMNS, Cell, cover_rows, wide_rows
from spacer_tasks.printable import printable

#: characters; wider columns are cut on the screen
WIDEST = 60


def cover_workbook(cover: SurveyCover, facts: Mapping[str, str]) -> bytes:
    """The file's content. `facts` say how the numbers were made."""
    book = Workbook()
    book.remove(book.active)
    _fill(book.create_sheet("cover"), [list(COLUMNS), *cover_rows(cover)])
    _fill(book.create_sheet("units"), wide_rows(cover))
    about = [["about", "what"], *map(list, facts.items())]
    about += [["warning", text] for text in cover.warnings]
    about += [[f"column {name}", text] for name, text in COLUMNS.items()]
    _fill(book.create_sheet("method"), about)
    stream = BytesIO()
    book.save(stream)
    return stream.getvalue()


def _fill(sheet: Worksheet, rows: Iterable[Sequence[Cell]]) -> None:
    widths: dict[int, int] = {}
    for number, row in enumerate(rows, start=1):
        for place, value in enumerate(row, start=1):
            cell = sheet.cell(number, place)
            if isinstance(value, str):
                cell.value = printable(value)
                # a label that begins with = is no formula
                cell.data_type = "s"
            else:
                cell.value = value
            if number == 1:
                cell.font = Font(bold=True)
            shown = "" if value is None else str(value)
            widths[place] = min(WIDEST, max(widths.get(place, 0), len(shown)))
    for place, width in widths.items():
        sheet.column_dimensions[get_column_letter(place)].width = width + 2
    sheet.freeze_panes = "A2"
    sheet.auto_filter.ref = sheet.dimensions
