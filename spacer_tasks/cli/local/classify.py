"""`spacer-tasks classify`: labels for points, on this machine."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from spacer_tasks.annotations.points import PointsFile
from spacer_tasks.cli.incomplete import IncompleteImages
from spacer_tasks.cli.local.cpce_output import write_cpc_files
from spacer_tasks.cli.local.extract import extract_selection
from spacer_tasks.cli.networks.options import ExtractorOptions
from spacer_tasks.cli.networks.others import OtherNetworks, Strict, tell_unknown
from spacer_tasks.cli.options import (
    Classifier,
    ColumnOptions,
    expanded,
    feature_location,
    location,
)
from spacer_tasks.cli.outputs import check_cpc_files, check_outputs, folder_for
from spacer_tasks.cli.photos import place_selection, placed_at_features
from spacer_tasks.cli.predictions import Predictions, only_wanted
from spacer_tasks.cli.selection import Selection, in_a_sheet, select_images, stored_features
from spacer_tasks.console import (
    INTERRUPTED,
    counted,
    end_with,
    progress_bar,
    reason,
    say,
    short,
)
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import InputError, ObjectNotFoundError
from spacer_tasks.messages.specs import ExtractorSpec
from spacer_tasks.messages.tasks import ClassifyFeaturesMsg, ClassifyImageMsg
from spacer_tasks.storage.listing import list_below

Output = Annotated[
    str, typer.Option("--output", "-o", metavar="CSV", help="The predictions.", show_default=False)
]
Messages = dict[str, ClassifyFeaturesMsg | ClassifyImageMsg]


class WrittenFor(Enum):
    """As `annotations.formats.writing.Tool`, and CPCe's files, one for each photo."""

    CSV = "csv"
    CORALNET = "coralnet"
    CPCE = "cpce"
    TAGLAB = "taglab"
    XLSX = "xlsx"


Top = Annotated[int, typer.Option(min=1, help="Labels a point is given, the most probable first.")]


@expanded
def classify(
    classifier: Classifier,
    output: Output,
    extractor: ExtractorOptions,
    columns: ColumnOptions,
    images: Annotated[
        str | None,
        typer.Argument(
            help="An image, a folder, or s3://bucket/prefix; needs --points.",
            show_default=False,
        ),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Classify stored features. With IMAGES: keep their features there.",
        ),
    ] = None,
    points: Annotated[
        str | None,
        typer.Option(metavar="CSV", help="Points to classify. With stored features: all if none."),
    ] = None,
    top: Top = 3,
    strict: Strict = False,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Leave the label empty, for people, where it is less probable."
        ),
    ] = None,
    to: Annotated[
        WrittenFor,
        typer.Option(
            help="The tool whose columns the predictions are written in; with cpce, --output is a"
            " folder of .cpc files."
        ),
    ] = WrittenFor.CSV,
) -> None:
    """Give points a probability for each label, from stored features or from images.

    From images without --features, nothing is kept of an interrupted run; with it, the features
    are.
    """
    from spacer_tasks.classifiers import load_classifier

    if to is WrittenFor.CPCE and Path(output).suffix:
        raise typer.BadParameter(
            "with --to cpce it is a folder, for a .cpc file of each photo", param_hint="--output"
        )
    if to is not WrittenFor.CSV and threshold is not None:
        raise typer.BadParameter(
            "`spacer-tasks review` needs the CSV that --threshold writes", param_hint="--to"
        )
    if to is WrittenFor.CPCE:
        check_cpc_files(output, points)
    else:
        check_outputs([output], [points, classifier])
    kept = folder_for(features) if features is not None and images is not None else None
    wanted = columns.read(points) if points else None
    classifier_loc = location(classifier)
    # a wrong classifier is no image's fault
    tell_unknown(load_classifier(classifier_loc))
    incomplete, others = IncompleteImages(), OtherNetworks(strict)
    if images is None and features is not None:
        messages, failures, wanted = plan_from_features(features, wanted, classifier_loc, columns)
    elif images is None:
        raise typer.BadParameter("give IMAGES, or --features for stored ones", param_hint="IMAGES")
    elif wanted is None:
        raise typer.BadParameter("images are classified at points", param_hint="--points")
    elif kept is None:
        selection, wanted = placed_images(images, wanted, columns)
        messages = plan_from_images(selection, extractor.spec_here(), classifier_loc)
        failures = selection.missing
    else:
        selection, wanted = placed_images(images, wanted, columns)
        done = extract_selection(selection, kept, extractor.spec_here())
        messages, failures = _of_features(kept, done.ready, classifier_loc), done.failures
        incomplete = done.incomplete
    predictions = Predictions(top, threshold)
    failures = {**failures, **_score(messages, predictions, wanted, incomplete, others)}
    if to is WrittenFor.CPCE:
        failures |= write_cpc_files(predictions, output, messages, turned=columns.apply_exif)
    else:
        write(predictions, output, to)
    incomplete.tell()
    others.tell()
    end_with(failures)


