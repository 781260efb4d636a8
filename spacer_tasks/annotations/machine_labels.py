"""Labels that no person gave or confirmed, known by what the columns beside them say."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from spacer_tasks.annotations.column_names import CAMEL, folded, plain

YES = frozenset(
    {"true", "yes", "1", "y", "t", "x", "wahr", "ja", "vrai", "oui", "verdadero", "vero", "si"}
    | {"sim"}
)
NO = frozenset({"false", "no", "0", "n", "f", "falsch", "nein", "faux", "non", "falso", "nao"})
MACHINES = frozenset(
    {"robot", "machine", "computer", "ai", "coralnet", "alleviate", "classifier", "model"}
    | {"automatic", "auto", "automated", "predicted", "prediction"}
)
UNCONFIRMED = frozenset(
    {"unconfirmed", "unverified", "unclassified", "unreviewed", "unchecked", "unvalidated"}
    | {"not confirmed", "not verified", "not reviewed", "needs review", "pending", "suggested"}
    | MACHINES
)


@dataclass(frozen=True)
class Sign:
    """Columns by their names, and the values in them that make a label doubtful."""

    columns: frozenset[str]
    values: frozenset[str]
    means: str = "a machine's or not confirmed"


SIGNS = (
    # who gave a label
    Sign(
        frozenset(
            {"annotator", "annotator name", "annotated by", "annotation by", "labeler", "labeller"}
            | {"observer", "analyst", "created by", "modified by", "user", "user name", "username"}
            | {"source", "origin", "type", "method"}
        ),
        MACHINES,
    ),
    # whether a person confirmed it
    Sign(
        frozenset(
            {"verified", "confirmed", "human verified", "is confirmed", "is verified", "reviewed"}
            | {"is reviewed", "validated", "is validated", "checked", "manual", "human"}
            | {"verifie", "confirme", "valide", "verificado", "confirmado", "verifiziert"}
            | {"bestatigt", "gepruft"}
        ),
        NO,
    ),
    # the opposite
    Sign(
        frozenset(
            {"needs review", "need review", "to review", "is machine", "is robot", "machine"}
            | {"automatic", "automated", "auto", "machine created", "is machine created"}
            | {"predicted", "is predicted", "unverified", "unconfirmed"}
        ),
        YES,
    ),
    Sign(
        frozenset(
            {"status", "annotation status", "label status", "review status", "validation status"}
        ),
        UNCONFIRMED,
    ),
    # ReefCloud's
    Sign(
        frozenset({"image disabled", "disabled", "excluded"}),
        YES,
        "excluded by whoever made the file",
    ),
)
#: CoralNet's robots have a number: `Robot 5`
NUMBERED = re.compile(r"\W*(robot|classifier|alleviate)\b.*", re.IGNORECASE)
#: what CoralNet exports beside a label where it is asked for
SUGGESTION = "machine suggestion 1"
#: labels of which it is no chance that all are the machine's first suggestion
MANY = 10


class MachineLabels:
    """Counts labels that a column calls a machine's, not confirmed or excluded."""

    def __init__(self, header: Sequence[str], label: int | None) -> None:
        self._header = header
        self._signs = [
            (place, sign)
            for sign in SIGNS
            for place, each in enumerate(header)
            if place != label and _is_named(each, sign.columns)
        ]
        self._label = label
        self._suggestion = next(
            (place for place, each in enumerate(header) if plain(each) == SUGGESTION), None
        )
        self._suggested = 0
        self._counts: Counter[tuple[int, str, str]] = Counter()
        self._labels = 0

    def take(self, fields: Sequence[str]) -> None:
        """Look at a row that has a label."""
        self._labels += 1
        for place, sign in self._signs:
            if place < len(fields) and _says(fields[place], sign.values):
                self._counts[place, fields[place], sign.means] += 1
        label, suggestion = self._label, self._suggestion
        if label is not None and suggestion is not None and max(label, suggestion) < len(fields):
            self._suggested += fields[label] == fields[suggestion]

    def warnings(self, name: str) -> list[str]:
        """One line for each value that was found."""
        found = [
            f"{name}: {count:,} of {self._labels:,} labels have {self._header[place]} = {value}:"
            f" {means}, and taken as true here; leave them out with --where"
            f" '{self._header[place]}!={value}'"
            for (place, value, means), count in self._counts.items()
        ]
        if not self._counts and self._suggested == self._labels >= MANY:
            assert self._suggestion is not None
            found.append(
                f"{name}: all {self._labels:,} labels are the machine's own, as in"
                f" {self._header[self._suggestion]!r}, and taken as true here: did people confirm"
                " them?"
            )
        return found


def _is_named(column: str, names: frozenset[str]) -> bool:
    """Whether a column has one of these names, perhaps with words before: `point.needs_review`."""
    words = plain(CAMEL.sub(" ", column.replace(".", " ")).rstrip("? ")).split()
    return any(" ".join(words[start:]) in names for start in range(len(words)))


@lru_cache(maxsize=10_000)
def _says(value: str, values: frozenset[str]) -> bool:
    if "robot" in values and NUMBERED.fullmatch(value):
        return True
    return folded(value).strip().removesuffix(".0") in values
