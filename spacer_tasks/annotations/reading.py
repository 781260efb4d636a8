"""Files of points, with labels or without, in the formats that people have.

What spreadsheets, CoralNet and other programs export is taken as it is: any of their encodings and
delimiters, and columns known by the usual names. Everything that is wrong with a file is told at
once.

Labels are text, also where they look like numbers. Were it decided by what is in the file, one
more line could change the type of every label, and with it what a classifier answers; whoever
works with label ids says so (`integer_labels`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath

from spacer_tasks.annotations.column_names import OWN
from spacer_tasks.annotations.columns import find_columns, known, program, unit_of
from spacer_tasks.annotations.formats.cpce import cpc_table, is_cpc
from spacer_tasks.annotations.formats.encodings import decoded
from spacer_tasks.annotations.formats.json_files import json_table
from spacer_tasks.annotations.formats.tables import Table, text_table
from spacer_tasks.annotations.formats.workbooks import is_workbook, workbook_table
from spacer_tasks.annotations.other_files import hint, refuse_binary, refuse_markup
from spacer_tasks.annotations.points import Column, PointsFile, ReadOptions
from spacer_tasks.annotations.problems import LISTED, problems_error
from spacer_tasks.annotations.rows import RowReader
from spacer_tasks.exceptions import PointsFileError

#: `IMG_0001.jpg.txt`: the points of one photo, whose name is the file's
NAMES_ITS_IMAGE = re.compile(r"\.(?:jpe?g|png|tiff?|bmp|webp)\.(?:txt|csv|tsv)$", re.IGNORECASE)


def read_points(files: Mapping[str, bytes], name: str, options: ReadOptions) -> PointsFile:
    """The points of one file, or of a folder of them.

    Parameters
    ----------
    files
        Contents by name.
    name
        Says which file or folder in errors.

    Raises
    ------
    PointsFileError
        As `read_points_file`.
    """
    reader = RowReader(options, several=len(files) > 1)
    kinds: list[str] = []
    warnings: list[str] = []
    has_labels = False
    for each, data in files.items():
        table = _table(data, each, options)
        image = NAMES_ITS_IMAGE.search(each)
        # below a folder of files, the folders tell photos of one name apart
        whole = PurePosixPath(each).name if each == name else each
        named = whole.rpartition(".")[0] if image else ""
        found, problems, notes = find_columns(
            table,
            options.columns,
            labels_needed=options.labels_needed,
            integer_labels=options.integer_labels,
            image_named=bool(image),
        )
        if problems:
            there = ", ".join(map(repr, table.header[:LISTED])) or "nothing"
            where = f"{each} ({table.read} {there})"
            likely = hint(table.header, list(found))
            if likely:
                needed = [column for column in ("image", "row", "column") if column not in found]
                lacking = " and ".join(f"the {column}" for column in needed)
                raise PointsFileError(f"{where}: no column for {lacking}; {likely}")
            raise problems_error(where, problems)
        has_labels |= "label" in found
        table.coordinates = options.coordinates or unit_of(table.header, found) or table.coordinates
        if named and "image" not in found:
            table.kind = "one photo's points (its name from the file's)"
        kinds.append(table.kind)
        warnings += [*table.warnings, *(f"{each}: {note}" for note in notes)]
        reader.take_table(table, each, found, named)
    reader.finish(name)
    kind = ", ".join(dict.fromkeys(kinds))
    return PointsFile(
        name,
        reader.images,
        has_labels,
        [*warnings, *reader.warnings(name)],
        kind=kind if len(files) == 1 else f"{len(files)} files: {kind}",
        foreign=frozenset(reader.foreign),
        shapes=reader.shapes,
        duplicates=options.duplicates,
    )


def read_points_file(
    data: bytes,
    name: str,
    columns: Mapping[Column, str] | None = None,
    *,
    integer_labels: bool = False,
    labels_needed: bool = False,
    options: ReadOptions | None = None,
) -> PointsFile:
    """The points in a file.

    Parameters
    ----------
    data
        The file's content. Text is Unicode of any kind, or else cp1252 or Mac Roman.
    name
        Says which file in errors.
    columns, integer_labels, labels_needed
        As in `ReadOptions`.
    options
        The other options.

    Raises
    ------
    PointsFileError
        Columns are missing or ambiguous, lines are wrong, or there is no point. The text names
        line, column, what was found and what was expected, ten times at most, and counts the rest.
    """
    options = replace(
        options or ReadOptions(),
        columns=dict(columns or (options.columns if options else {})),
        integer_labels=integer_labels or bool(options and options.integer_labels),
        labels_needed=labels_needed or bool(options and options.labels_needed),
    )
    return read_points({name: data}, name, options)


def _table(data: bytes, name: str, options: ReadOptions) -> Table:
    def fits(header: list[str]) -> int:
        return known(header, options.columns)

    refuse_binary(data, name)
    if is_workbook(data):
        table = workbook_table(data, name, fits, options.sheet)
    else:
        text, warnings = decoded(data, name, options.encoding)
        refuse_markup(text, name)
        if is_cpc(text):
            table = cpc_table(text, name)
        elif text.lstrip()[:1] in ("{", "["):
            table = json_table(text, name)
        else:
            table = text_table(text, name, fits)
        table.warnings += warnings
    from_program = program(table.header)
    if from_program and table.kind in ("CSV", "JSON records"):
        table.kind = f"{from_program} {table.kind}"
    table.own = from_program == OWN
    if table.own and (options.one_based or options.swap):
        table.warnings.append(
            f"{name}: what classify wrote counts from 0, row before column: --one-based and --swap"
            " do not hold for it; if another program wrote this table, rename its column"
            " 'probability'"
        )
    if from_program == "Squidle+":
        table.coordinates = "fraction"
    return table
