"""Measures of classifiers, and random data."""

from __future__ import annotations

import random
import string
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from spacer_tasks.compat.data_classes import DataLocation, ImageLabels, LabelId

if TYPE_CHECKING:
    from sklearn.calibration import CalibratedClassifierCV


def train(
    train_labels: ImageLabels, ref_labels: ImageLabels, nbr_epochs: int, clf_type: str
) -> tuple[CalibratedClassifierCV, list[float]]:
    """What the default trainer makes, and its accuracy on `ref_labels` after each epoch.

    It is a function of pyspacer 0.13 alone; 0.14 has `MiniBatchTrainer` for it.
    """
    from spacer_tasks.compat.fitting import fit
    from spacer_tasks.messages.specs import TrainerSpec

    spec = TrainerSpec.model_validate({"class_path": "minibatch"})
    return fit(spec, train_labels, ref_labels, nbr_epochs, clf_type)


def evaluate_classifier(
    clf: CalibratedClassifierCV, labels: ImageLabels
) -> tuple[list[Any], list[Any], list[float]]:
    """What labelled points are, what a classifier says that they are, and how sure it is."""
    truths: list[Any] = []
    answers: list[Any] = []
    scores: list[float] = []
    for vectors, some in labels.load_data_in_batches():
        probabilities = clf.predict_proba(vectors)
        scores += probabilities.max(axis=1).tolist()
        answers.extend(clf.classes_[probabilities.argmax(axis=1)])
        truths.extend(some)
    assert truths, "there is no labelled point to evaluate on"
    return truths, answers, scores


def calc_acc(gt: Sequence[Any], est: Sequence[Any]) -> float:
    """The share of places at which two lists agree."""
    if len(gt) == 0 or len(est) == 0:
        raise ValueError("Inputs can not be empty")
    if len(gt) != len(est):
        raise ValueError("Input gt and est must have the same length")
    return sum(bool(one == other) for one, other in zip(gt, est, strict=True)) / len(gt)


def make_random_data(
    im_count: int,
    class_list: list[LabelId],
    points_per_image: int,
    feature_dim: int,
    feature_loc_base: DataLocation,
    feature_loc_keys: list[str] | None = None,
) -> ImageLabels:
    """Labels of so many images, each with every class, and their features, which are stored."""
    import numpy as np

    from spacer_tasks.compat.data_classes import ImageFeatures

    labels = ImageLabels()
    for number in range(im_count):
        of_points = np.random.choice(np.array(class_list), points_per_image).tolist()
        of_points[: len(class_list)] = class_list
        if feature_loc_keys is None:
            key = "".join(random.choices(string.ascii_uppercase + string.digits, k=20))
        else:
            key = feature_loc_keys[number]
        loc = DataLocation(feature_loc_base.storage_type, key, feature_loc_base.bucket_name)
        features = ImageFeatures.make_random(of_points, feature_dim)
        features.store(loc)
        labels.add_image(
            loc,
            [
                (int(point.row or 0), int(point.col or 0), label)
                for point, label in zip(features.point_features, of_points, strict=True)
            ],
        )
    return labels
