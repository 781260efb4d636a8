"""`spacer-tasks review`: the points that a machine is unsure of, to people and back."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spacer_tasks import storage
from spacer_tasks.annotations.image_names import relative_name
from spacer_tasks.annotations.points import PointsFile
from spacer_tasks.cli.local.val_results import read_val_results
from spacer_tasks.cli.options import ColumnOptions, expanded, location
from spacer_tasks.cli.photos import photo_shape
from spacer_tasks.cli.scores import print_files
from spacer_tasks.cli.selection import select_images
from spacer_tasks.cli.stored.csv_report import Cell, store_csv
from spacer_tasks.console import (
    counted,
    end_with,
    listed,
    print_facts,
    progress_bar,
    reason,
    say,
    short,
    warn,
)
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import InputError, PointsFileError

if TYPE_CHECKING:
    from spacer_tasks.report.review_page import Card
    from spacer_tasks.review.predictions_file import Prediction, PredictionsFile

#: of the sheet; people fill in the label
COLUMNS = ("Number", "Name", "Row", "Column", "Label", "Machine label", "Probability")


@expanded
def review(
    predictions: Annotated[
        str, typer.Argument(metavar="CSV", help="What classify wrote.", show_default=False)
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="CSV",
            help="The sheet for people; with --corrections, the labels.",
            show_default=False,
        ),
    ],
    columns: ColumnOptions,
    photos: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="The photos, of which --report shows patches."),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Review what the machine is less sure of than this."),
    ] = None,
    valresult: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Validation results of the classifier, for --correct."),
    ] = None,
    correct: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Take the threshold at which this share of the machine's answers is right, by"
            " --valresult.",
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="HTML", help="A page of the points and their patches.")
    ] = None,
    shown: Annotated[int, typer.Option(min=1, help="Points on the page.")] = 200,
    corrections: Annotated[
        str | None,
        typer.Option(metavar="CSV", help="A sheet that people filled in: take their labels."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a sheet that is there already.")
    ] = False,
) -> None:
    """Leave what the machine is unsure of to people, and take their answers back.

    First it writes a sheet of the points, least sure first, and a page with their patches. With
    --corrections it writes the predictions with people's labels in the place of the machine's.
    """
    from spacer_tasks.review.predictions_file import left_to_people, read_predictions

    if report:
        from spacer_tasks.report.review_page import write_review_page
    if (correct is None) != (valresult is None):
        raise typer.BadParameter("--correct and --valresult are given together")
    if (threshold is not None) + (correct is not None) + (corrections is not None) > 1:
        raise typer.BadParameter("give one of --threshold, --correct and --corrections")
    if report and not photos:
        raise typer.BadParameter("the page shows patches of --photos", param_hint="--report")
    given = [predictions, *([corrections] if corrections else [])]
    if location(output) in map(location, given):
        raise InputError(f"{output} would be written over what it is made of; another --output")
    if corrections is None and not overwrite and storage.exists(location(output)):
        raise InputError(
            f"{output} is there already, perhaps with people's labels in it; another --output, or"
            " --overwrite"
        )
    file = read_predictions(storage.load(location(predictions)), predictions)
    if corrections is not None:
        _take(file, corrections, columns, output)
        return
    facts = {"predictions": predictions}
    if valresult is not None and correct is not None:
        from spacer_tasks.report.takeover import take_over

        found = take_over(read_val_results(valresult), correct)
        threshold = found.confidence
        about = {
            "threshold": f"{threshold:.4f}",
            "machine answers": f"{found.share:.1%} of {found.points:,} validation points"
            f" ({_range(found.share_interval)})",
            "of these right": f"{found.correct:.1%} of {found.answered:,}"
            f" ({_range(found.correct_interval)})",
        }
        print_facts(about)
        facts |= about
    elif threshold is not None:
        facts["threshold"] = f"{threshold:g}"
    chosen = left_to_people(file, threshold)
    if not chosen:
        say(f"no point is left to people: {output} is not written", "yellow")
        return
    rows: list[list[Cell | DataLocation]] = [
        [
            number,
            point.image,
            point.row,
            point.column,
            "",
            point.machine_label,
            point.probability,
            *(cell for pair in point.others for cell in pair),
        ]
        for number, point in enumerate(chosen, start=1)
    ]
    more = [
        name
        for number in range(2, len(chosen[0].others) + 2)
        for name in (f"Machine label {number}", f"Probability {number}")
    ]
    files = {"sheet": location(output)}
    store_csv(files["sheet"], [*COLUMNS, *more], rows)
    failures: dict[str, str] = {}
    if report and photos:
        cards, failures = _cards(chosen[:shown], photos, turned=columns.apply_exif)
        write_review_page(report, cards, len(chosen), Path(output).name, facts)
        files["report"] = location(str(report))
    share = len(chosen) / len(file.points)
    say(f"{counted(len(chosen), 'point')} of {len(file.points):,} ({share:.1%}) left to people")
    print_files(files)
    end_with(failures)


def _range(interval: tuple[float, float]) -> str:
    return f"95 % interval {interval[0]:.1%} to {interval[1]:.1%}"


def _take(file: PredictionsFile, corrections: str, columns: ColumnOptions, output: str) -> None:
    from spacer_tasks.review.predictions_file import take_corrections

    sheet = columns.read(corrections, labels_needed=True)
    if sheet.has_shares:
        raise PointsFileError(
            f"{corrections}: its positions are shares of the photos; expected rows and columns in"
            " pixels, as in the sheet that review wrote"
        )
    answers = {
        (name, point.row, point.column): None if point.label is None else str(point.label)
        for name, points in sheet.images.items()
        for point in points
    }
    done = take_corrections(file, answers, corrections)
    if not done.answered:
        raise InputError(f"{corrections}: no row has a label; people write it into Label")
    for label, count in done.unknown.items():
        close = difflib.get_close_matches(label, sorted(file.labels), n=1, cutoff=0.7)
        meant = f"; is it {close[0]!r}?" if close else ""
        warn(f"{corrections}: {label!r}, given {counted(count, 'time')}, is a new label{meant}")
    if done.unanswered:
        warn(f"{corrections}: {counted(done.unanswered, 'row')} without a label left as they were")
    header, *rows = done.file.rows()
    store_csv(location(output), header, rows)
    still = sum(not point.label for point in done.file.points)
    end = f"; {counted(still, 'point')} still without a label" if still else ""
    say(
        f"{counted(done.answered, 'answer')} taken, {done.changed} of them another label than the"
        f" machine's: {output}{end}"
    )


def _cards(
    chosen: list[Prediction], photos: str, *, turned: bool
) -> tuple[list[Card], dict[str, str]]:
    """The points with their patches, and the photos of which there is none.

    Parameters
    ----------
    turned
        Positions are on photos that are turned as their EXIF says.
    """
    from spacer_tasks.extractors.images.reading import read_photo
    from spacer_tasks.report.review_page import Card
    from spacer_tasks.review.patches import patch_of

    by_photo: dict[str, list[tuple[int, Prediction]]] = {}
    for number, point in enumerate(chosen, start=1):
        by_photo.setdefault(point.image, []).append((number, point))
    files, failures = _files_of(list(by_photo), photos)
    cards: list[Card] = []
    unturned = []
    with progress_bar() as progress:
        bar = progress.add_task("cutting patches", total=len(by_photo), note="")
        for name, points in by_photo.items():
            progress.update(bar, note=short(name))
            pixels = shape = None
            try:
                if name in files:
                    pixels = read_photo(storage.load(files[name]), name).pixels
                    shape = photo_shape(files[name])
                    if shape is not None and shape.orientation != 1 and not turned:
                        unturned.append(name)
            except InputError as error:
                failures[name] = reason(str(error), name)
            for number, point in points:
                patch = None
                place = (point.row, point.column)
                if turned and shape is not None:
                    place = shape.unturned(*place)
                try:
                    if pixels is not None:
                        patch = patch_of(pixels, *place)
                except InputError as error:
                    failures[name] = str(error)
                cards.append(Card(number, point, patch))
            progress.advance(bar)
        progress.update(bar, note="")
    if unturned:
        warn(
            f"the EXIF of {counted(len(unturned), 'photo')} turns what viewers show"
            f" ({listed(unturned)}), and patches are cut from the unturned photo; if the"
            " predictions were made with --apply-exif, give it here too"
        )
    return sorted(cards, key=lambda card: card.number), failures


def _files_of(names: list[str], photos: str) -> tuple[dict[str, DataLocation], dict[str, str]]:
    """The photos' files, found as `classify` found them, and why others have none."""
    wanted = PointsFile(
        photos,
        {name: [] for name in names},
        has_labels=False,
        foreign=frozenset(name for name in names if relative_name(name)[1]),
    )
    missing = "its points are on the page without patches"
    try:
        selection = select_images(photos, wanted, tell_unused=False)
    except PointsFileError:
        return {}, dict.fromkeys(names, f"{missing}: not in {photos}")
    failures = {name: f"{missing}: {why}" for name, why in selection.missing.items()}
    return {image.name: image.location for image in selection.images}, failures
