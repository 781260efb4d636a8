"""`spacer-tasks convert`: classifiers from one format to the other, on this machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from spacer_tasks.cli.options import location
from spacer_tasks.cli.stored.csv_report import report_location, store_csv
from spacer_tasks.console import (
    INTERRUPTED,
    LISTED,
    SOME_FAILED,
    complain,
    counted,
    end_with,
    listed,
    print_facts,
    progress_bar,
    reason,
    say,
    short,
)
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import InputError, TransientError

if TYPE_CHECKING:
    from spacer_tasks.classifiers.conversion import Conversion, Outcome

#: what the reason begins with why a file was let pass
NO_CLASSIFIER = "not a classifier"
COLUMNS = (
    *("source", "target", "outcome", "format", "type", "classes", "feature_dim"),
    *("largest_difference", "seconds", "reason"),
)


class Format(str, Enum):
    """The formats of classifier files; as `messages.ClassifierFormat`."""

    SPACER = "spacer"
    PYSPACER = "pyspacer"


def convert(
    source: Annotated[
        str,
        typer.Argument(help="A classifier, a folder, or s3://bucket/prefix.", show_default=False),
    ],
    target: Annotated[
        str,
        typer.Argument(
            help="Where the conversions go: a folder or s3://bucket/prefix (for one classifier:"
            " a file, or a folder that ends in /).",
            show_default=False,
        ),
    ],
    to: Annotated[
        Format,
        typer.Option(
            help="spacer: a data file without code. pyspacer: a pickle that pyspacer 0.14 loads.",
            show_default=False,
        ),
    ],
    match: Annotated[
        str,
        typer.Option(
            metavar="PATTERN", help="Of a folder only files of such paths, as in '*.model'."
        ),
    ] = "*",
    suffix: Annotated[
        str | None,
        typer.Option(
            metavar=".EXT",
            help="Replace the extension in the conversions' names; else names are kept.",
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace targets that are not equal conversions."),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Read and check everything, and write no classifier."),
    ] = False,
    threads: Annotated[int, typer.Option(min=1, max=64, help="Files at once.")] = 8,
    report: Annotated[
        str | None,
        typer.Option("--report", "-o", metavar="CSV", help="Write a row for each file."),
    ] = None,
) -> None:
    """Convert classifiers between formats, and check each conversion.

    A conversion must give the probabilities of its source, to 1e-6 on random vectors, or it is
    not stored. Photos, features, JSON and texts of other names than classifiers have are told of
    and let pass. A file that fails, or might be a classifier and is not taken, is listed at the
    end with the reason, does not stop the others, and makes the exit code 1. Started again, the
    command goes on where it was: equal conversions stay.
    """
    from spacer_tasks.classifiers.conversion import convert_all
    from spacer_tasks.classifiers.conversion_plan import plan_conversion

    if suffix is not None and (not suffix.startswith(".") or len(suffix) < 2 or "/" in suffix):
        raise typer.BadParameter("expected a dot and an extension", param_hint="--suffix")
    report_loc = report_location(report, COLUMNS, [source, target])
    plan = plan_conversion(location(source), _folder_or_file(target), suffix=suffix, match=match)
    if report and any(each.target == report_loc for each in plan):
        raise InputError(f"{report} would be written over a conversion; another place")
    done: list[Conversion] = []
    try:
        with progress_bar() as progress:
            bar = progress.add_task("converting", total=len(plan), note="")
            rows = convert_all(
                plan, to.value, overwrite=overwrite, dry_run=dry_run, threads=threads
            )
            with closing(rows):
                for row in rows:
                    done.append(row)
                    progress.update(bar, advance=1, note=short(row.name))
            progress.update(bar, note="")
    except KeyboardInterrupt:
        say(f"Interrupted: {_how_to_go_on(done)}", "yellow")
        _store_report(report_loc, done)
        raise typer.Exit(INTERRUPTED) from None
    except TransientError as error:
        _store_report(report_loc, done)
        raise type(error)(f"{error}; {_how_to_go_on(done)}") from error
    done.sort(key=lambda row: row.name)
    _print_summary(done, source, target, to)
    _store_report(report_loc, done)
    end_with({row.name: reason(row.reason, row.name) for row in done if row.outcome == "failed"})
    if all(row.outcome == "skipped" for row in done):
        complain(f"{source}: no classifier among {counted(len(done), 'file')}")
        raise typer.Exit(SOME_FAILED)


def _print_summary(done: Sequence[Conversion], source: str, target: str, to: Format) -> None:
    by_outcome: dict[Outcome, list[Conversion]] = {}
    for row in done:
        by_outcome.setdefault(row.outcome, []).append(row)
    facts = {"files": f"{len(done):,} in {source}"}
    for outcome, rows in by_outcome.items():
        facts[outcome] = f"{len(rows):,}"
        if outcome in ("converted", "would convert"):
            facts[outcome] += f" to {to.value}, in {target}: {_kinds(rows)}"
        elif outcome == "already there":
            facts[outcome] += f" in {target}: {_kinds(rows)}"
        elif outcome == "skipped":
            facts[outcome] += f", {_by_reason(rows)}"
    differences = [row.difference for row in done if row.difference is not None]
    if differences:
        facts["difference"] = (
            f"{max(differences):.2g} at most, between a probability from a source and the same"
            " from its conversion"
        )
    print_facts(facts)


def _by_reason(rows: Iterable[Conversion]) -> str:
    """`not a classifier: 0.valresult, 1.valresult (JSON); a.jpg (a JPEG)`, for example."""
    names: dict[str, list[str]] = {}
    for row in rows:
        names.setdefault(row.reason.removeprefix(f"{NO_CLASSIFIER}: "), []).append(row.name)
    kinds = "; ".join(f"{listed(some)} ({kind})" for kind, some in sorted(names.items()))
    more = any(len(some) > LISTED for some in names.values())
    return f"{NO_CLASSIFIER}: {kinds}" + (" (--report names all)" if more else "")


def _kinds(rows: Iterable[Conversion]) -> str:
    """`3 MLP of 1280 dimensions, 1 LR of 4096`, for example."""
    counts = Counter((row.clf_type, row.feature_dim) for row in rows)
    return ", ".join(
        f"{count:,} {clf_type} of {dimensions} dimensions"
        for (clf_type, dimensions), count in sorted(counts.items(), key=str)
    )


def _store_report(loc: DataLocation | None, done: Iterable[Conversion]) -> None:
    if loc is None:
        return
    rows = sorted(done, key=lambda row: row.name)
    store_csv(
        loc,
        COLUMNS,
        [
            (
                *(row.source, row.target, row.outcome, row.format, row.clf_type),
                *(row.class_count, row.feature_dim, row.difference, round(row.seconds, 4)),
                row.reason,
            )
            for row in rows
        ],
    )
    say(f"report: {loc}")


def _how_to_go_on(done: Iterable[Conversion]) -> str:
    there = sum(row.outcome in ("converted", "already there") for row in done)
    return f"{counted(there, 'conversion')} stored; the same command again goes on from there"


def _folder_or_file(text: str) -> DataLocation:
    """The location, with the slash that says that it is a folder."""
    found = location(text)
    if text.endswith("/") and not found.key.endswith("/"):
        return found.model_copy(update={"key": f"{found.key}/"})
    return found
