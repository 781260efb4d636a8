"""`spacer-tasks cover`: percent cover from predictions or from people's labels."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from spacer_tasks import storage
from spacer_tasks.cli.local.label_maps import (
    Groups,
    LabelMap,
    read_groups,
    read_label_map,
    tell_unknown,
)
from spacer_tasks.cli.local.val_results import read_val_results
from spacer_tasks.cli.options import ColumnOptions, expanded, location
from spacer_tasks.cli.outputs import check_outputs
from spacer_tasks.cli.scores import print_files
from spacer_tasks.cli.stored.csv_report import store_csv
from spacer_tasks.console import counted, listed, out, progress_bar, short, warn
from spacer_tasks.data_classes.small_tables import IMAGE_COLUMNS, read_pairs
from spacer_tasks.exceptions import PointsFileError

#: labels and groups of the printed table
PRINTED = 20


@expanded
def cover(
    predictions: Annotated[
        str,
        typer.Argument(
            metavar="CSV",
            help="What classify wrote, or any sheet of labelled points.",
            show_default=False,
        ),
    ],
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="CSV", help="The table.", show_default=False)
    ],
    columns: ColumnOptions,
    by: Annotated[
        str,
        typer.Option(
            metavar="survey|image|folder|NAME[=FILE]",
            help="Also the cover of each photo, of each folder of photos, or of each value in a"
            " column, as site=photos.csv: the column site of photos.csv, which has a column image"
            " too. Without a file, the column is one of the CSV itself.",
        ),
    ] = "survey",
    groups: Groups = None,
    label_map: LabelMap = None,
    valresult: Annotated[
        str | None,
        typer.Option(
            "--valresult",
            "--valresults",
            metavar="FILE",
            help="Validation results of the classifier that predicted, which train wrote: cover is"
            " corrected for its errors.",
        ),
    ] = None,
    xlsx: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write the table as a workbook, too.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="HTML", help="Write a page with charts.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
    bootstrap: Annotated[
        int, typer.Option(min=100, max=100_000, help="Times that photos are drawn.")
    ] = 1000,
) -> None:
    """Estimate percent cover, with 95 % intervals.

    Both means, that of the photos and that of all points; their uncertainty from points, photos
    and, with --valresult, the classifier's own errors.
    """
    from spacer_tasks.cover.survey import survey_cover
    from spacer_tasks.cover.tables import COLUMNS, cover_rows

    if xlsx:
        # what they need may be missing: said before the work
        from spacer_tasks.cover.workbook import cover_workbook
    if report:
        from spacer_tasks.report.cover_page import write_cover_page

    check_outputs([output, xlsx, report], [predictions, valresult, groups, label_map])
    renamed = read_label_map(label_map)
    grouped = read_groups(groups)
    file = columns.read(predictions, labels_needed=True)
    given = {
        name: [str(point.label) for point in points if point.label is not None]
        for name, points in file.images.items()
    }
    _tell_unlabelled(given, file.point_count)
    if renamed:
        known = {label for some in given.values() for label in some}
        tell_unknown(renamed, known, label_map, "kept as named")
    photos = {
        name: [renamed.get(label, label) for label in some] for name, some in given.items() if some
    }
    labels = {label for some in photos.values() for label in some}
    if grouped is not None and photos:
        tell_unknown(grouped, labels, groups, "each its own group")
    kind, units = _units(by, predictions, list(photos))
    results = None if valresult is None else read_val_results(valresult)
    with progress_bar() as progress:
        bar = progress.add_task("estimating cover", total=None, note="")

        def show(name: str, done: int, total: int) -> None:
            progress.update(bar, completed=done, total=total, note=short(name))

        found = survey_cover(
            photos,
            kind,
            units,
            grouped,
            results,
            renamed,
            seed=seed,
            replicates=bootstrap,
            on_unit=show,
        )
    for line in found.warnings:
        warn(line)
    facts = _facts(predictions, valresult, found.validation_points, bootstrap, seed)
    table = location(output)
    store_csv(table, list(COLUMNS), cover_rows(found))
    files = {"cover": table}
    if xlsx:
        files["workbook"] = location(xlsx)
        storage.store(files["workbook"], cover_workbook(found, facts))
    if report:
        write_cover_page(report, Path(predictions).name, found, facts)
        files["report"] = location(str(report))
    whole = found.whole
    printed = Table(box=None, header_style="dim", pad_edge=False)
    printed.add_column("group" if whole.groups else "label", overflow="fold")
    for name in ("cover", "95 % interval", *(("as predicted",) if results else ()), "points"):
        printed.add_column(name, justify="right", no_wrap=True)
    shown = sorted(
        whole.groups or whole.labels,
        key=lambda each: -(each.corrected_of_photos or each.of_photos).value,
    )
    for each in shown[:PRINTED]:
        best = each.corrected_of_photos or each.of_photos
        as_predicted = (f"{each.of_photos.value:.1%}",) if results else ()
        interval = f"{best.low:.1%} to {best.high:.1%}"
        printed.add_row(each.name, f"{best.value:.1%}", interval, *as_predicted, f"{each.hits:,}")
    out.print(printed)
    more = f"; {len(shown) - PRINTED} more in {output}" if len(shown) > PRINTED else ""
    out.print(
        f"\nmean of {counted(whole.photos, 'photo')} with {counted(whole.points, 'point')}{more}",
        soft_wrap=True,
        markup=False,
    )
    print_files(files)


def _facts(
    predictions: str, valresult: str | None, validation: int | None, bootstrap: int, seed: int
) -> dict[str, str]:
    correction = (
        "none: labels are taken as right"
        if valresult is None
        else f"by {validation:,} validation points of {valresult} (Solow, Davis and Hu 2001; the"
        " most likely shares that are not negative)"
    )
    return {
        "labels": predictions,
        "intervals": f"95 %, bootstrap of photos, {bootstrap:,} times, seed {seed}",
        "correction": correction,
    }


def _tell_unlabelled(given: Mapping[str, list[str]], points: int) -> None:
    without = points - sum(map(len, given.values()))
    if without:
        warn(
            f"{counted(without, 'point')} without a label left out of the cover; if they are those"
            " that a machine was unsure of, cover is wrong until people label them"
        )
    empty = [name for name, labels in given.items() if not labels]
    if empty:
        warn(f"{counted(len(empty), 'photo')} without a labelled point left out: {listed(empty)}")


def _units(by: str, predictions: str, photos: list[str]) -> tuple[str, dict[str, str] | None]:
    """What kind of units there are, and the unit of each photo."""
    kind, separator, path = by.partition("=")
    kind = kind.strip()
    if not kind or (separator and not path):
        raise typer.BadParameter(f"{by!r} is not NAME=FILE", param_hint="--by")
    if not separator:
        if kind == "survey":
            return kind, None
        if kind == "image":
            return kind, {name: name for name in photos}
        if kind == "folder":
            return kind, {name: name.rpartition("/")[0] or "." for name in photos}
        path = predictions
    pairs = read_pairs(storage.load(location(path)), path, IMAGE_COLUMNS, [kind], ("image", kind))
    table = {_plain(name): unit for name, unit in pairs.items()}
    missing = [name for name in photos if _plain(name) not in table]
    if photos and len(missing) == len(photos):
        raise PointsFileError(
            f"{path}: none of the photos of {predictions} is in it: they are called"
            f" {listed(photos)}, those in it {listed(list(pairs))}"
        )
    nowhere = f"not in {path}"
    if missing:
        warn(
            f"{counted(len(missing), 'photo')} {nowhere}, which are the unit {nowhere!r}:"
            f" {listed(missing)}"
        )
    return kind, {name: table.get(_plain(name), nowhere) for name in photos}


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).replace("\\", "/").removeprefix("./")
