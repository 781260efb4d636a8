"""A command's report as a CSV: a row for each file that it looked at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from spacer_tasks import storage
from spacer_tasks.cli.options import location
from spacer_tasks.cli.outputs import check_outputs
from spacer_tasks.data_classes.csv_cells import csv_text
from spacer_tasks.data_classes.locations import DataLocation

Cell = str | int | float | None


def report_location(
    report: str | None, columns: Sequence[str], kept: Iterable[str]
) -> DataLocation | None:
    """Where the report goes, looked at before the work begins; None where none is wanted.

    It may go where an earlier one lies, also in a folder that is read: the same command is often
    given again.

    Parameters
    ----------
    kept
        The files, or folders of them, that it must not be written over.

    Raises
    ------
    InputError
        It would be written over one of them.
    StorageError, StorageUnavailableError
        It is a URL or a folder, or its folder takes no files, or cannot be read.
    """
    if report is None:
        return None
    check_outputs([report], [])
    loc = location(report)
    if not _has_report(loc, columns):
        check_outputs([report], kept)
    return loc


def _has_report(loc: DataLocation, columns: Sequence[str]) -> bool:
    return storage.exists(loc) and storage.load(loc).startswith(csv_text([columns]).encode())


def store_csv(
    loc: DataLocation, columns: Sequence[str], rows: Iterable[Sequence[Cell | DataLocation]]
) -> None:
    """Write the file, whole; nothing where there is None. Raises as `storage.store`."""
    # a column can be a label
    storage.store(loc, csv_text([columns, *rows]).encode())
