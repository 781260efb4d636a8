"""Which column of a table is the image, the row, the column, the label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

from spacer_tasks.annotations.column_names import (
    BOTH,
    KNOWN_FILES,
    OF_PROGRAMS,
    OWN,
    OWN_COLUMNS,
    ROW_PAIR,
    SURE,
    SYNONYMS,
    XY_PAIR,
    forms,
    plain,
)
from spacer_tasks.annotations.formats.tables import Table
from spacer_tasks.annotations.points import Column, Coordinates

POSITIONS: tuple[Column, Column] = ("row", "column")

#: names behind which a unit may stand
WITH_UNITS = [names[column] for names in (SYNONYMS, OF_PROGRAMS) for column in POSITIONS]


def places(header: Sequence[str], column: Column, given: Mapping[Column, str]) -> list[int]:
    """Where a column may be, the likeliest first."""
    if column in given:
        return _given(header, given[column])
    if sure := _at(header, SURE[column]):
        return sure
    usual = _at(header, SYNONYMS[column])
    if column == "label" and all(_is_id(header[place]) for place in usual):
        # an id has its name beside it in BIIGLE's reports
        return usual + _at(header, OF_PROGRAMS[column])
    return usual or _at(header, OF_PROGRAMS[column])


def _set_aside(header: Sequence[str], column: Column, given: Mapping[Column, str]) -> list[int]:
    """Columns of the usual names beside those of a program: people add columns of their own."""
    if column in given or not _at(header, SURE[column]):
        return []
    sure = _at(header, SURE[column])
    return [place for place in _at(header, SYNONYMS[column]) if place not in sure]


def both_place(header: Sequence[str]) -> int | None:
    """Where x and y stand in one cell."""
    return next(iter(_at(header, BOTH)), None)


def known(header: Sequence[str], given: Mapping[Column, str]) -> int:
    """How many of the columns looked for a header has."""
    found = sum(bool(places(header, column, given)) for column in get_args(Column))
    return found + (both_place(header) is not None)


def program(header: Sequence[str]) -> str:
    """The program that writes such a table; empty if unknown."""
    if is_own(header):
        return OWN
    there = {plain(value) for value in header}
    return next((name for name, needed in KNOWN_FILES.items() if there.issuperset(needed)), "")


def is_own(header: Sequence[str]) -> bool:
    """Whether `spacer-tasks classify` wrote a table: its columns first, as it spells them."""
    return tuple(header[: len(OWN_COLUMNS)]) == OWN_COLUMNS


def unit_of(header: Sequence[str], found: Mapping[Column, int]) -> Coordinates | None:
    """How positions are given, where the names of both their columns say it."""
    units: set[Coordinates | None] = set()
    for column in POSITIONS:
        if column not in found:
            return None
        names = {*SYNONYMS[column], *OF_PROGRAMS[column]}
        named = [unit for name, unit in forms(header[found[column]]).items() if name in names]
        units.add(named[0] if named else None)
    return units.pop() if len(units) == 1 else None


def find_columns(
    table: Table,
    given: Mapping[Column, str],
    *,
    labels_needed: bool,
    integer_labels: bool,
    image_named: bool,
) -> tuple[dict[Column, int], list[str], list[str]]:
    """Where the columns are, what is wrong with them, and what to know.

    Parameters
    ----------
    image_named
        Whether the file's own name says the image.
    """
    header = table.header
    found: dict[Column, int] = {}
    problems, warnings = [], []
    both = both_place(header)
    pair = _pair(header, given)
    for column in get_args(Column):
        some = places(header, column, given)
        option = f"--{column}-column"
        taken = None
        if len(some) > 1 and column not in given:
            if column == "label":
                taken = _label_place(header, some, integer_labels=integer_labels)
            elif column in POSITIONS:
                of_pair = [place for place in some if _bare(header[place]) in pair]
                taken = of_pair[0] if len(of_pair) == 1 else None
            if taken is None and _bare(header[some[0]]) not in SYNONYMS[column]:
                taken = some[0]
        if taken is not None:
            names = " and ".join(repr(header[place]) for place in some)
            warnings.append(f"{column}s are from {header[taken]!r} (of {names}; {option} decides)")
            some = [taken]
        if beside := _set_aside(header, column, given):
            names = " and ".join(repr(header[place]) for place in (*some, *beside))
            warnings.append(
                f"{column}s are from {header[some[0]]!r} (of {names}; {option} decides)"
            )
        if len(some) > 1:
            problems.append(_ambiguous(header, some, column))
        elif some:
            found[column] = some[0]
        elif column == "image" and image_named:
            continue
        elif column in POSITIONS and both is not None and column not in given:
            found[column] = both
        elif column != "label" or labels_needed or column in given:
            wanted = repr(given[column]) if column in given else _synonyms(column)
            problems.append(f"no column for the {column}: expected {wanted} (or give {option})")
    return found, problems, warnings


def _pair(header: Sequence[str], given: Mapping[Column, str]) -> tuple[str, ...]:
    """The names that belong together where a table has Row and Column, and X and Y.

    Rows and columns are of the photo; x and y beside them may be metres. A `Row` alone beside X and
    Y is the table's.
    """
    rows, columns = (
        {_bare(header[place]) for place in places(header, column, given)} for column in POSITIONS
    )
    whole = "row" in rows and columns & {"column", "col"}
    return XY_PAIR if "y" in rows and "x" in columns and not whole else ROW_PAIR


def _bare(name: str) -> str:
    """The shortest of the names that a column's may stand for."""
    return min(forms(name), key=len)


