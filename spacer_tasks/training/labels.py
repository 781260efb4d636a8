"""From labels as they come to labels that can be trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from spacer_tasks.config.settings import get_settings
from spacer_tasks.data_classes.labels import ImageLabels, LabelId
from spacer_tasks.data_classes.left_out import LeftOut, left_out_labels
from spacer_tasks.exceptions import TrainingLabelsError
from spacer_tasks.messages.tasks import TrainingTaskLabels
from spacer_tasks.training.splits import SplitMode, split_labels
from spacer_tasks.training.whole_labels import with_every_label

#: points that a label needs to be split in proportion: one a set
STRATIFIED_LEAST = 3
#: labels of a set that an error names
NAMED = 5


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
    return learned_sets(
        divided_labels(labels, accepted_classes, split_ratios, split_mode, keep_rare=False)
    )


def divided_labels(
    labels: ImageLabels | TrainingTaskLabels,
    accepted_classes: Collection[LabelId] | None = None,
    split_ratios: tuple[float, float] = (0.1, 0.1),
    split_mode: SplitMode = SplitMode.VECTORS,
    *,
    keep_rare: bool = True,
) -> TrainingTaskLabels:
    """The first half of `preprocess_labels`: accepted labels in three sets, none left out yet.

    Parameters
    ----------
    keep_rare
        In POINTS_STRATIFIED, leave labels of fewer than three points to the train set, and see to
        it that each other label is in each set, where the reference drops the ones and may lose the
        others.

    Raises
    ------
    TrainingLabelsError
        Integer and text labels are mixed, or there are too few labels for three sets.
    """
    check_one_kind(labels)
    if isinstance(labels, TrainingTaskLabels):
        return _filtered(labels, set(accepted_classes)) if accepted_classes else labels
    kept = labels.filter_classes(set(accepted_classes)) if accepted_classes else labels
    max_ref = get_settings().training_batch_label_count
    if split_mode is not SplitMode.POINTS_STRATIFIED:
        return split_labels(kept, split_ratios, split_mode, max_ref)
    counts = kept.class_counts()
    frequent = {label for label, count in counts.items() if count >= STRATIFIED_LEAST}
    sets = split_labels(kept.filter_classes(frequent), split_ratios, split_mode, max_ref)
    if not keep_rare:
        return sets
    train = {key: list(sets.train[key]) for key in sets.train.keys()}  # noqa: SIM118 -- no dict
    rare = kept.filter_classes(set(counts) - frequent)
    for key in rare.keys():  # noqa: SIM118 -- no dict
        train.setdefault(key, []).extend(rare[key])
    return with_every_label(sets.model_copy(update={"train": ImageLabels.model_construct(train)}))


def learned_sets(sets: TrainingTaskLabels) -> TrainingTaskLabels:
    """The second half of `preprocess_labels`: only labels that are both in train and in ref.

    Raises
    ------
    TrainingLabelsError
        Fewer than two labels are, or a set is left empty.
    """
    train, ref = sets.train.classes, sets.ref.classes
    learned = train & ref
    if len(learned) < 2:
        raise TrainingLabelsError(
            f"training needs two classes or more that are both in train and in ref; there"
            f" {'is' if len(learned) == 1 else 'are'} {len(learned)}"
            f" (train has {len(train)} classes, ref has {len(ref)}){_way_out(sets, learned)}"
        )
    sets_learned = TrainingTaskLabels(
        **{
            name: some if some.classes <= learned else some.filter_classes(learned)
            for name, some in sets.sets().items()
        }
    )
    for name, some in sets_learned.sets().items():
        if not some.label_count:
            raise TrainingLabelsError(
                f"the {name} set is empty: no point in it has one of the {len(learned)} classes"
                f" that are both in train and in ref{_way_out(sets, learned)}"
            )
    return sets_learned


def left_out_of(sets: TrainingTaskLabels) -> LeftOut | None:
    """The labels that `learned_sets` drops, with their points; None where it drops none."""
    counts = {name: some.class_counts() for name, some in sets.sets().items()}
    total = sum(counts.values(), Counter[LabelId]())
    return left_out_labels(counts, set(counts["train"]) & set(counts["ref"]), total)


def _way_out(sets: TrainingTaskLabels, learned: set[LabelId]) -> str:
    shown = []
    for name, some in sets.sets().items():
        others = sorted(map(str, some.classes - learned))
        more = f" and {len(others) - NAMED} more" if len(others) > NAMED else ""
        if others:
            shown.append(f"{name} also has {', '.join(map(repr, others[:NAMED]))}{more}")
    return (
        f" ({'; '.join(shown) or 'no other labels'}). Label more photos, give larger ratios, or"
        " split otherwise (on the command line --ratios, --split-mode labels)"
    )


def _filtered(labels: TrainingTaskLabels, accepted: set[LabelId]) -> TrainingTaskLabels:
    return TrainingTaskLabels(
        **{name: some.filter_classes(accepted) for name, some in labels.sets().items()}
    )


def check_one_kind(labels: ImageLabels | TrainingTaskLabels) -> None:
    """Refuse integers beside texts, which never match each other and have no order.

    Raises
    ------
    TrainingLabelsError
        There are labels of both kinds.
    """
    sets = labels.sets().values() if isinstance(labels, TrainingTaskLabels) else [labels]
    classes = set[LabelId]().union(*(some.classes for some in sets))
    texts = [label for label in classes if isinstance(label, str)]
    if texts and len(texts) < len(classes):
        number = next(label for label in classes if not isinstance(label, str))
        raise TrainingLabelsError(
            f"labels must be all integers or all texts; found {number!r} and {texts[0]!r}"
        )
