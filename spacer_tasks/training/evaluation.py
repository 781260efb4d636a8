"""How well classifiers do on the validation set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spacer_tasks.classifiers import Classifier
from spacer_tasks.data_classes.labels import LabelId
from spacer_tasks.data_classes.val_results import ValResults
from spacer_tasks.training.feature_matrix import LabelledVectors


def evaluate(
    classifier: Classifier, val: LabelledVectors, classes: Sequence[LabelId]
) -> ValResults:
    """What the classifier answers on the validation set.

    The answer's classes are its own, and after them those that it does not know.

    Parameters
    ----------
    classes
        What `val.targets` are indices into.

    Raises
    ------
    FeatureDimensionError
        The vectors have another dimension than the classifier was trained on.
    """
    known = set(classifier.classes)
    all_classes = [*classifier.classes, *(label for label in classes if label not in known)]
    index = {label: i for i, label in enumerate(all_classes)}
    to_own = np.array([index[label] for label in classes], dtype=np.intp)
    est, scores = classifier.best(val.vectors)
    return ValResults(
        scores=scores.tolist(),
        gt=to_own[val.targets].tolist(),
        est=est.tolist(),
        classes=all_classes,
    )


def accuracy(classifier: Classifier, val: LabelledVectors, classes: Sequence[LabelId]) -> float:
    """The share of validation points to which a classifier gives the right label.

    Its classes may differ from those of the points; a label it does not know is a miss.

    Parameters
    ----------
    classes
        What `val.targets` are indices into.

    Raises
    ------
    FeatureDimensionError
        The vectors have another dimension than the classifier was trained on.
    """
    index = {label: i for i, label in enumerate(classes)}
    unknown = -1
    to_ours = np.array([index.get(label, unknown) for label in classifier.classes], dtype=np.intp)
    return float(np.mean(to_ours[classifier.predict(val.vectors)] == val.targets))
