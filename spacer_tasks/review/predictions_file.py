"""The file of predictions, read with all its columns and written back."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from spacer_tasks.data_classes.csv_cells import unquoted
from spacer_tasks.data_classes.small_tables import read_table
from spacer_tasks.exceptions import PointsFileError

#: columns that `classify --threshold` adds: the machine's label, and whose the label is
MACHINE_LABEL, STATUS = "machine_label", "status"
#: of a point: its label is the machine's; people shall give it; a person gave it
MACHINE, OPEN, PERSON = "machine", "review", "person"


@dataclass(frozen=True)
class Prediction:
    """A point of the file.

    Attributes
    ----------
    label
        Empty where it is left to people.
    machine_label, probability
        What the machine holds most probable.
    others
        The next labels, each with its probability.
    cells
        The whole row as it was read.
    """

    line: int
    image: str
    row: int
    column: int
    label: str
    machine_label: str
    probability: float
    others: list[tuple[str, float]]
    status: str
    cells: list[str]


@dataclass(frozen=True)
class PredictionsFile:
    """The points of a file, in its order."""

    name: str
    header: list[str]
    points: list[Prediction]

    @property
    def labels(self) -> set[str]:
        """All labels that the file names."""
        return {
            label
            for point in self.points
            for label in (point.label, point.machine_label, *(each for each, _ in point.others))
            if label
        }

    def rows(self) -> Iterator[list[str]]:
        """The rows as they are written, the header first."""
        header = [name for name in self.header if name not in (MACHINE_LABEL, STATUS)]
        kept = [self.header.index(name) for name in header]
        label = header.index("label")
        yield [*header, MACHINE_LABEL, STATUS]
        for point in self.points:
            cells = [unquoted(point.cells[place]) for place in kept]
            cells[label] = point.label
            yield [*cells, point.machine_label, point.status]


def read_predictions(data: bytes, name: str) -> PredictionsFile:
    """What `classify` wrote.

    Raises
    ------
    PointsFileError
        It is another file, or a line of it is damaged; the text names the line.
    """
    table = read_table(data, name)
    needed = ("image", "row", "column", "label", "probability")
    missing = [each for each in needed if table.header.count(each) != 1]
    if missing:
        raise PointsFileError(
            f"{name}: not what classify writes: no column {', '.join(map(repr, missing))}, only"
            f" {', '.join(map(repr, table.header))}"
        )
    place = {each: i for i, each in enumerate(table.header)}
    points = []
    seen: dict[tuple[str, int, int], int] = {}
    for line, cells in table.rows:
        if len(cells) != len(table.header):
            raise PointsFileError(
                f"{name}: line {line} has {len(cells)} fields, expected {len(table.header)}"
            )
        point = _point(name, line, cells, place)
        key = (point.image, point.row, point.column)
        if key in seen:
            raise PointsFileError(f"{name}: lines {seen[key]} and {line} are the same point")
        seen[key] = line
        points.append(point)
    if not points:
        raise PointsFileError(f"{name}: no points below the first line")
    return PredictionsFile(name, table.header, points)


def _point(name: str, line: int, cells: list[str], place: dict[str, int]) -> Prediction:
    def text(column: str) -> str:
        return unquoted(cells[place[column]]) if column in place else ""

    def share(column: str) -> float:
        try:
            value = float(cells[place[column]])
        except ValueError:
            value = math.nan
        if not 0 <= value <= 1:
            raise PointsFileError(
                f"{name}: line {line}, column {column}: found {cells[place[column]]!r}, expected a"
                " probability from 0 to 1"
            )
        return value

    def pixel(column: str) -> int:
        value = cells[place[column]]
        if not (value.isascii() and value.isdecimal() and len(value) < 10):
            raise PointsFileError(
                f"{name}: line {line}, column {column}: found {value!r}, expected an integer from 0"
            )
        return int(value)

    others = []
    number = 2
    while {f"label_{number}", f"probability_{number}"} <= place.keys():
        others.append((text(f"label_{number}"), share(f"probability_{number}")))
        number += 1
    label = text("label")
    status = text(STATUS) or (MACHINE if label else OPEN)
    machine = text(MACHINE_LABEL) or label
    if not machine:
        raise PointsFileError(f"{name}: line {line} has no label")
    image, row, column = text("image"), pixel("row"), pixel("column")
    return Prediction(
        line, image, row, column, label, machine, share("probability"), others, status, cells
    )


def left_to_people(file: PredictionsFile, threshold: float | None) -> list[Prediction]:
    """The points to review, the least sure first: those below the threshold, or without one, those
    that `classify --threshold` left open. What people have labelled is not among them.

    Raises
    ------
    PointsFileError
        There is no threshold, and the file was written without one.
    """
    if threshold is None and STATUS not in file.header:
        raise PointsFileError(
            f"{file.name}: written without --threshold; give one, or --correct with --valresult"
        )
    chosen = [
        point
        for point in file.points
        if point.status != PERSON
        and (point.status == OPEN if threshold is None else point.probability < threshold)
    ]
    return sorted(chosen, key=lambda point: point.probability)


@dataclass(frozen=True)
class Corrected:
    """The file with people's answers.

    Attributes
    ----------
    answered
        Points with an answer; `changed` of them differ from the machine's label.
    unanswered
        Rows of the sheet without one.
    unknown
        Answers that are no label of the file, and how often each was given.
    """

    file: PredictionsFile
    answered: int
    changed: int
    unanswered: int
    unknown: dict[str, int]


def take_corrections(
    file: PredictionsFile, answers: dict[tuple[str, int, int], str | None], sheet: str
) -> Corrected:
    """Put people's answers in the place of the machine's labels.

    Raises
    ------
    PointsFileError
        An answered point is not in the file.
    """
    there = {(point.image, point.row, point.column) for point in file.points}
    strange = [point for point, answer in answers.items() if answer and point not in there]
    if strange:
        image, row, column = strange[0]
        raise PointsFileError(
            f"{sheet}: {len(strange)} answered points are not in {file.name}, first {image} row"
            f" {row} column {column}; is it the sheet of other predictions?"
        )
    points = []
    answered = changed = 0
    unknown: dict[str, int] = {}
    labels = file.labels
    for point in file.points:
        answer = answers.get((point.image, point.row, point.column))
        if not answer:
            points.append(point)
            continue
        answered += 1
        changed += answer != point.machine_label
        if answer not in labels:
            unknown[answer] = unknown.get(answer, 0) + 1
        points.append(replace(point, label=answer, status=PERSON))
    unanswered = sum(not answer for answer in answers.values())
    return Corrected(replace(file, points=points), answered, changed, unanswered, unknown)
