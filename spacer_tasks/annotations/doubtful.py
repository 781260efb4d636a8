"""Rows that are filtered, and labels that no person gave."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from spacer_tasks.annotations.column_names import plain
from spacer_tasks.exceptions import PointsFileError

#: values of a column that say "no label" in spreadsheets, R, pandas and databases
EMPTY = frozenset(
    {"na", "n/a", "n.a.", "nan", "none", "nil", "null", "<na>", "(empty)", "(blank)", "-", "--"}
    | {"?", "."}
)
#: errors of a formula, in spreadsheets of several languages: `#N/A`, `#NV`, `#REF!`, `#DIV/0!`
FORMULA_ERROR = re.compile(r"#(?:N/?A|NV|N/D|[A-Z/0¡\xc0-\xde]+[!?])", re.IGNORECASE)
#: what programs write where nobody has given a label
UNLABELLED = {"TagLab": "empty", "coralnet-toolbox": "review"}
#: columns that say who gave a label, and what stands there for a machine
WHO = frozenset({"annotator", "annotated by", "annotation by", "user", "source"})
MACHINES = frozenset({"robot", "machine", "computer", "ai", "coralnet", "alleviate", "classifier"})
#: CoralNet's robots have a number: `Robot 5`
NUMBERED = re.compile(r"\W*(robot|classifier|alleviate)\b.*", re.IGNORECASE)
#: columns that say whether a person confirmed a label, and what stands there for no
CONFIRMED = frozenset({"verified", "confirmed", "human verified", "is confirmed", "is verified"})
NO = frozenset({"false", "no", "0", "n", "f", "falsch", "nein", "faux", "non", "falso"})
#: columns that say the opposite, and what stands there for yes
REVIEW = frozenset(
    {"needs review", "need review", "to review", "is machine", "is robot", "machine", "automatic"}
)
YES = frozenset({"true", "yes", "1", "y", "t", "wahr", "ja", "vrai", "oui", "verdadero", "sí"})
STATUS = frozenset({"status", "annotation status", "label status"})
UNCONFIRMED = frozenset({"unconfirmed", "unverified", "unclassified", "machine", "needs review"})


SIGNS = ((WHO, MACHINES), (CONFIRMED, NO), (REVIEW, YES), (STATUS, UNCONFIRMED))


@dataclass(frozen=True)
class Condition:
    """A condition that a row must meet."""

    text: str
    place: int
    value: str
    equal: bool

    def holds(self, fields: Sequence[str]) -> bool:
        """Whether a row meets it; a missing cell is empty."""
        found = fields[self.place] if self.place < len(fields) else ""
        return (found.casefold() == self.value.casefold()) is self.equal


def conditions(where: Sequence[str], header: Sequence[str], name: str) -> list[Condition]:
    """The conditions, beside a header. Raises `PointsFileError` where one does not fit."""
    made = []
    for text in where:
        match = re.fullmatch(r"\s*(.+?)\s*(!=|==?)\s*(.*?)\s*", text)
        if not match:
            raise PointsFileError(
                f"--where {text!r} is no condition; expected COLUMN=VALUE or COLUMN!=VALUE"
            )
        column, operator, value = match.groups()
        some = [i for i, each in enumerate(header) if plain(each) == plain(column)]
        if len(some) != 1:
            there = ", ".join(map(repr, header))
            how_many = "no column" if not some else f"{len(some)} columns"
            raise PointsFileError(
                f"{name}: {how_many} {column!r} for --where {text!r}; there are {there}"
            )
        made.append(Condition(text, some[0], value.strip("'\""), operator != "!="))
    return made


class MachineLabels:
    """Counts labels that a column calls a machine's or not confirmed."""

    def __init__(self, header: Sequence[str]) -> None:
        self._header = header
        self._signs = [
            (place, values)
            for columns, values in SIGNS
            for place, each in enumerate(header)
            if plain(each) in columns
        ]
        self._counts: Counter[tuple[int, str]] = Counter()
        self.labels = 0

    def take(self, fields: Sequence[str]) -> None:
        """Look at a row that has a label."""
        self.labels += 1
        for place, values in self._signs:
            if place < len(fields) and _says(fields[place], values):
                self._counts[place, fields[place]] += 1

    def warnings(self, name: str) -> list[str]:
        """One line for each value that was found."""
        return [
            f"{name}: {count:,} of {self.labels:,} labels have {self._header[place]} = {value}: a"
            " machine's or not confirmed, and taken as true here; leave them out with --where"
            f" '{self._header[place]}!={value}'"
            for (place, value), count in self._counts.items()
        ]


def no_label(value: str, program: str = "") -> bool:
    """Whether a cell that is not blank stands for no label."""
    folded = value.casefold()
    unlabelled = next((text for name, text in UNLABELLED.items() if program.startswith(name)), None)
    return folded in EMPTY or folded == unlabelled or bool(FORMULA_ERROR.fullmatch(value))


def _says(value: str, values: frozenset[str]) -> bool:
    if values is MACHINES and NUMBERED.fullmatch(value):
        return True
    return value.casefold() in values
