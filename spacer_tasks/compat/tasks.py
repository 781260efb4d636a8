"""The reference's four tasks as functions, and a job of several.

What this project has by the same name is run by it; extractors and trainers of one's own run here.
"""

from __future__ import annotations

import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from logging import getLogger
from typing import Any

from PIL import Image

from spacer_tasks import operations, storage
from spacer_tasks.compat import config
from spacer_tasks.compat.data_classes import ImageFeatures
from spacer_tasks.compat.extractors.base import OurExtractor
from spacer_tasks.compat.messages import (
    ClassifyFeaturesMsg,
    ClassifyImageMsg,
    ClassifyReturnMsg,
    ExtractFeaturesMsg,
    ExtractFeaturesReturnMsg,
    JobMsg,
    JobReturnMsg,
    TrainClassifierMsg,
    TrainClassifierReturnMsg,
    TrainingTaskLabels,
)
from spacer_tasks.compat.naming import class_path
from spacer_tasks.compat.raising import as_the_reference
from spacer_tasks.compat.storage import (
    load_classifier,
    storage_factory,
    store_classifier,
)
from spacer_tasks.compat.task_utils import check_extract_inputs, preprocess_labels
from spacer_tasks.compat.train_classifier import ClassifierTrainer, OurTrainer
from spacer_tasks.extractors import load_pixels
from spacer_tasks.messages.reference_errors import error_line

logger = getLogger(__name__)


def extract_features(msg: ExtractFeaturesMsg) -> ExtractFeaturesReturnMsg:
    """Compute the features of an image at its points, and store them."""
    features, answer = _extracted(msg)
    features.store(msg.feature_loc)
    return answer


def train_classifier(msg: TrainClassifierMsg) -> TrainClassifierReturnMsg:
    """Train, calibrate and evaluate a classifier; store it and its validation results."""
    labels = preprocess_labels(msg.labels)
    if isinstance(msg.trainer, OurTrainer):
        wire = {**msg.serialize(), "classifier_format": "pyspacer"}
        with as_the_reference():
            answer = operations.train_classifier(wire, preprocessed=True)
        return TrainClassifierReturnMsg.deserialize(answer.to_wire())
    trainer: ClassifierTrainer = msg.trainer
    with _features_kept(labels, msg.feature_cache_dir):
        previous = [load_classifier(loc) for loc in msg.previous_model_locs]
        clf, results, made = trainer(labels, msg.nbr_epochs, previous, msg.clf_type)
    store_classifier(msg.model_loc, clf)
    results.store(msg.valresult_loc)
    return made


def classify_features(msg: ClassifyFeaturesMsg) -> ClassifyReturnMsg:
    """Give every point of a feature file a probability for each label."""
    with as_the_reference():
        answer = operations.classify_features(msg.serialize())
    return ClassifyReturnMsg.deserialize(answer.to_wire())


def classify_image(msg: ClassifyImageMsg) -> ClassifyReturnMsg:
    """Give points of an image a probability for each label, without keeping its features."""
    import numpy as np

    from spacer_tasks import classifiers

    started = time.time()
    features, _ = _extracted(msg)
    with as_the_reference():
        classifier = classifiers.load_classifier(msg.classifier_loc.ours())
    vectors = np.stack([features[point] for point in msg.rowcols])
    probabilities = classifier.predict_proba(vectors).tolist()
    scores = [
        (row, col, of_point)
        for (row, col), of_point in zip(msg.rowcols, probabilities, strict=True)
    ]
    return ClassifyReturnMsg(time.time() - started, scores, list(classifier.classes), True)


def process_job(job_msg: JobMsg) -> JobReturnMsg:
    """The answers to a job's messages, or why one of them has none."""
    assert isinstance(job_msg, JobMsg)
    assert job_msg.task_name in config.TASKS
    functions: dict[str, Callable[[Any], Any]] = {
        "extract_features": extract_features,
        "train_classifier": train_classifier,
        "classify_features": classify_features,
        "classify_image": classify_image,
    }
    run = functions[job_msg.task_name]
    results = []
    for task in job_msg.tasks:
        try:
            with config.log_entry_and_exit(f"{job_msg.task_name} [{task.job_token}]"):
                results.append(run(task))
        except Exception as error:
            logger.exception("Error executing job %s", task.job_token)
            reason = f"{traceback.format_exc()}\n{error_line(class_path(type(error)), str(error))}"
            return JobReturnMsg(job_msg, ok=False, results=None, error_message=reason)
    return JobReturnMsg(job_msg, ok=True, results=results, error_message=None)


def _extracted(
    msg: ExtractFeaturesMsg | ClassifyImageMsg,
) -> tuple[ImageFeatures, ExtractFeaturesReturnMsg]:
    loc = msg.image_loc
    stream = storage_factory(loc.storage_type, loc.bucket_name).load(loc.key)
    image = Image.open(stream)
    check_extract_inputs(image, msg.rowcols, loc.key)
    if not isinstance(msg.extractor, OurExtractor):
        return msg.extractor(image, msg.rowcols)
    with as_the_reference():
        # as workers decode it
        pixels = load_pixels(stream.getvalue(), loc.key)
        version = storage.version(loc.ours())
    features, answer = msg.extractor(pixels, msg.rowcols)
    features.say_origin(image=loc.ours().uri, image_version=version)
    return features, answer


@contextmanager
def _features_kept(labels: TrainingTaskLabels, folder: Any) -> Iterator[None]:
    """What is loaded from afar is kept below `folder` in the meantime, if the message says so."""
    if not labels.has_remote_data or folder == TrainClassifierMsg.FeatureCache.DISABLED:
        yield
        return
    below = None if folder == TrainClassifierMsg.FeatureCache.AUTO else folder
    with tempfile.TemporaryDirectory(dir=below) as kept:
        labels.set_filesystem_cache(kept)
        yield
