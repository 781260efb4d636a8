"""A command's report as a CSV: a row for each file that it looked at."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from io import StringIO

from spacer_tasks import storage
from spacer_tasks.data_classes.csv_cells import quoted
from spacer_tasks.data_classes.locations import DataLocation

Cell = str | int | float | None


def store_csv(
    loc: DataLocation, columns: Sequence[str], rows: Iterable[Sequence[Cell | DataLocation]]
) -> None:
    """Write the file, whole; nothing where there is None. Raises as `storage.store`."""
    text = StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(map(quoted, row) for row in rows)
    storage.store(loc, text.getvalue().encode())
