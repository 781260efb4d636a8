"""`spacer-tasks train`: a classifier from labels and stored features, on this machine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spacer_tasks import storage
from spacer_tasks.annotations.points import PointsFile
from spacer_tasks.cli.local.label_maps import (
    Groups,
    LabelMap,
    read_groups,
    read_label_map,
    tell_unknown,
)
from spacer_tasks.cli.local.training_runs import (
    accuracies_of_seeds,
    chance_text,
    checkpoints_of,
)
from spacer_tasks.cli.options import (
    Classifier,
    ColumnOptions,
    Features,
    Points,
    Split,
    TrainingOptions,
    expanded,
    feature_location,
    location,
)
from spacer_tasks.cli.outputs import check_outputs
from spacer_tasks.cli.photos import placed_at_features
from spacer_tasks.cli.scores import print_files, print_training
from spacer_tasks.cli.selection import stored_features
from spacer_tasks.console import (
    INTERRUPTED,
    counted,
    end_with,
    out,
    print_facts,
    progress_bar,
    say,
    warn,
)
from spacer_tasks.data_classes.labels import Annotation, ImageLabels, LabelId
from spacer_tasks.data_classes.val_results import ValResults
from spacer_tasks.exceptions import TrainingLabelsError
from spacer_tasks.messages.specs import TrainerSpec
from spacer_tasks.messages.tasks import TrainClassifierMsg, TrainingTaskLabels

if TYPE_CHECKING:
    from spacer_tasks.training import TrainingProgress


@expanded
def train(
    points: Points,
    features: Features,
    classifier: Classifier,
    training: TrainingOptions,
    columns: ColumnOptions,
    report: Annotated[
        Path | None,
        typer.Option(metavar="HTML", help="Write a page that shows how good the classifier is."),
    ] = None,
    label_map: LabelMap = None,
    groups: Groups = None,
    seeds: Annotated[
        int,
        typer.Option(
            min=1, max=100, help="Train so often in all, to say how far the accuracy is chance."
        ),
    ] = 1,
) -> None:
    """Train a classifier on labels and stored features, and measure it.

    Points without a label are left out, and so are images without features, which are listed at
    the end. The validation results and metrics are written beside the classifier. An interrupted
    training goes on from its last checkpoint when the same command is given again.
    """
    from spacer_tasks import operations

    if report:
        # what it needs may be missing: said now, not after the training
        from spacer_tasks.cli.report import write_training_report

    check_outputs([classifier, training.valresult, report], [points, label_map, groups])
    file = renamed_points(columns.read(points, truth=True), label_map, groups)
    planned = plan_training(
        file,
        features,
        classifier,
        training,
        split=Split.LABELS,
        refuse_outside=columns.refuse_outside,
    )
    message = planned.message
    checkpoints = checkpoints_of(message)
    sets = planned.learned.sets().items()
    say("labels: " + ", ".join(f"{some.label_count:,} {name}" for name, some in sets))
    with progress_bar() as progress:
        bars = {
            stage: progress.add_task(text, total=None, start=False, visible=False, note="")
            for stage, text in (("features", "reading features"), ("training", "training epochs"))
        }

        def show(now: TrainingProgress) -> None:
            note = "" if now.ref_acc is None else f"ref. accuracy {now.ref_acc:.1%}"
            progress.start_task(bars[now.stage])
            progress.update(
                bars[now.stage], completed=now.done, total=now.total, visible=True, note=note
            )

        try:
            answer = operations.train_classifier(message, show, checkpoints)
        except KeyboardInterrupt:
            progress.stop()
            kept = storage.exists(checkpoints.loc)
            how = "goes on from its last checkpoint" if kept else "begins anew"
            say(
                f"Interrupted: no classifier was written; the same command {how}",
                "yellow",
            )
            raise typer.Exit(INTERRUPTED) from None
    print_training(answer, message.metrics_loc, message.previous_model_locs)
    if seeds > 1:
        _print_chance(message, answer.acc, seeds)
    files = {
        "classifier": message.model_loc,
        "validation": message.valresult_loc,
        "metrics": message.metrics_loc,
    }
    if report:
        write_training_report(
            report, message.model_copy(update={"labels": planned.learned}), answer
        )
        files["report"] = location(str(report))
    print_files(files)
    end_with(planned.left_out)


def _print_chance(message: TrainClassifierMsg, accuracy: float, seeds: int) -> None:
    """Train with other seeds, and print how far the accuracies differ."""
    with progress_bar() as progress:
        bar = progress.add_task("other seeds", total=seeds - 1, note="")
        try:
            others = accuracies_of_seeds(
                message, seeds - 1, lambda done: progress.update(bar, completed=done)
            )
        except KeyboardInterrupt:
            progress.stop()
            say("Interrupted: the classifier is written; the other seeds are left out", "yellow")
            return
    points = len(ValResults.model_validate_json(storage.load(message.valresult_loc)).gt)
    out.print()
    print_facts({"chance": chance_text([accuracy, *others], points)})


@dataclass(frozen=True)
class PlannedTraining:
    """A training, what it will learn, and the labelled images that are not in it, with reasons.

    The message has also the labels that will not be learned: the training says which.
    """

    message: TrainClassifierMsg
    learned: TrainingTaskLabels
    left_out: dict[str, str]


def renamed_points(file: PointsFile, label_map: str | None, groups: str | None) -> PointsFile:
    """The points with new names of their labels, and their groups instead of labels, as asked.

    Labels that a table does not know are named and stay. Raises as `read_pairs`.
    """
    for table, path, becomes in (
        (read_label_map(label_map), label_map, "kept as named"),
        (read_groups(groups) or {}, groups, "each its own group"),
    ):
        if path is None:
            continue
        known = {
            str(point.label)
            for some in file.images.values()
            for point in some
            if point.label is not None
        }
        tell_unknown(table, known, path, becomes)
        images = {
            name: [replace(point, label=table.get(str(point.label), point.label)) for point in some]
            for name, some in file.images.items()
        }
        file = replace(file, images=images)
    return file


def labelled(points: PointsFile, *, quiet: bool = False) -> dict[str, list[Annotation]]:
    """The labelled points of each image that has some.

    Raises
    ------
    TrainingLabelsError
        No point has a label.
    """
    labels = {
        name: [(each.row, each.column, each.label) for each in some if each.label is not None]
        for name, some in points.images.items()
    }
    labels = {name: annotations for name, annotations in labels.items() if annotations}
    if not labels:
        raise TrainingLabelsError(f"{points.name}: no point has a label; training needs labels")
    without = points.point_count - sum(map(len, labels.values()))
    if without and not quiet:
        warn(f"{counted(without, 'point')} without a label left out of the training")
    return labels


def accepted_labels(training: TrainingOptions, points: PointsFile) -> list[LabelId] | None:
    """The labels that `--accept` names, of the type that the file's labels have.

    Raises
    ------
    TrainingLabelsError
        No point has one of them.
    """
    if not training.accept:
        return None
    known = {
        str(each.label): each.label
        for some in points.images.values()
        for each in some
        if each.label is not None
    }
    unknown = [label for label in training.accept if label not in known]
    if unknown:
        raise TrainingLabelsError(
            f"{points.name}: no point has the label {', '.join(map(repr, unknown))} that --accept"
            " names"
        )
    return [known[label] for label in training.accept]


def plan_training(
    points: PointsFile,
    features: str,
    classifier: str,
    training: TrainingOptions,
    *,
    split: Split,
    refuse_outside: bool = False,
) -> PlannedTraining:
    """The training of the labelled points whose images have features.

    Parameters
    ----------
    split
        How to divide the labels where `--split-mode` does not say.

    Raises
    ------
    InputError
        There is no label, no feature file, or the labels cannot be split.
    TransientError
        The storage did not answer.
    """
    from spacer_tasks.training import SplitMode, divided_labels
    from spacer_tasks.training.labels import learned_sets
    from spacer_tasks.training.whole_labels import photos_in_several_sets

    split_mode = training.split_mode or split
    accepted = accepted_labels(training, points)
    folder = location(features)
    ready, left_out = stored_features(folder, list(labelled(points)))
    points, unplaced = placed_at_features(points, folder, ready, refuse_outside=refuse_outside)
    left_out |= unplaced
    labels = labelled(points, quiet=True)
    sets = divided_labels(
        ImageLabels({feature_location(folder, name): some for name, some in labels.items()}),
        accepted,
        training.ratios,
        SplitMode(split_mode.value),
    )
    learned = learned_sets(sets)
    if split_mode is Split.LABELS and (several := photos_in_several_sets(learned)):
        say(
            f"{counted(several, 'photo')} with a rare label divided among the sets, so that each"
            " has it: new photos may be labelled less well than these figures say"
        )
    model_loc = location(classifier)
    message = TrainClassifierMsg(
        job_token=points.name,
        trainer=TrainerSpec(class_path="minibatch"),
        nbr_epochs=training.epochs,
        clf_type=training.type.value,
        labels=sets,
        previous_model_locs=[location(each) for each in training.previous or []],
        model_loc=model_loc,
        valresult_loc=training.valresult_location(model_loc),
    )
    return PlannedTraining(message, learned, left_out)
