"""Spreadsheet files as tables: .xlsx, .xlsb, .xls and .ods, as python-calamine reads them."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

from spacer_tasks.annotations.formats.tables import TITLE_ROWS, Known, Rows, Table, best_header
from spacer_tasks.annotations.formats.unseen import ZIP, Unseen, unseen_of
from spacer_tasks.annotations.numbers import EITHER
from spacer_tasks.console import counted
from spacer_tasks.exceptions import PointsFileError

if TYPE_CHECKING:
    from python_calamine import CalamineSheet, CalamineWorkbook

#: the first bytes of an .xls
XLS = b"\xd0\xcf\x11\xe0"


def is_workbook(data: bytes) -> bool:
    """Whether a file begins as spreadsheets do."""
    return data.startswith((ZIP, XLS))


def workbook_table(data: bytes, name: str, known: Known, sheet: str | None = None) -> Table:
    """The points of a workbook: of the sheet whose header fits best, and of all with that header.

    Parameters
    ----------
    known
        How many of the columns that are looked for a header has.
    sheet
        The one sheet to read.

    Raises
    ------
    PointsFileError
        It is no workbook, its sheets cannot all be meant, or python-calamine is missing.
    """
    try:
        from python_calamine import CalamineError, CalamineWorkbook
    except ImportError:
        raise PointsFileError(
            f"{name}: a spreadsheet; reading it needs python-calamine (extra [cli]), or save it as"
            " CSV"
        ) from None
    unseen = unseen_of(data, name)
    try:
        workbook = CalamineWorkbook.from_filelike(BytesIO(data))
        names, hidden = _sheets(workbook, name, sheet)
        found = [
            (known(header), each, header, line, rows)
            for each in names
            for line, header, rows in _headed(workbook.get_sheet_by_name(each), known)
        ]
    except (CalamineError, ValueError, OSError) as error:
        raise PointsFileError(
            f"{name}: looks like a spreadsheet, but cannot be read ({error}); save it as CSV"
        ) from error
    if not found:
        raise PointsFileError(f"{name}: a spreadsheet without a filled sheet")
    fit, first, header, top, _ = max(found, key=lambda each: each[0])
    same = [each for each in found if each[0] == fit and each[2] == header]
    others = [each[1] for each in found if each[0] == fit and each[2] != header]
    if others and fit > 1:
        raise PointsFileError(
            f"{name}: sheets {', '.join(map(repr, [first, *others]))} could all be the points, with"
            " different columns: say which with --sheet"
        )
    shown = ", ".join(repr(each[1]) for each in same)
    table = Table(
        f"Excel workbook, sheet{'s' * (len(same) > 1)} {shown}",
        header,
        [row for each in same for row in each[4]],
        f"a workbook; line {top} of its sheet {first!r} has",
        parts=[f"sheet {each[1]!r}" for each in same for _ in each[4]] if len(same) > 1 else [],
    )
    unknown = out_of_sight = 0
    for _, each, _, line, rows in same:
        of_sheet = unseen.get(each, Unseen())
        unknown += of_sheet.formulas
        out_of_sight += of_sheet.hidden_among([line, *(number for number, _ in rows)])
    if unknown:
        table.warnings.append(
            f"{name}: {unknown} cells are formulas without a stored result and are read as empty:"
            " open and save it in a spreadsheet"
        )
    if out_of_sight:
        one = out_of_sight == 1
        table.warnings.append(
            f"{name}: {counted(out_of_sight, 'hidden row')}, as a filter leaves"
            f" {'it, is' if one else 'them, are'} read as the others"
        )
    left = [each[1] for each in found if each not in same]
    for what, some in (("", left), ("hidden ", hidden)):
        if some:
            several = "s" * (len(some) > 1)
            table.warnings.append(
                f"{name}: {what}sheet{several} {', '.join(map(repr, some))} not read (--sheet"
                " chooses one)"
            )
    return table


def _sheets(
    workbook: CalamineWorkbook, name: str, wanted: str | None
) -> tuple[list[str], list[str]]:
    """The sheets to look at, and the hidden ones."""
    from python_calamine import SheetVisibleEnum

    if wanted is not None:
        if wanted not in workbook.sheet_names:
            there = ", ".join(map(repr, workbook.sheet_names))
            raise PointsFileError(f"{name}: no sheet {wanted!r} for --sheet; there are {there}")
        return [wanted], []
    shown = [
        each.name for each in workbook.sheets_metadata if each.visible == SheetVisibleEnum.Visible
    ]
    return shown, [each for each in workbook.sheet_names if each not in shown]


def _headed(sheet: CalamineSheet, known: Known) -> list[tuple[int, list[str], Rows]]:
    """The line of a sheet's header, the header and the rows below; empty for an empty sheet."""
    cells = [[_cell(value) for value in row] for row in sheet.to_python(skip_empty_area=False)]
    for (top, left), (bottom, right) in sheet.merged_cell_ranges or ():
        # one name over the rows of its points; a title over the columns stays one cell
        if left == right and top < len(cells):
            for row in cells[top + 1 : bottom + 1]:
                row[left] = cells[top][left]
    filled = [(line, row) for line, row in enumerate(cells, start=1) if any(row)]
    place = best_header(filled[:TITLE_ROWS], known)
    if place is None:
        return []
    line, header = filled[place]
    return [(line, header, filled[place + 1 :])]


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "True" if value else "False"
    if isinstance(value, float):
        if value.is_integer():
            return str(int(value))
        text = repr(value)
        # a number, not a text that may have a separator of thousands
        return f"{text}0" if EITHER.fullmatch(text) else text
    return str(value).replace("\ufeff", "").strip()
