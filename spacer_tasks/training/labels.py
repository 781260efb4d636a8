"""From labels as they come to labels that can be trained on."""

from __future__ import annotations

from collections.abc import Collection

from spacer_tasks.config.settings import get_settings
from spacer_tasks.data_classes.labels import ImageLabels, LabelId
from spacer_tasks.exceptions import TrainingLabelsError
from spacer_tasks.messages.tasks import TrainingTaskLabels
from spacer_tasks.training.splits import SplitMode, split_labels

#: points that a label needs to be split in proportion: one a set
STRATIFIED_LEAST = 3


def preprocess_labels(
    labels: ImageLabels | TrainingTaskLabels,
    accepted_classes: Collection[LabelId] | None = None,
    split_ratios: tuple[float, float] = (0.1, 0.1),
    split_mode: SplitMode = SplitMode.VECTORS,
) -> TrainingTaskLabels:
    """Labels split into train, ref and val (where they are not yet), filtered and checked.

    A classifier learns only the labels that are both in train and in ref, so points with others
    are dropped from all three sets. What is given is not changed. A set that has no other labels
    stays as it is, with its images without points, which have a place in the order of an epoch;
    from a set that is filtered they are dropped.

    Parameters
    ----------
    labels
        Labels to split, or sets that the caller has split.
    accepted_classes
        Keep only these labels; all where None or empty.
    split_ratios
        Shares of ref (which also has SPACER_TRAINING_BATCH_LABEL_COUNT labels at most) and val.
    split_mode
        What stays together in the split. In POINTS_STRATIFIED, labels with fewer than three points
        are dropped.

    Raises
    ------
    TrainingLabelsError
        Integer and text labels are mixed, there are too few labels for three sets, fewer than two
        labels are both in train and in ref, or a set is left empty.
    """
    _check_one_kind(labels)
    if isinstance(labels, TrainingTaskLabels):
        sets = labels
        if accepted_classes:
            sets = _filtered(labels, set(accepted_classes))
    else:
        kept = labels.filter_classes(set(accepted_classes)) if accepted_classes else labels
        if split_mode is SplitMode.POINTS_STRATIFIED:
            counts = kept.class_counts()
            kept = kept.filter_classes(
                {label for label, count in counts.items() if count >= STRATIFIED_LEAST}
            )
        max_ref = get_settings().training_batch_label_count
        sets = split_labels(kept, split_ratios, split_mode, max_ref)

    train, ref = sets.train.classes, sets.ref.classes
    learned = train & ref
    if len(learned) < 2:
        raise TrainingLabelsError(
            f"training needs two classes or more that are both in train and in ref; there"
            f" {'is' if len(learned) == 1 else 'are'} {len(learned)}"
            f" (train has {len(train)} classes, ref has {len(ref)})"
        )
    sets = TrainingTaskLabels(
        **{
            name: some if some.classes <= learned else some.filter_classes(learned)
            for name, some in sets.sets().items()
        }
    )
    for name, some in sets.sets().items():
        if not some.label_count:
            raise TrainingLabelsError(
                f"the {name} set is empty: no point in it has one of the {len(learned)} classes"
                " that are both in train and in ref"
            )
    return sets


def _filtered(labels: TrainingTaskLabels, accepted: set[LabelId]) -> TrainingTaskLabels:
    return TrainingTaskLabels(
        **{name: some.filter_classes(accepted) for name, some in labels.sets().items()}
    )


def _check_one_kind(labels: ImageLabels | TrainingTaskLabels) -> None:
    sets = labels.sets().values() if isinstance(labels, TrainingTaskLabels) else [labels]
    classes = set[LabelId]().union(*(some.classes for some in sets))
    texts = [label for label in classes if isinstance(label, str)]
    if texts and len(texts) < len(classes):
        number = next(label for label in classes if not isinstance(label, str))
        raise TrainingLabelsError(
            f"labels must be all integers or all texts; found {number!r} and {texts[0]!r}"
        )