def write(predictions: Predictions, output: str, to: WrittenFor = WrittenFor.CSV) -> None:
    """Write the predictions, if there are any, and say so."""
    if predictions.points:
        assert to is not WrittenFor.CPCE
        predictions.store(location(output), to.value)
        say(f"{counted(predictions.points, 'point')} classified: {output}")
        if predictions.left_to_people:
            say(
                f"{counted(predictions.left_to_people, 'point')} left to people, without a label;"
                " `spacer-tasks review` shows them"
            )
    else:
        say(f"no point was classified: {output} is not written", "red")


def plan_from_features(
    features: str,
    wanted: PointsFile | None,
    classifier_loc: DataLocation,
    columns: ColumnOptions,
) -> tuple[Messages, dict[str, str], PointsFile | None]:
    """A message for each image that has features, the reasons why others cannot be classified,
    and the points that are wanted, in pixels.

    Raises
    ------
    ObjectNotFoundError
        There are no features.
    StorageError, StorageUnavailableError
        The folder cannot be read.
    """
    folder = location(features)
    names, unnamed = in_a_sheet(wanted.images if wanted else _all_features(folder))
    ready, failures = stored_features(folder, names)
    failures |= unnamed
    if wanted:
        wanted, unplaced = placed_at_features(
            wanted, folder, ready, refuse_outside=columns.refuse_outside
        )
        ready = [name for name in ready if name not in unplaced]
        failures |= unplaced
    return _of_features(folder, ready, classifier_loc), failures, wanted


def placed_images(
    images: str, wanted: PointsFile, columns: ColumnOptions, *, look_at_all: bool = True
) -> tuple[Selection, PointsFile]:
    """The images of a points file, and the file with its points in pixels.

    Raises as `select_images`.
    """
    selection = place_selection(
        select_images(images, wanted),
        wanted,
        refuse_outside=columns.refuse_outside,
        look_at_all=look_at_all,
    )
    points = {image.name: image.points for image in selection.images}
    return selection, replace(wanted, images=points)


def plan_from_images(
    selection: Selection, spec: ExtractorSpec, classifier_loc: DataLocation
) -> Messages:
    """A message for each image, whose features will not be kept."""
    return {
        image.name: ClassifyImageMsg(
            job_token=image.name,
            extractor=spec,
            rowcols=[(point.row, point.column) for point in image.points],
            image_loc=image.location,
            classifier_loc=classifier_loc,
        )
        for image in selection.images
    }


def _of_features(folder: DataLocation, names: list[str], classifier_loc: DataLocation) -> Messages:
    return {
        name: ClassifyFeaturesMsg(
            job_token=name,
            feature_loc=feature_location(folder, name),
            classifier_loc=classifier_loc,
        )
        for name in names
    }


def _all_features(folder: DataLocation) -> list[str]:
    names = [name.removesuffix(".npz") for name in list_below(folder) if name.endswith(".npz")]
    if not names:
        raise ObjectNotFoundError(f"{folder}: no feature files; `spacer-tasks extract` makes them")
    return names


def _score(
    messages: Messages,
    predictions: Predictions,
    wanted: PointsFile | None,
    incomplete: IncompleteImages,
    others: OtherNetworks,
) -> dict[str, str]:
    """Classify image by image into `predictions`; the failures, by name."""
    from spacer_tasks import operations

    failures = {}
    with progress_bar() as progress:
        bar = progress.add_task("classifying", total=len(messages), note="")
        try:
            for name, message in messages.items():
                progress.update(bar, note=short(name))
                try:
                    if isinstance(message, ClassifyImageMsg):
                        answer = operations.classify_image(message)
                    else:
                        answer = operations.classify_features(message)
                    others.add(name, answer)
                    predictions.add(name, only_wanted(wanted, name, answer))
                    incomplete.add(name, answer.incomplete)
                except InputError as error:
                    failures[name] = reason(str(error), name)
                progress.advance(bar)
            progress.update(bar, note="")
        except KeyboardInterrupt:
            progress.stop()
            say("Interrupted: no predictions were written; start the command again", "yellow")
            raise typer.Exit(INTERRUPTED) from None
    return failures
