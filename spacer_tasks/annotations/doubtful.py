"""Rows that are filtered, and cells that hold no label."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from spacer_tasks.annotations.column_names import folded, plain
from spacer_tasks.exceptions import PointsFileError

#: values of a column that say "no label" in spreadsheets, R, pandas and databases
EMPTY = frozenset(
    {"na", "n/a", "n.a.", "nan", "none", "nil", "null", "<na>", "(empty)", "(blank)", "-", "--"}
    | {"?", "."}
)
#: errors of a formula, in spreadsheets of several languages: `#N/A`, `#NV`, `#REF!`, `#DIV/0!`
FORMULA_ERROR = re.compile(r"#(?:N/?A|NV|N/D|[A-Z/0¡\xc0-\xde]+[!?])", re.IGNORECASE)
#: months as spreadsheets shorten them, in English, German, French, Spanish, Portuguese, Italian
#: and Dutch, without accents
MONTHS = (
    r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|marz|mrz|mai|juni|juli|sept|okt|dez"
    r"|janv|fev|fevr|mars|avr|juin|juil|aout|ene|abr|ago|dic|set|out|gen|mag|giu|lug|ott|mrt|mei)"
    r"\.?"
)
#: a label, without accents, that a spreadsheet may have made of another: 1-Mar of MAR1, 2024-03-01
#: or 01/03/2024 of the same
DATE = re.compile(
    r"[0-9]{4}([-/.])[0-9]{1,2}\1[0-9]{1,2}(?:[ T][0-9:.]+)?"
    r"|[0-9]{1,2}([-/.])[0-9]{1,2}\2(?:[0-9]{2}|[0-9]{4})(?: [0-9:.]+)?"
    rf"|[0-9]{{1,2}}\.?[-/. ]{MONTHS}(?:[-/. ](?:[0-9]{{2}}|[0-9]{{4}}))?"
    rf"|{MONTHS}[-/. ](?:[0-9]{{2}}|[0-9]{{4}})",
    re.IGNORECASE,
)
#: what programs write where nobody has given a label
UNLABELLED = {"TagLab": "empty", "coralnet-toolbox": "review"}


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


def is_date(label: str) -> bool:
    """Whether a label looks like a date as spreadsheets show them."""
    return bool(DATE.fullmatch(folded(label)))


def no_label(value: str, program: str = "") -> bool:
    """Whether a cell that is not blank stands for no label."""
    text = value.casefold()
    unlabelled = next((each for name, each in UNLABELLED.items() if program.startswith(name)), None)
    return text in EMPTY or text == unlabelled or bool(FORMULA_ERROR.fullmatch(value))
