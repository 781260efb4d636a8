"""Checks of images and points, and the division of labels into sets."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING

from spacer_tasks.compat import config
from spacer_tasks.compat.data_classes import ImageLabels, LabelId
from spacer_tasks.compat.exceptions import (
    DataLimitError,
    RowColumnInvalidError,
    TrainingLabelsError,
)
from spacer_tasks.compat.messages import TrainingTaskLabels
from spacer_tasks.training import splits
from spacer_tasks.training.labels import STRATIFIED_LEAST

if TYPE_CHECKING:
    from PIL import Image

__all__ = [
    "SplitMode",
    "TrainingTaskLabels",
    "check_extract_inputs",
    "preprocess_labels",
    "split_labels",
]


class SplitMode(Enum):
    """What stays together when labels are divided: the reference's modes, and no other."""

    VECTORS = "vectors"
    POINTS = "points"
    POINTS_STRATIFIED = "points_stratified"


def check_extract_inputs(
    image: Image.Image, rowcols: Sequence[tuple[int, int]], im_key: str
) -> None:
    """Refuse an image and points that an extraction would refuse; `im_key` says which image.

    Raises
    ------
    DataLimitError
        The image has more pixels, or there are more points, than the settings allow.
    RowColumnInvalidError
        A point is not a pair of integers inside the image.
    """
    width, height = image.size
    most = config.MAX_IMAGE_PIXELS
    if width * height > most:
        raise DataLimitError(
            f"Image {im_key} has {width} x {height} = {width * height} total pixels, which is"
            f" larger than the max allowed of {most}."
        )
    most = config.MAX_POINTS_PER_IMAGE
    if len(rowcols) > most:
        raise DataLimitError(
            f"{len(rowcols)} point locations were specified for image {im_key}, and that's larger"
            f" than the max allowed of {most}."
        )
    for row, col in rowcols:
        for name, value, length in (("Row", row, height), ("Column", col, width)):
            given = f"Given value was: {value}"
            if not isinstance(value, int):
                raise RowColumnInvalidError(f"{im_key}: {name} values must be integers. {given}")
            if value < 0:
                raise RowColumnInvalidError(
                    f"{im_key}: {name} values must be non-negative. {given}"
                )
            if value >= length:
                raise RowColumnInvalidError(
                    f"{im_key}: {name} value {value} falls outside this image's valid range of"
                    f" 0-{length - 1}."
                )


def split_labels(
    labels_in: ImageLabels, split_ratios: tuple[float, float], split_mode: SplitMode
) -> TrainingTaskLabels:
    """The labels in three sets; see `SplitMode`.

    Raises
    ------
    TrainingLabelsError
        There are too few labels for three sets.
    """
    total, most = labels_in.label_count, config.TRAINING_BATCH_LABEL_COUNT
    ref, val = min(round(total * split_ratios[0]), most), round(total * split_ratios[1])
    train, least = total - ref - val, 1
    why = "Each set must be non-empty."
    if split_mode is SplitMode.POINTS_STRATIFIED:
        least = len(labels_in.classes_set)
        why = (
            f"Each set's size must not be less than the number of classes ({least}) to work with"
            " train_test_split()."
        )
    if min(train, ref, val) < least:
        raise TrainingLabelsError(
            "Not enough annotations to populate train/ref/val sets. Split was calculated as"
            f" {train}/{ref}/{val}. {why}"
        )
    return TrainingTaskLabels.of_ours(
        splits.split_labels(
            labels_in.ours(), split_ratios, splits.SplitMode(split_mode.value), most
        )
    )


def preprocess_labels(
    labels_in: ImageLabels | TrainingTaskLabels,
    accepted_classes: set[LabelId] | None = None,
    split_ratios: tuple[float, float] = (0.1, 0.1),
    split_mode: SplitMode = SplitMode.VECTORS,
) -> TrainingTaskLabels:
    """Labels in three sets, of the classes that are both in train and in ref.

    Sets that are given are changed, as the reference changes them.

    Raises
    ------
    TrainingLabelsError
        There are fewer than two such classes, or a set is left empty.
    """
    if isinstance(labels_in, TrainingTaskLabels):
        labels = labels_in
        if accepted_classes:
            for name in ("train", "ref", "val"):
                labels[name] = labels[name].filter_classes(accepted_classes)
    else:
        if accepted_classes:
            labels_in = labels_in.filter_classes(accepted_classes)
        if split_mode is SplitMode.POINTS_STRATIFIED:
            counts = labels_in.label_count_per_class
            frequent = {label for label in counts if counts[label] >= STRATIFIED_LEAST}
            labels_in = labels_in.filter_classes(frequent)
        labels = split_labels(labels_in, split_ratios, split_mode)
    learned = labels.train.classes_set & labels.ref.classes_set
    if len(learned) <= 1:
        raise TrainingLabelsError(
            "Need multiple classes to do training. After preprocessing training data, there are"
            f" {len(learned)} class(es) left."
        )
    for name in ("train", "ref", "val"):
        if not labels[name].classes_set <= learned:
            labels[name] = labels[name].filter_classes(learned)
        if not labels[name].label_count:
            raise TrainingLabelsError(f"After preprocessing training data, '{name}' set is empty.")
    return labels
