"""Ready-made rules for a `FakeWorker`: the same features, scores or accuracy for every message."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from spacer_tasks import storage
from spacer_tasks.data_classes.labels import LabelId, Point
from spacer_tasks.messages.tasks import (
    ClassifyFeaturesMsg,
    ClassifyImageMsg,
    ClassifyReturnMsg,
    ExtractFeaturesMsg,
    ExtractFeaturesReturnMsg,
    TrainClassifierMsg,
    TrainClassifierReturnMsg,
)


def fixed_features(
    vector: Sequence[float] | None = None,
) -> Callable[[ExtractFeaturesMsg], ExtractFeaturesReturnMsg]:
    """A rule for `extract_features`.

    Parameters
    ----------
    vector
        The feature vector of every point, in a real feature file at the message's `feature_loc`.
        That takes what a reader of feature files takes (the extra `[worker]`). Where not given, no
        file is written.
    """

    def rule(msg: ExtractFeaturesMsg) -> ExtractFeaturesReturnMsg:
        if vector is not None:
            _store_features(msg, vector)
        return ExtractFeaturesReturnMsg(extractor_loaded_remotely=False, runtime=0.0)

    return rule


def _store_features(msg: ExtractFeaturesMsg, vector: Sequence[float]) -> None:
    # what a base install lacks
    import numpy as np

    from spacer_tasks.data_classes.features import ImageFeatures

    vectors = np.tile(np.asarray(vector, np.float32), (len(msg.rowcols), 1))
    storage.store(msg.feature_loc, ImageFeatures.of_points(msg.rowcols, vectors).to_bytes())


def fixed_scores(
    classes: Sequence[LabelId],
    probabilities: Sequence[float],
    points: Sequence[Point] | None = None,
) -> Callable[[ClassifyImageMsg | ClassifyFeaturesMsg], ClassifyReturnMsg]:
    """A rule for `classify_image` and `classify_features`.

    Parameters
    ----------
    classes
        The labels.
    probabilities
        Of every point, one a label.
    points
        The points that are scored. Where not given, those of the message, or of the feature file
        that it names, which takes what a reader of feature files takes (the extra `[worker]`).

    Raises
    ------
    ValueError
        There are not as many probabilities as labels.
    """
    if len(classes) != len(probabilities):
        raise ValueError(f"{len(probabilities)} probabilities for {len(classes)} classes")

    def rule(msg: ClassifyImageMsg | ClassifyFeaturesMsg) -> ClassifyReturnMsg:
        scored = _points_of(msg) if points is None else points
        return ClassifyReturnMsg(
            runtime=0.0,
            scores=[(row, column, list(probabilities)) for row, column in scored],
            classes=list(classes),
            valid_rowcol=True,
        )

    return rule


def _points_of(msg: ClassifyImageMsg | ClassifyFeaturesMsg) -> Sequence[Point]:
    if isinstance(msg, ClassifyImageMsg):
        return msg.rowcols
    # what a base install lacks
    from spacer_tasks.data_classes.features import ImageFeatures

    return ImageFeatures.from_bytes(storage.load(msg.feature_loc), str(msg.feature_loc)).rowcols()


def fixed_accuracy(acc: float) -> Callable[[TrainClassifierMsg], TrainClassifierReturnMsg]:
    """A rule for `train_classifier`; no classifier is written.

    Parameters
    ----------
    acc
        The accuracy of the new classifier, of each previous one, and after each epoch.
    """

    def rule(msg: TrainClassifierMsg) -> TrainClassifierReturnMsg:
        return TrainClassifierReturnMsg(
            acc=acc,
            pc_accs=[acc] * len(msg.previous_model_locs),
            ref_accs=[acc] * msg.nbr_epochs,
            runtime=0.0,
        )

    return rule
