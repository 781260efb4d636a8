"""Which column of a table is the image, the row, the column, the label."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import get_args

from spacer_tasks.annotations.points import Column
from spacer_tasks.annotations.tables import Table

#: names of columns in use, without regard to case; `Name`, `Row`, `Column` and `Label` or
#: `Label code` are what CoralNet exports. Of labels, the first that is there is taken.
SYNONYMS: dict[Column, tuple[str, ...]] = {
    "image": ("name", "image", "image name", "file name", "filename", "file", "photo"),
    "row": ("row", "y"),
    "column": ("column", "col", "x"),
    "label": ("label", "label code", "label id", "class"),
}
#: further names, of the programs named; looked for where there is none of the others
OF_PROGRAMS: dict[Column, tuple[str, ...]] = {
    # AIMS and ReefCloud; Squidle+; MERMAID; TagLab; CATAMI; spreadsheets in other languages
    "image": (
        "image path",
        "imagename",
        "image file",
        "image filename",
        "media",
        "media key",
        "point.media.key",
        "photo name",
        "picture",
        "bild",
        "bildname",
        "dateiname",
        "foto",
        "fichier",
        "nom du fichier",
        "imagen",
        "archivo",
    ),
    "row": (
        "pointy",
        "point y",
        "point.y",
        "point row",
        "annotation row",
        "ypos",
        "y pixel",
        "taglab centroid y",
        "zeile",
        "ligne",
        "fila",
    ),
    "column": (
        "pointx",
        "point x",
        "point.x",
        "point column",
        "point col",
        "xpos",
        "x pixel",
        "taglab centroid x",
        "spalte",
        "colonne",
        "columna",
    ),
    "label": (
        "label name",
        "label.name",
        "label short name",
        "point human classification",
        "human classification",
        "benthic attribute",
        "benthic attribute name",
        "taglab class name",
        "catami",
        "catami name",
        "catami classification",
        "etikett",
        "klasse",
        "étiquette",
        "etiqueta",
        "species",
        "taxon",
        "category",
        "code",
    ),
}
#: of several names, those that say pixels of the photo; x and y may be metres beside them
ROWS_FIRST: dict[Column, tuple[str, ...]] = {"row": ("row",), "column": ("column", "col")}
#: x and y in one cell: ReefCloud's, with a comma between
BOTH = ("x,y", "xy", "point coordinate", "point coordinates", "coordinates", "points")
#: the columns by which a program's file is known, and what it is called
KNOWN_FILES: dict[str, tuple[str, ...]] = {
    "BIIGLE": ("filename", "shape name", "points", "label name"),
    "Squidle+": ("point.x", "point.y"),
    "TagLab": ("image name", "taglab class name"),
    "coralnet-toolbox": ("name", "row", "column", "patch size"),
    "VISCORE": ("name", "row", "column", "dot"),
    "MERMAID": ("row", "column", "benthic attribute"),
    "CoralNet": ("name", "row", "column"),
    "ReefCloud": ("point human classification",),
    "AIMS/ReefCloud": ("pointx", "pointy"),
}


def plain(name: str) -> str:
    """A column's name as it is compared."""
    return " ".join(re.split(r"[\s_-]+", name.strip().lstrip("#").strip().casefold()))


def places(header: Sequence[str], column: Column, given: Mapping[Column, str]) -> list[int]:
    """Where a column may be."""
    if column in given:
        return _at(header, (given[column],))
    usual = _at(header, SYNONYMS[column])
    if column == "label" and all(plain(header[place]) == "label id" for place in usual):
        # an id has its name beside it in BIIGLE's reports
        return usual + _at(header, OF_PROGRAMS[column])[:1]
    return usual or _at(header, OF_PROGRAMS[column])[:1]


def both_place(header: Sequence[str]) -> int | None:
    """Where x and y stand in one cell."""
    return next(iter(_at(header, BOTH)), None)


def known(header: Sequence[str], given: Mapping[Column, str]) -> int:
    """How many of the columns looked for a header has."""
    found = sum(bool(places(header, column, given)) for column in get_args(Column))
    return found + (both_place(header) is not None)


def program(header: Sequence[str]) -> str:
    """The program that writes such a table; empty if unknown."""
    there = {plain(value) for value in header}
    return next((name for name, needed in KNOWN_FILES.items() if there.issuperset(needed)), "")


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
    for column in get_args(Column):
        some = places(header, column, given)
        option = f"--{column}-column"
        if len(some) > 1 and column == "label":
            taken = _label_place(header, some, integer_labels=integer_labels)
            if taken is not None:
                names = " and ".join(repr(header[place]) for place in some)
                warnings.append(f"labels are from {header[taken]!r} (of {names}; {option} decides)")
                some = [taken]
        if len(some) > 1 and column in ROWS_FIRST:
            named = [place for place in some if plain(header[place]) in ROWS_FIRST[column]]
            if len(named) == 1:
                names = " and ".join(repr(header[place]) for place in some)
                warnings.append(f"{column}s are from {header[named[0]]!r} (of {names})")
                some = named
        if len(some) > 1:
            names = " and ".join(repr(header[place]) for place in some)
            problems.append(f"{names} could both be the {column}: say which with {option}")
        elif some:
            found[column] = some[0]
        elif column == "image" and image_named:
            continue
        elif column in ("row", "column") and both is not None and column not in given:
            found[column] = both
        elif column != "label" or labels_needed or column in given:
            wanted = repr(given[column]) if column in given else _synonyms(column)
            problems.append(f"no column for the {column}: expected {wanted} (or give {option})")
    return found, problems, warnings


def _label_place(header: Sequence[str], some: list[int], *, integer_labels: bool) -> int | None:
    """CoralNet's newer exports have a label's id beside its code: the type decides."""
    ids = [place for place in some if plain(header[place]) == "label id"]
    others = [place for place in some if place not in ids]
    if integer_labels and len(ids) == 1:
        return ids[0]
    codes = [place for place in others if plain(header[place]) == "label code"]
    if len(others) == 2 and len(codes) == 1:
        return codes[0]
    return others[0] if len(others) == 1 else None


def _at(header: Sequence[str], names: Sequence[str]) -> list[int]:
    wanted = {plain(name) for name in names}
    return [place for place, value in enumerate(header) if plain(value) in wanted]


def _synonyms(column: Column) -> str:
    *most, last = (repr(name) for name in SYNONYMS[column])
    return f"{', '.join(most)} or {last}"
