"""What `spacer-tasks verify` found, printed and as a CSV."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from spacer_tasks.cli.stored.csv_report import store_csv
from spacer_tasks.console import counted, err, listed, out, print_facts, reason
from spacer_tasks.data_classes.locations import DataLocation

if TYPE_CHECKING:
    from spacer_tasks.verification.checks import Check, Outcome

COLUMNS = (
    *("file", "outcome", "points", "difference", "worst_row", "worst_column", "labels_changed"),
    *("computed_from", "by", "seconds", "note"),
)
STYLES = {"equal": "green", "differs": "red", "failed": "red"}


def print_checks(checks: Sequence[Check]) -> None:
    """Print a line for each file that was computed again."""
    # the worst beside the summary, where a terminal shows it
    shown = sorted(
        (each for each in checks if each.difference is not None),
        key=lambda each: (each.difference, each.name),
    )
    if not shown:
        return
    scores = any(each.changed is not None for each in shown)
    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column("file", overflow="fold")
    table.add_column("points", justify="right", no_wrap=True)
    table.add_column("difference", justify="right", no_wrap=True)
    if scores:
        table.add_column("labels changed", justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    for each in shown:
        changed = [f"{each.changed:,}" if each.changed is not None else "-"] if scores else []
        verdict = Text(each.outcome, STYLES[each.outcome])
        if each.outcome == "differs":
            at = f", most at row {each.worst[0]} column {each.worst[1]}" if each.worst else ""
            note = f"; {each.note}" if each.note else ""
            verdict.append(at + note, "default")
        table.add_row(
            Text(each.name), f"{each.points:,}", number(each.difference), *changed, verdict
        )
    out.print(table)
    out.print()


def print_summary(checks: Sequence[Check], sampled: str, measure: str, tolerance: str) -> None:
    """Print what all checks together say, and why files are not among the verified.

    Parameters
    ----------
    sampled
        Where the files are, and how many.
    measure
        What a difference is.
    tolerance
        What is let pass.
    """
    from spacer_tasks.verification.checks import Summary

    summary = Summary.of(checks)
    facts = {"sample": sampled, "verified": counted(summary.verified, "file")}
    if summary.verified:
        facts["difference"] = measure
        facts["median"] = number(summary.median)
        facts["worst"] = number(summary.worst)
        facts["over"] = f"{summary.over:,} over the tolerance of {tolerance}"
    print_facts(facts)
    _print_reasons(checks, "not verified", "")
    _print_reasons(checks, "failed", "red")


def _print_reasons(checks: Sequence[Check], outcome: Outcome, style: str) -> None:
    reasons: dict[str, list[str]] = {}
    for each in checks:
        if each.outcome == outcome:
            reasons.setdefault(reason(each.note, each.name), []).append(each.name)
    if not reasons:
        return
    count = sum(map(len, reasons.values()))
    err.print(Text(f"{counted(count, 'file')} {outcome}:", style), soft_wrap=True)
    for note, names in reasons.items():
        err.print(Text(f"  {listed(names)}: {note}"), soft_wrap=True)


def store_checks(loc: DataLocation, checks: Sequence[Check]) -> None:
    """Write a row for each file that was looked at. Raises as `storage.store`."""
    rows = []
    for each in checks:
        row, column = each.worst or (None, None)
        rows.append(
            (
                *(each.location, each.outcome, each.points, each.difference, row, column),
                *(each.changed, each.computed_from, each.by, round(each.seconds, 4), each.note),
            )
        )
    store_csv(loc, COLUMNS, rows)


def number(value: float | None) -> str:
    """A difference in two digits: `2.1e-07`, `0`, `infinite`."""
    if value is None:
        return "-"
    if math.isinf(value):
        return "infinite"
    return f"{value:.1e}" if value else "0"
