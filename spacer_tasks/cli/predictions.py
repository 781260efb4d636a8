"""The CSV of predictions: image, row, column, label, probability, label_2, probability_2, …

With a threshold, the label of what the machine is less sure of is left empty for people, and two
columns more say what the machine's label is and whose the label is (`machine`, or `review`).
"""

from __future__ import annotations

import csv
import heapq
from collections.abc import Sequence
from io import StringIO

from spacer_tasks import storage
from spacer_tasks.annotations.formats.writing import Tool, written
from spacer_tasks.annotations.points import FilePoint, PointsFile
from spacer_tasks.console import counted
from spacer_tasks.data_classes.csv_cells import csv_text, unquoted
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import RowColumnMismatchError
from spacer_tasks.messages.tasks import ClassifyReturnMsg
from spacer_tasks.review.predictions_file import MACHINE, MACHINE_LABEL, OPEN, STATUS


class Predictions:
    """Rows of the file, image after image, in memory until `store`: a file is whole or absent.

    Parameters
    ----------
    top
        How many labels a point is given, the most probable first.
    threshold
        The probability from which on the machine's label is taken; None to take all.
    """

    def __init__(self, top: int, threshold: float | None = None) -> None:
        self.points = 0
        self.left_to_people = 0
        self._threshold = threshold
        self._top = top
        self._text = StringIO(newline="")
        self._has_header = False

    def add(self, image: str, answer: ClassifyReturnMsg) -> None:
        """The scored points of an image."""
        top = min(self._top, len(answer.classes))
        if not self._has_header:
            numbers = ["", *(f"_{number}" for number in range(2, top + 1))]
            best = [f"{name}{number}" for number in numbers for name in ("label", "probability")]
            more = [] if self._threshold is None else [MACHINE_LABEL, STATUS]
            self._text.write(csv_text([["image", "row", "column", *best, *more]]))
            self._has_header = True
        rows = []
        for row, column, scores in answer.scores:
            best_first = heapq.nlargest(top, range(len(scores)), key=scores.__getitem__)
            pairs = [(answer.classes[i], f"{scores[i]:.6f}") for i in best_first]
            cells = [image, row, column, *(value for pair in pairs for value in pair)]
            if self._threshold is not None:
                # as it is written: what the file says of a point holds for its number
                unsure = float(pairs[0][1]) < self._threshold
                self.left_to_people += unsure
                cells += [pairs[0][0], OPEN if unsure else MACHINE]
                if unsure:
                    cells[3] = ""
            rows.append(cells)
        self._text.write(csv_text(rows))
        self.points += len(rows)

    def store(self, loc: DataLocation, to: Tool = "csv") -> None:
        """Write the file in the columns of a tool. Raises as `storage.store`."""
        data = self._text.getvalue().encode()
        if to != "csv":
            data = written(self.rows(), to)
        storage.store(loc, data)

    def rows(self) -> list[list[str]]:
        """The header and the rows, as texts."""
        rows = csv.reader(StringIO(self._text.getvalue(), newline=""))
        return [[unquoted(cell) for cell in row] for row in rows]


def only_wanted(
    wanted: PointsFile | None, name: str, answer: ClassifyReturnMsg
) -> ClassifyReturnMsg:
    """The scores of the points that the file asks for, in its order.

    Raises
    ------
    RowColumnMismatchError
        A point was not scored: the features have no vector for it.
    """
    if wanted is None:
        return answer
    return scores_of(wanted.images[name], answer)


def scores_of(wanted: Sequence[FilePoint], answer: ClassifyReturnMsg) -> ClassifyReturnMsg:
    """The scores of these points, in their order, at the positions that their file has.

    Raises as `only_wanted`.
    """
    by_point = {(row, column): scores for row, column, scores in answer.scores}
    points = {(point.row, point.column): point.given for point in wanted}
    missing = [point for point in points if point not in by_point]
    if missing:
        raise RowColumnMismatchError(
            f"no features for {counted(len(missing), 'point')}, first row {missing[0][0]} column"
            f" {missing[0][1]}; `spacer-tasks extract` with this CSV adds them"
        )
    # what was turned by EXIF is told as the file has it
    scores = [(*(given or point), by_point[point]) for point, given in points.items()]
    return answer.model_copy(update={"scores": scores})
