"""How good a classifier is, printed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from rich.table import Table

from spacer_tasks import storage
from spacer_tasks.console import out, print_facts, warn
from spacer_tasks.data_classes.left_out import LeftOut
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.messages.tasks import TrainClassifierReturnMsg

#: columns of the table of labels, by their names in the metrics
SHARES = ("precision", "recall", "f1")


def print_training(
    answer: TrainClassifierReturnMsg, metrics_loc: DataLocation, previous: Sequence[DataLocation]
) -> None:
    """Print the accuracies of a training, also of the previous classifiers, and of each label."""
    metrics = json.loads(storage.load(metrics_loc))
    facts = {
        "accuracy": f"{metrics['accuracy']:.1%} of {metrics['point_count']:,} validation points",
        "balanced accuracy": f"{metrics['balanced_accuracy']:.1%} (mean recall of the labels)",
        "calibration error": f"{metrics['expected_calibration_error']:.1%} (0% is best)",
        "time": f"{answer.runtime:.1f} s",
    }
    for loc, accuracy in zip(previous, answer.pc_accs, strict=True):
        facts[loc.filename] = f"{accuracy:.1%} on the same points (earlier classifier)"
    print_facts(facts)
    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column("label", overflow="fold")
    for name in ("precision", "recall", "F1", "points"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in metrics["per_class"]:
        # a share of nothing is not 0 %
        shares = [f"{each[key]:.1%}" if each["support"] else "-" for key in SHARES]
        table.add_row(str(each["label"]), *shares, f"{each['support']:,}")
    out.print()
    out.print(table)
    tell_left_out(answer.left_out)


def tell_left_out(left_out: LeftOut | None) -> None:
    """Say which labels were not learned, and what to do."""
    if left_out:
        warn(f"{left_out.text()}. What to do: {left_out.advice()}")


def print_files(files: Mapping[str, DataLocation]) -> None:
    """Print what was written, and where."""
    out.print()
    for what, loc in files.items():
        out.print(f"{what:12}{loc}", soft_wrap=True, markup=False)
