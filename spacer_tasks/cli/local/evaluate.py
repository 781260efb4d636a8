"""`spacer-tasks evaluate`: two files of labels for the same points, compared."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from spacer_tasks.annotations.points import FilePoint, PointsFile
from spacer_tasks.cli.local.label_maps import (
    Groups,
    LabelMap,
    read_groups,
    read_label_map,
    tell_unknown,
)
from spacer_tasks.cli.options import ColumnOptions, expanded, location
from spacer_tasks.cli.outputs import check_outputs
from spacer_tasks.cli.photos import place_selection
from spacer_tasks.cli.scores import print_files
from spacer_tasks.cli.selection import select_images
from spacer_tasks.cli.stored.csv_report import store_csv
from spacer_tasks.console import counted, listed, out, print_facts, say, warn
from spacer_tasks.exceptions import PointsFileError

#: labels and photos of the printed tables
PRINTED_LABELS, PRINTED_PHOTOS = 20, 5


@expanded
def evaluate(
    truth: Annotated[
        str, typer.Argument(metavar="TRUTH", help="Labelled points.", show_default=False)
    ],
    predictions: Annotated[
        str,
        typer.Argument(
            metavar="PREDICTIONS",
            help="Other labels of the same points: what classify wrote, or another person's.",
            show_default=False,
        ),
    ],
    columns: ColumnOptions,
    label_map: LabelMap = None,
    groups: Groups = None,
    photos: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="The photos: for positions that are shares of them (CPCe, Squidle+, percent), and"
            " where the files call them otherwise.",
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="CSV", help="The confusion matrix, as counts."),
    ] = None,
    report: Annotated[Path | None, typer.Option(metavar="HTML", help="Write a page.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the intervals' bootstrap.")] = 0,
) -> None:
    """Compare two files of labels: two annotators, two classifiers, or people and a machine.

    Agreement, Cohen's kappa, which labels are called what, and the photos that differ most.
    Points that only one file has are counted and named.
    """
    from spacer_tasks.agreement.comparing import compare

    if report:
        from spacer_tasks.report.agreement_page import write_agreement_page

    check_outputs([output, report], [truth, predictions, groups, label_map])
    renamed = read_label_map(label_map)
    grouped = read_groups(groups)
    first, second = (_labels(columns, path, photos) for path in (truth, predictions))
    for names, path, becomes in (
        (renamed, label_map, "kept as named"),
        (grouped or {}, groups, "each its own group"),
    ):
        if path:
            known = {
                label
                for some in (first, second)
                for points in some.values()
                for label in points.values()
            }
            tell_unknown(names, known, path, becomes)
            first, second = (_renamed(some, names) for some in (first, second))
    found = compare(first, second, seed)
    same = found.agreement
    facts = {"agreement": f"{same.value:.1%} of {found.points:,} points"}
    if same.interval:
        facts["agreement"] += f" ({same.interval[0]:.1%} to {same.interval[1]:.1%})"
    if found.kappa is None:
        facts["kappa"] = "not defined: both give all points the same label"
    else:
        facts["kappa"] = f"{found.kappa.value:.3f}"
        if found.kappa.interval:
            low, high = found.kappa.interval
            facts["kappa"] += f" ({low:.3f} to {high:.3f})"
    print_facts(facts)
    printed = Table(box=None, header_style="dim", pad_edge=False)
    printed.add_column("group" if groups else "label", overflow="fold")
    for name in ("both", "only first", "only second"):
        printed.add_column(name, justify="right", no_wrap=True)
    by_size = sorted(found.labels, key=lambda each: -each.first)
    for each in by_size[:PRINTED_LABELS]:
        counts = (each.both, each.first - each.both, each.second - each.both)
        printed.add_row(each.label, *(f"{count:,}" for count in counts))
    out.print()
    out.print(printed)
    if len(by_size) > PRINTED_LABELS:
        say(f"and {len(by_size) - PRINTED_LABELS} more labels")
    differing = [each for each in found.photos if each.same < each.points]
    if differing:
        most = [f"{each.name} ({each.points - each.same} of {each.points})" for each in differing]
        out.print(
            f"\nphotos that differ most: {', '.join(most[:PRINTED_PHOTOS])}",
            soft_wrap=True,
            markup=False,
        )
    for path, only in ((truth, found.only_first), (predictions, found.only_second)):
        if only:
            named = [f"{name} ({count})" for name, count in only.items()]
            warn(
                f"{counted(sum(only.values()), 'point')} of {counted(len(only), 'photo')} only in"
                f" {path}, not compared: {listed(named)}"
            )
    files = {}
    if output:
        labels = [each.label for each in found.labels]
        files["confusion"] = location(output)
        rows: list[list[str | int]] = [
            [label, *row] for label, row in zip(labels, found.confusion, strict=True)
        ]
        store_csv(files["confusion"], [f"{truth} \\ {predictions}", *labels], rows)
    if report:
        write_agreement_page(report, Path(truth).name, Path(predictions).name, found)
        files["report"] = location(str(report))
    if files:
        print_files(files)


def _labels(
    columns: ColumnOptions, path: str, photos: str | None
) -> dict[str, dict[tuple[int, int], str]]:
    """The labels of a file's points.

    Raises
    ------
    PointsFileError
        No point has one, or the file cannot be read.
    """
    file = columns.read(path, labels_needed=True)
    images = file.images
    if photos is not None:
        images = _on_photos(file, photos, columns)
    elif file.has_shares:
        raise PointsFileError(
            f"{path}: its positions are shares of the photos, and which pixel one is depends on the"
            " photo: give --photos"
        )
    labels = {
        name: {(each.row, each.column): str(each.label) for each in some if each.label is not None}
        for name, some in images.items()
    }
    count = sum(map(len, images.values()))
    without = count - sum(map(len, labels.values()))
    if without == count:
        raise PointsFileError(f"{path}: no point has a label; there is nothing to compare")
    if without:
        warn(f"{path}: {counted(without, 'point')} without a label left out")
    return {name: points for name, points in labels.items() if points}


def _on_photos(file: PointsFile, photos: str, columns: ColumnOptions) -> dict[str, list[FilePoint]]:
    """The points in pixels, by the photos' paths. Raises as `select_images`."""
    selection = place_selection(
        select_images(photos, file), file, refuse_outside=columns.refuse_outside
    )
    for name, why in selection.missing.items():
        warn(f"{file.name}: {name} left out: {why}")
    return {image.path: image.points for image in selection.images}


def _renamed(
    labels: Mapping[str, Mapping[tuple[int, int], str]], table: Mapping[str, str]
) -> dict[str, dict[tuple[int, int], str]]:
    return {
        name: {point: table.get(label, label) for point, label in some.items()}
        for name, some in labels.items()
    }
