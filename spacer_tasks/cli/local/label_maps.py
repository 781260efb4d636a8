"""`--map` and `--groups`: tables that say what labels are called, and what they belong to."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated

import typer

from spacer_tasks import storage
from spacer_tasks.cli.options import location
from spacer_tasks.console import counted, listed, warn
from spacer_tasks.data_classes.small_tables import (
    GROUP_COLUMNS,
    LABEL_COLUMNS,
    NEW_COLUMNS,
    OLD_COLUMNS,
    read_pairs,
)

Groups = Annotated[
    str | None,
    typer.Option("--groups", metavar="CSV", help="The group of each label: label,group."),
]
LabelMap = Annotated[
    str | None,
    typer.Option("--map", metavar="CSV", help="New names of labels: old,new."),
]


def read_label_map(path: str | None) -> dict[str, str]:
    """The new name of each old one; none without a file. Raises as `read_pairs`."""
    if path is None:
        return {}
    data = storage.load(location(path))
    return read_pairs(data, path, OLD_COLUMNS, NEW_COLUMNS, ("old label", "new label"))


def read_groups(path: str | None) -> dict[str, str] | None:
    """The group of each label; None without a file. Raises as `read_pairs`."""
    if path is None:
        return None
    data = storage.load(location(path))
    return read_pairs(data, path, LABEL_COLUMNS, GROUP_COLUMNS, ("label", "group"))


def tell_unknown(
    table: Mapping[str, str], labels: Collection[str], path: str | None, becomes: str
) -> None:
    """Warn of labels that a table does not know, and of those in it that nothing has.

    Parameters
    ----------
    becomes
        What becomes of a label that is not in the table.
    """
    without = sorted(set(labels) - set(table))
    if without:
        warn(f"{path}: {counted(len(without), 'label')} not in it {becomes}: {listed(without)}")
    unused = sorted(set(table) - set(labels))
    if unused:
        warn(f"{path}: no point has {listed(unused)}")