def _label_place(header: Sequence[str], some: list[int], *, integer_labels: bool) -> int | None:
    """CoralNet's newer exports have a label's id beside its code: the type decides."""
    ids = [place for place in some if _is_id(header[place])]
    others = [place for place in some if place not in ids]
    if integer_labels and len(ids) == 1:
        return ids[0]
    codes = [place for place in others if plain(header[place]) == "label code"]
    if len(others) == 2 and len(codes) == 1:
        return codes[0]
    if len(others) > 1 and ids:
        return others[0] if plain(header[others[0]]) not in SYNONYMS["label"] else None
    return others[0] if len(others) == 1 else None


def _is_id(name: str) -> bool:
    """Whether a column has ids of labels: `Label ID`, and Squidle+'s `label.id`."""
    return "label id" in forms(name)


def _ambiguous(header: Sequence[str], some: Sequence[int], column: Column) -> str:
    names = " and ".join(repr(header[place]) for place in some)
    how = f"say which with --{column}-column"
    if len({plain(header[place]) for place in some}) < len(some):
        numbers = " or ".join(str(place + 1) for place in some)
        how += f" and its number, {numbers}"
    return f"{names} could both be the {column}: {how}"


def _given(header: Sequence[str], name: str) -> list[int]:
    """The columns of a name, or the one of a number, the first being 1."""
    found = [place for place, value in enumerate(header) if plain(value) == plain(name)]
    if not found and name.isdecimal() and 0 < int(name) <= len(header):
        return [int(name) - 1]
    return found


def _at(header: Sequence[str], names: Sequence[str]) -> list[int]:
    """The columns of these names: in the table's order for names in general use, else by name."""
    found = []
    units = names in WITH_UNITS
    for place, value in enumerate(header):
        ranks = [
            names.index(form)
            for form, unit in forms(value).items()
            if form in names and (units or unit is None)
        ]
        if ranks:
            found.append((min(ranks), place))
    if names in SYNONYMS.values():
        return [place for _, place in found]
    return [place for _, place in sorted(found)]


def _synonyms(column: Column) -> str:
    *most, last = (repr(name) for name in SYNONYMS[column])
    return f"{', '.join(most)} or {last}"
