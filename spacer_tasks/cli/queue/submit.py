"""`spacer-tasks submit`: the same work through the queue, by workers."""

from __future__ import annotations

from typing import Annotated

import typer

from spacer_tasks import results
from spacer_tasks.cli.local.classify import (
    Top,
    placed_images,
    plan_from_features,
    plan_from_images,
    write,
)
from spacer_tasks.cli.local.extract import extract_message
from spacer_tasks.cli.local.train import plan_training
from spacer_tasks.cli.networks.options import ExtractorOptions
from spacer_tasks.cli.networks.others import OtherNetworks, Strict
from spacer_tasks.cli.options import (
    Classifier,
    ColumnOptions,
    Features,
    Images,
    Points,
    Split,
    TrainingOptions,
    expanded,
    location,
)
from spacer_tasks.cli.outputs import check_outputs, folder_for
from spacer_tasks.cli.predictions import Predictions, only_wanted
from spacer_tasks.cli.queue.sending import (
    Wait,
    answer_of,
    failures_of,
    incomplete_of,
    needs_wait,
    send,
)
from spacer_tasks.cli.queue.submit_batch import batch
from spacer_tasks.cli.queue.waiting import wait_for
from spacer_tasks.cli.scores import print_files, print_training
from spacer_tasks.console import counted, end_with, reason, say
from spacer_tasks.exceptions import InputError
from spacer_tasks.messages.tasks import (
    ClassifyImageMsg,
    ClassifyReturnMsg,
    TrainClassifierReturnMsg,
)

commands = typer.Typer(
    no_args_is_help=True,
    help="Send work to the workers, and print the ids of its tasks. All locations must be reachable"
    " by the workers and from here: s3://, or a folder that they share.",
)


@commands.command()
@expanded
def extract(
    images: Images,
    points: Points,
    features: Features,
    extractor: ExtractorOptions,
    columns: ColumnOptions,
    wait: Wait = False,
) -> None:
    """One task for each image: compute its features and store them."""
    from spacer_tasks.tasks import extract_features

    folder = folder_for(features, here=False)
    spec = extractor.spec()
    # photos on S3 are not downloaded only to be looked at
    selection, _ = placed_images(images, columns.read(points), columns, look_at_all=False)
    tasks = send(
        (extract_features, image.name, extract_message(image, folder, spec))
        for image in selection.images
    )
    if wait:
        states = wait_for(tasks, "extracting")
        failures = failures_of(states, tasks)
        say(f"{counted(len(tasks) - len(failures), 'image')} extracted to {features}")
        incomplete_of(states, tasks).tell()
        end_with(selection.missing | failures)
    end_with(selection.missing)


@commands.command()
@expanded
def train(
    points: Points,
    features: Features,
    classifier: Classifier,
    training: TrainingOptions,
    columns: ColumnOptions,
    wait: Wait = False,
) -> None:
    """One task: train a classifier on labels and stored features."""
    from spacer_tasks.tasks import train_classifier

    check_outputs([classifier, training.valresult], [points], here=False)
    planned = plan_training(
        columns.read(points, truth=True),
        features,
        classifier,
        training,
        # the reference's rule, as for every job
        split=Split.VECTORS,
        refuse_outside=columns.refuse_outside,
    )
    message = planned.message
    tasks = send([(train_classifier, message.model_loc.filename, message)])
    if wait:
        (state,) = wait_for(tasks, "training").values()
        answer = TrainClassifierReturnMsg.model_validate(answer_of(state))
        print_training(answer, message.metrics_loc, message.previous_model_locs)
        print_files({"classifier": message.model_loc, "validation": message.valresult_loc})
    end_with(planned.left_out)


@commands.command()
@expanded
def classify(
    classifier: Classifier,
    extractor: ExtractorOptions,
    columns: ColumnOptions,
    images: Annotated[
        str | None,
        typer.Argument(
            help="An image, a folder, or s3://bucket/prefix; needs --points and --weights.",
            show_default=False,
        ),
    ] = None,
    features: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Classify stored features instead.")
    ] = None,
    points: Annotated[
        str | None,
        typer.Option(metavar="CSV", help="Points to classify. With stored features: all if none."),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="CSV", help="The predictions; with --wait."),
    ] = None,
    top: Top = 3,
    strict: Strict = False,
    wait: Wait = False,
) -> None:
    """One task for each image: give its points a probability for each label."""
    from spacer_tasks.tasks import classify_features, classify_image

    needs_wait(output, wait)
    if strict and not output:
        raise typer.BadParameter("what is refused is left out of --output", param_hint="--strict")
    check_outputs([output], [points, classifier])
    wanted = columns.read(points) if points else None
    classifier_loc = location(classifier)
    if (images is None) == (features is None):
        raise typer.BadParameter("give either IMAGES or --features", param_hint="IMAGES")
    if features is not None:
        messages, failures, wanted = plan_from_features(features, wanted, classifier_loc, columns)
    elif images is not None and wanted is not None:
        selection, wanted = placed_images(images, wanted, columns, look_at_all=False)
        messages = plan_from_images(selection, extractor.spec(), classifier_loc)
        failures = selection.missing
    else:
        raise typer.BadParameter("images are classified at points", param_hint="--points")
    tasks = send(
        (
            classify_image if isinstance(message, ClassifyImageMsg) else classify_features,
            name,
            message,
        )
        for name, message in messages.items()
    )
    if wait:
        states = wait_for(tasks, "classifying")
        failures = failures | failures_of(states, tasks)
        incomplete = incomplete_of(states, tasks)
        predictions, others = Predictions(top), OtherNetworks(strict)
        if output:
            for task_id, name in tasks.items():
                if states[task_id].error is None:
                    full = ClassifyReturnMsg.model_validate(results.load_answer(task_id))
                    try:
                        others.add(name, full)
                        predictions.add(name, only_wanted(wanted, name, full))
                    except InputError as error:
                        failures[name] = reason(str(error), name)
            write(predictions, output)
            others.tell()
        incomplete.tell()
    end_with(failures)


commands.command()(batch)
