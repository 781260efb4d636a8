"""How labels are divided into train, ref and val sets: three modes of the reference, one of ours.

The same labels in the same order are always divided alike, and as the reference divides them.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from enum import Enum

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from spacer_tasks.data_classes.labels import Annotation, ImageLabels
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import TrainingLabelsError
from spacer_tasks.messages.tasks import TrainingTaskLabels
from spacer_tasks.training.whole_labels import by_whole_labels, with_every_label

#: the reference's seed, for the order of images and of points
SEED = 0


class SplitMode(Enum):
    """What stays together when labels are divided."""

    #: All points of an image go to one set. Points of one photo resemble each other, so this
    #: measures best how the classifier does on photos that it has not seen. Sets are filled by
    #: whole images, so their sizes are met only roughly.
    VECTORS = "vectors"
    #: Each point by itself, so the sizes are met exactly.
    POINTS = "points"
    #: Each point by itself, each label in the same proportions. A label with fewer than half a
    #: point due in a set has none there.
    POINTS_STRATIFIED = "points_stratified"
    #: This project's own: all points of an image go to one set, images of rare labels first, and
    #: single points where a label would be in fewer than three sets.
    LABELS = "labels"


def split_labels(
    labels: ImageLabels, ratios: tuple[float, float], mode: SplitMode, max_ref: int
) -> TrainingTaskLabels:
    """The labels in three sets.

    Parameters
    ----------
    labels
        The order of the images matters: another order is another split.
    ratios
        Shares of ref and of val; train gets the rest.
    mode
        What stays together.
    max_ref
        Most labels in ref, whatever its ratio.

    Raises
    ------
    TrainingLabelsError
        There are too few labels for three sets.
    """
    if not all(0 <= ratio <= 1 for ratio in ratios):
        raise TrainingLabelsError(f"split ratios {ratios}, expected two numbers from 0 to 1")
    total = labels.label_count
    ref_goal = min(round(total * ratios[0]), max_ref)
    val_goal = round(total * ratios[1])
    train_goal = total - ref_goal - val_goal
    least, reason = 1, "each set must have one label at least"
    if mode is SplitMode.POINTS_STRATIFIED:
        least = max(1, len(labels.classes))
        reason = f"each set must have as many labels as there are classes, {least}"
    if min(train_goal, ref_goal, val_goal) < least:
        raise TrainingLabelsError(
            f"not enough labels: {total} would be split as {train_goal} train, {ref_goal} ref,"
            f" {val_goal} val, but {reason}"
        )
    if mode is SplitMode.LABELS:
        by_label = by_whole_labels(labels, train_goal, ref_goal, val_goal)
        if by_label.ref.label_count and by_label.val.label_count:
            return with_every_label(by_label)
        # too few photos to give one to each set
        by_point = _by_point(labels, ref_goal, val_goal, stratified=False)
        return with_every_label(by_point)
    if mode is SplitMode.VECTORS:
        return _by_image(labels, train_goal, ref_goal, val_goal)
    return _by_point(labels, ref_goal, val_goal, stratified=mode is SplitMode.POINTS_STRATIFIED)


def _by_image(
    labels: ImageLabels, train_goal: int, ref_goal: int, val_goal: int
) -> TrainingTaskLabels:
    keys = list(labels.keys())
    random.Random(SEED).shuffle(keys)
    remaining = iter(keys)
    # val and ref meet their goals or pass them; train gets no more than is left
    val = _filled(labels, remaining, val_goal)
    ref = _filled(labels, remaining, ref_goal)
    train = _filled(labels, remaining, train_goal)
    return TrainingTaskLabels(train=train, ref=ref, val=val)


def _filled(labels: ImageLabels, keys: Iterator[DataLocation], goal: int) -> ImageLabels:
    """The next images, until they have `goal` labels or there are no more."""
    taken: dict[DataLocation, list[Annotation]] = {}
    count = 0
    while count < goal and (key := next(keys, None)) is not None:
        taken[key] = labels[key]
        count += len(labels[key])
    return ImageLabels.model_construct(taken)


def _by_point(
    labels: ImageLabels, ref_goal: int, val_goal: int, *, stratified: bool
) -> TrainingTaskLabels:
    points = [(key, annotation) for key in labels.keys() for annotation in labels[key]]  # noqa: SIM118 -- no dict
    targets = np.unique([label for _, (_, _, label) in points], return_inverse=True)[1]
    rows = np.arange(len(points))

    def divided(of: NDArray[np.intp], size: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        rest, taken = train_test_split(
            of, test_size=size, random_state=SEED, stratify=targets[of] if stratified else None
        )
        return rest, taken

    try:
        train_and_ref, val = divided(rows, val_goal)
        train, ref = divided(train_and_ref, ref_goal)
    except ValueError as error:
        raise TrainingLabelsError(
            f"the {len(points)} labels cannot be split with {ref_goal} in ref and {val_goal} in"
            f" val: {error}"
        ) from error
    return TrainingTaskLabels(
        train=_gathered(points, train), ref=_gathered(points, ref), val=_gathered(points, val)
    )


def _gathered(points: list[tuple[DataLocation, Annotation]], rows: Iterable[int]) -> ImageLabels:
    gathered: dict[DataLocation, list[Annotation]] = {}
    for row in rows:
        key, annotation = points[row]
        gathered.setdefault(key, []).append(annotation)
    return ImageLabels.model_construct(gathered)
