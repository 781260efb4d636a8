"""`spacer-tasks submit batch`: extract, train and classify as one task."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from spacer_tasks import results, storage
from spacer_tasks.annotations.points import FilePoint
from spacer_tasks.cli.incomplete import IncompleteImages
from spacer_tasks.cli.local.classify import Top, placed_images, write
from spacer_tasks.cli.local.train import accepted_labels
from spacer_tasks.cli.networks.options import ExtractorOptions
from spacer_tasks.cli.options import (
    Classifier,
    ColumnOptions,
    Features,
    Images,
    Points,
    Split,
    TrainingOptions,
    expanded,
    feature_location,
    location,
)
from spacer_tasks.cli.outputs import check_outputs, folder_for
from spacer_tasks.cli.predictions import Predictions, scores_of
from spacer_tasks.cli.queue.sending import Wait, answer_of, needs_wait, send
from spacer_tasks.cli.queue.waiting import wait_for
from spacer_tasks.cli.scores import print_files, print_training
from spacer_tasks.cli.selection import SelectedImage
from spacer_tasks.console import counted, end_with, reason, say
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import InputError
from spacer_tasks.messages.batches import BatchImage, TrainFromImagesMsg, TrainFromImagesReturnMsg
from spacer_tasks.messages.tasks import ClassifyReturnMsg


@expanded
def batch(
    images: Images,
    points: Points,
    features: Features,
    classifier: Classifier,
    extractor: ExtractorOptions,
    training: TrainingOptions,
    columns: ColumnOptions,
    max_failed: Annotated[
        float, typer.Option(min=0, max=1, help="Share of images that may fail.")
    ] = 0.1,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="CSV", help="The predictions; with --wait."),
    ] = None,
    top: Top = 3,
    wait: Wait = False,
) -> None:
    """One task: extract all images, train on points with labels, classify those without.

    A row of the CSV with an empty label is a point to classify.
    """
    from spacer_tasks.workflows import train_from_images

    needs_wait(output, wait)
    check_outputs([classifier, training.valresult], [points], here=False)
    check_outputs([output], [points, classifier])
    folder = folder_for(features, here=False)
    file = columns.read(points, truth=True)
    selection, _ = placed_images(images, file, columns, look_at_all=False)
    model_loc = location(classifier)
    entries = [entry for image in selection.images for entry in _entries(image, folder)]
    message = TrainFromImagesMsg(
        job_token=file.name,
        extractor=extractor.spec(),
        images=[entry for _, entry in entries],
        nbr_epochs=training.epochs,
        clf_type=training.type.value,
        split_ratios=training.ratios,
        # the reference's rule, which workers of every version know
        split_mode=(training.split_mode or Split.VECTORS).value,
        accepted_classes=accepted_labels(training, file),
        previous_model_locs=[location(each) for each in training.previous or []],
        model_loc=model_loc,
        valresult_loc=training.valresult_location(model_loc),
        max_failed_share=max_failed,
    )
    tasks = send([(train_from_images, model_loc.filename, message)])
    if not wait:
        end_with(selection.missing)
        return
    ((task_id, state),) = wait_for(tasks, "batch").items()
    summary = answer_of(state)
    if summary.get("incomplete_images_count"):
        # named in the full answer only
        summary = results.load_answer(task_id)
    answer = TrainFromImagesReturnMsg.model_validate(summary)
    print_training(answer.training, answer.metrics_loc, message.previous_model_locs)
    print_files({"classifier": answer.model_loc, "validation": answer.valresult_loc})
    say(
        f"{counted(answer.extracted, 'image')} extracted, {answer.skipped} skipped (features are"
        f" current), {answer.classified} classified"
    )
    names = {str(image.location): image.name for image in selection.images}
    incomplete = IncompleteImages()
    for each in answer.incomplete_images:
        incomplete.add(names.get(each.name, each.name), each.reason)
    incomplete.tell()
    failed = {
        names[failure.name]: reason(failure.message, failure.name) for failure in answer.failures
    }
    if output:
        predictions = Predictions(top)
        wanted = {image.name: _without_label(image) for image in selection.images}
        for name, entry in entries:
            if entry.rowcols and name not in failed:
                scores = json.loads(storage.load(entry.scores_location))
                full = ClassifyReturnMsg.model_validate(scores)
                try:
                    predictions.add(name, scores_of(wanted[name], full))
                except InputError as error:
                    failed[name] = reason(str(error), name)
        write(predictions, output)
    end_with(selection.missing | failed)


def _without_label(image: SelectedImage) -> list[FilePoint]:
    return [each for each in image.points if each.label is None]


def _entries(image: SelectedImage, features: DataLocation) -> list[tuple[str, BatchImage]]:
    """The image's points to learn from, and those to classify, each with a feature file."""
    labelled = [
        (each.row, each.column, each.label) for each in image.points if each.label is not None
    ]
    others = [(each.row, each.column) for each in _without_label(image)]
    entries = []
    if labelled:
        loc = feature_location(features, image.name)
        entries.append(BatchImage(image_loc=image.location, feature_loc=loc, annotations=labelled))
    if others:
        loc = feature_location(features.joined("unlabelled"), image.name)
        entries.append(BatchImage(image_loc=image.location, feature_loc=loc, rowcols=others))
    return [(image.name, entry) for entry in entries]
