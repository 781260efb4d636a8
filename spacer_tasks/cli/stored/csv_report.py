"""A command's report as a CSV: a row for each file that it looked at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from spacer_tasks import storage
from spacer_tasks.data_classes.csv_cells import csv_text
from spacer_tasks.data_classes.locations import DataLocation

Cell = str | int | float | None


def store_csv(
    loc: DataLocation, columns: Sequence[str], rows: Iterable[Sequence[Cell | DataLocation]]
) -> None:
    """Write the file, whole; nothing where there is None. Raises as `storage.store`."""
    # a column can be a label
    storage.store(loc, csv_text([columns, *rows]).encode())
