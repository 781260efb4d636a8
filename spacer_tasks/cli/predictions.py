"""The CSV of predictions: image, row, column, label, probability, label_2, probability_2, …"""

from __future__ import annotations

import csv
import heapq
from io import StringIO

from spacer_tasks import storage
from spacer_tasks.data_classes.csv_cells import quoted
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.messages.tasks import ClassifyReturnMsg


class Predictions:
    """Rows of the file, image after image, in memory until `store`: a file is whole or absent.

    Parameters
    ----------
    top
        How many labels a point is given, the most probable first.
    """

    def __init__(self, top: int) -> None:
        self.points = 0
        self._top = top
        self._text = StringIO(newline="")
        self._rows = csv.writer(self._text, lineterminator="\n")
        self._has_header = False

    def add(self, image: str, answer: ClassifyReturnMsg) -> None:
        """The scored points of an image."""
        top = min(self._top, len(answer.classes))
        if not self._has_header:
            numbers = ["", *(f"_{number}" for number in range(2, top + 1))]
            best = [f"{name}{number}" for number in numbers for name in ("label", "probability")]
            self._rows.writerow(["image", "row", "column", *best])
            self._has_header = True
        for row, column, scores in answer.scores:
            best_first = heapq.nlargest(top, range(len(scores)), key=scores.__getitem__)
            pairs = [(answer.classes[i], f"{scores[i]:.6f}") for i in best_first]
            cells = [image, row, column, *(value for pair in pairs for value in pair)]
            self._rows.writerow(map(quoted, cells))
            self.points += 1

    def store(self, loc: DataLocation) -> None:
        """Write the file. Raises as `storage.store`."""
        storage.store(loc, self._text.getvalue().encode())
