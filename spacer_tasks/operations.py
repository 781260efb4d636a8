"""The four operations as plain functions: message in, answer out, no queue.

Call them from a script or a notebook with a message, its dict, or a message of the reference's own
classes; the tasks wrap these. A dict is checked here; a message was checked when it was made, or by
the task that received it, and is taken as it is.
"""

from __future__ import annotations

import json
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from spacer_tasks import storage
from spacer_tasks.classifiers import Classifier, load_classifier, store_classifier
from spacer_tasks.classifiers.network import other_network
from spacer_tasks.concurrency.stopping import stop_if_asked
from spacer_tasks.config.settings import get_settings
from spacer_tasks.data_classes.features import INCOMPLETE, ImageFeatures, begins_as_features
from spacer_tasks.data_classes.labels import ImageLabels, Point
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.data_classes.val_results import ValResults
from spacer_tasks.exceptions import (
    DataLimitError,
    FeatureDimensionError,
    FeatureFileError,
    InputError,
    LocationNotAllowedError,
    ObjectNotFoundError,
    TrainingLabelsError,
)
from spacer_tasks.extractors import Extractor, Photo, check_points, load_extractor, read_photo
from spacer_tasks.extractors.images.in_flight import share
from spacer_tasks.jobs.answering import answered
from spacer_tasks.messages.parsing import parse
from spacer_tasks.messages.tasks import (
    ClassifyFeaturesMsg,
    ClassifyImageMsg,
    ClassifyReturnMsg,
    ExtractFeaturesMsg,
    ExtractFeaturesReturnMsg,
    ImageAnswer,
    JobMsg,
    JobReturnMsg,
    Message,
    TaskMsg,
    TrainClassifierMsg,
    TrainClassifierReturnMsg,
)

if TYPE_CHECKING:
    from spacer_tasks.training import TrainingProgress
    from spacer_tasks.training.checkpoints import Checkpoints

logger = logging.getLogger(__name__)

#: feature files that are read, or wait to be scored, beside the one that is
READ_AHEAD = 4

OnProgress = Callable[["TrainingProgress"], None]


def extract_features(msg: ExtractFeaturesMsg | Mapping[str, Any]) -> ExtractFeaturesReturnMsg:
    """Compute the feature vectors of an image at its points, and store them.

    Raises
    ------
    InputError
        The image, a point, the extractor's files or the message cannot be worked with.
    TransientError
        The storage did not answer.
    """
    msg = parse(ExtractFeaturesMsg, msg)
    started = time.monotonic()
    extractor = load_extractor(msg.extractor)
    vectors, incomplete, version = _vectors(msg.image_loc, msg.rowcols, extractor)
    origin = _origin(msg, extractor, version)
    if incomplete:
        origin[INCOMPLETE] = incomplete
    features = ImageFeatures.of_points(msg.rowcols, vectors, origin)
    _store_features(msg.feature_loc, features.to_bytes())
    return ExtractFeaturesReturnMsg(
        extractor_loaded_remotely=extractor.take_loaded_remotely(),
        runtime=time.monotonic() - started,
        incomplete=incomplete,
    )


def _store_features(loc: DataLocation, data: bytes) -> None:
    """Keep features, in the place of others at most: what lies there may be weights or a classifier
    that other tasks use.
    """
    if storage.store_once(loc, data):
        return
    with suppress(ObjectNotFoundError):
        there = storage.load(loc)
        if not begins_as_features(there):
            raise LocationNotAllowedError(
                f"{loc}: what is there is no feature file, it begins with {there[:16]!r}; features"
                " replace nothing else, expected another place"
            )
    storage.store(loc, data)


def features_are_current(msg: ExtractFeaturesMsg | Mapping[str, Any]) -> bool:
    """Whether there are `current_features`; raises as it does."""
    return current_features(msg) is not None


def current_features(msg: ExtractFeaturesMsg | Mapping[str, Any]) -> ImageFeatures | None:
    """The stored features, if they were computed from the same image, points and extractor.

    Features of an incomplete image are not current where such images are refused.

    Raises
    ------
    InputError
        The extractor's files or the message cannot be worked with.
    TransientError
        The storage did not answer.
    """
    msg = parse(ExtractFeaturesMsg, msg)
    try:
        stored = ImageFeatures.from_bytes(storage.load(msg.feature_loc), str(msg.feature_loc))
    except (ObjectNotFoundError, FeatureFileError):
        # none yet, or none that can be used: extracting replaces it
        return None
    if not stored.has_rowcols or stored.rowcols() != list(msg.rowcols):
        return None
    if stored.incomplete and get_settings().incomplete_images == "refuse":
        return None
    version = storage.version(msg.image_loc)
    origin = _origin(msg, load_extractor(msg.extractor), version)
    # what is stored went through JSON, where tuples become lists
    current = json.loads(json.dumps(origin))
    said = {key: value for key, value in stored.origin.items() if key != INCOMPLETE}
    return stored if storage.tells_apart(version) and said == current else None


def train_classifier(
    msg: TrainClassifierMsg | Mapping[str, Any],
    on_progress: OnProgress | None = None,
    checkpoints: Checkpoints | None = None,
    *,
    preprocessed: bool = False,
) -> TrainClassifierReturnMsg:
    """Train, calibrate and evaluate a classifier; store it, its validation results and metrics.

    The classifier is stored last: where it is, the rest is.

    Parameters
    ----------
    on_progress
        Called as feature files are read and after each epoch.
    checkpoints
        Where the training is kept between epochs, to go on from there when this is called again.
    preprocessed
        Whether the labels come from `preprocess_labels` in this process, and need not be looked at
        again.

    Raises
    ------
    InputError
        The labels, a feature file, a previous classifier or the message cannot be worked with.
    TransientError
        The storage did not answer.
    """
    # scikit-learn and SciPy, a second and 80 MB, which other workers do without
    from spacer_tasks.training import train

    msg = parse(TrainClassifierMsg, msg)
    started = time.monotonic()
    try:
        result = train(
            msg.labels,
            msg.trainer,
            msg.nbr_epochs,
            msg.clf_type,
            previous=[load_classifier(loc) for loc in msg.previous_model_locs],
            on_progress=on_progress,
            checkpoints=checkpoints,
            preprocessed=preprocessed,
        )
    except InputError:
        if checkpoints:
            # it would come to the same again
            checkpoints.remove()
        raise
    if checkpoints:
        checkpoints.check()
    storage.store(msg.valresult_loc, result.val_results.model_dump_json().encode())
    storage.store(msg.metrics_loc, result.metrics.model_dump_json(indent=1).encode())
    store_classifier(msg.model_loc, result.classifier, msg.classifier_format)
    if checkpoints:
        checkpoints.remove()
    return result.return_msg.model_copy(update={"runtime": time.monotonic() - started})


def classify_features(msg: ClassifyFeaturesMsg | Mapping[str, Any]) -> ClassifyReturnMsg:
    """Give every point of a feature file a probability for each label.

    Raises
    ------
    InputError
        The feature file or the classifier is missing or damaged, or their dimensions differ.
    TransientError
        The storage did not answer.
    """
    msg = parse(ClassifyFeaturesMsg, msg)
    started = time.monotonic()
    data = storage.load(msg.feature_loc)
    return _scored(started, msg, data, lambda: load_classifier(msg.classifier_loc))


def classify_many(
    msgs: Sequence[ClassifyFeaturesMsg | Mapping[str, Any]],
) -> Iterator[ClassifyReturnMsg]:
    """The answers of `classify_features` to several messages, in their order.

    The next feature files are read while one is scored, and each classifier is looked for once: the
    answers are of one version of it.

    Raises
    ------
    MessageError
        A message is malformed; before the first answer.
    InputError, TransientError
        As `classify_features`, when it is the turn of the message.
    """
    checked = [parse(ClassifyFeaturesMsg, msg) for msg in msgs]
    one_version = cache(load_classifier)
    pool = ThreadPoolExecutor(READ_AHEAD, thread_name_prefix="features")
    reads: deque[Future[bytes]] = deque()

    def read(some: Sequence[ClassifyFeaturesMsg]) -> None:
        reads.extend(pool.submit(storage.load, msg.feature_loc) for msg in some)

    try:
        read(checked[:READ_AHEAD])
        for turn, msg in enumerate(checked):
            stop_if_asked()
            started = time.monotonic()
            data = reads.popleft().result()
            read(checked[turn + READ_AHEAD : turn + READ_AHEAD + 1])
            yield _scored(started, msg, data, partial(one_version, msg.classifier_loc))
    finally:
        pool.shutdown(cancel_futures=True)


def evaluate_classifier(
    classifier: Classifier | DataLocation | Mapping[str, Any],
    labels: ImageLabels | Mapping[Any, Any],
) -> ValResults:
    """What a classifier answers at labelled points, beside what they are.

    Parameters
    ----------
    classifier
        A classifier, or where its file is.
    labels
        By where each image's features are. Labels that the classifier does not know stand after
        its own in the answer's classes.

    Raises
    ------
    TrainingLabelsError
        There is no label.
    InputError
        The classifier or a feature file is missing or damaged, a point is not in its file, or
        dimensions differ.
    TransientError
        The storage did not answer.
    """
    from spacer_tasks.training.evaluation import evaluate
    from spacer_tasks.training.feature_matrix import load_sets

    if not isinstance(classifier, Classifier):
        classifier = load_classifier(parse(DataLocation, classifier))
    labels = parse(ImageLabels, labels)
    if not labels.label_count:
        raise TrainingLabelsError("no labelled point to evaluate the classifier on")
    classes = sorted(labels.classes, key=str)
    return evaluate(classifier, load_sets({"val": labels}, classes)["val"], classes)


def check_extract_inputs(
    image_loc: DataLocation | Mapping[str, Any], rowcols: Sequence[Point]
) -> None:
    """Refuse an image and points that an extraction would refuse, without an extractor.

    Raises
    ------
    ImageError, DataLimitError
        The image cannot be read, or it is too large, or there are too many points.
    RowColumnInvalidError
        A point is not a pair of integers inside the image.
    StorageError, StorageUnavailableError
        The image cannot be loaded.
    """
    _checked_photo(parse(DataLocation, image_loc), rowcols)


def classify_image(msg: ClassifyImageMsg | Mapping[str, Any]) -> ClassifyReturnMsg:
    """Give points of an image a probability for each label, without keeping its features.

    Raises
    ------
    InputError
        The image, a point, the extractor's files or the classifier cannot be worked with.
    TransientError
        The storage did not answer.
    """
    msg = parse(ClassifyImageMsg, msg)
    started = time.monotonic()
    classifier = load_classifier(msg.classifier_loc)
    extractor = load_extractor(msg.extractor)
    vectors, incomplete, _ = _vectors(msg.image_loc, msg.rowcols, extractor)
    name = str(msg.image_loc)
    answer = _scores(started, list(msg.rowcols), vectors, classifier, name, extractor.identity)
    return answer.model_copy(update={"incomplete": incomplete}) if incomplete else answer


def process_job(
    job: JobMsg | Mapping[str, Any],
    on_progress: OnProgress | None = None,
    checkpoints: Callable[[], Checkpoints] | None = None,
) -> JobReturnMsg:
    """Run a reference `JobMsg`; its dict is what the answer echoes, unchanged.

    A classifier is stored as a pickle of the reference's unless the message says otherwise: who
    sends a job reads what it made with the reference.

    An input error or a bug ends the job with `ok` false and the reason, whose last line names the
    error as the reference does; what was computed before stays stored.

    Parameters
    ----------
    checkpoints
        Where trainings are kept between epochs; asked only for a training, as it loads what trains.

    Raises
    ------
    MessageError
        It is no object, which an answer could echo.
    TransientError
        The storage did not answer: the job can be run again.
    """
    return answered(job, lambda parsed: _answers(parsed, on_progress, checkpoints))


def _answers(
    job: JobMsg, on_progress: OnProgress | None, checkpoints: Callable[[], Checkpoints] | None
) -> Iterable[Message]:
    scorings = [task for task in job.tasks if isinstance(task, ClassifyFeaturesMsg)]
    answers: Iterable[Message] = (
        _run(number, message, on_progress, checkpoints) for number, message in enumerate(job.tasks)
    )
    if len(scorings) == len(job.tasks):
        answers = classify_many(scorings)
    return (_told(*pair) for pair in zip(job.tasks, answers, strict=True))


def _run(
    number: int,
    message: TaskMsg,
    on_progress: OnProgress | None,
    checkpoints: Callable[[], Checkpoints] | None,
) -> Message:
    stop_if_asked()
    if isinstance(message, ExtractFeaturesMsg):
        return extract_features(message)
    if isinstance(message, ClassifyFeaturesMsg):
        return classify_features(message)
    if isinstance(message, ClassifyImageMsg):
        return classify_image(message)
    if "classifier_format" not in message.model_fields_set:
        message = message.model_copy(update={"classifier_format": "pyspacer"})
    return train_classifier(
        message, on_progress, checkpoints().part(number) if checkpoints else None
    )


def _told(message: TaskMsg, answer: Message) -> Message:
    """The answer, after the log has what the reference's answers have no place for."""
    if isinstance(answer, ImageAnswer) and answer.incomplete:
        source = getattr(message, "image_loc", None) or getattr(message, "feature_loc", None)
        logger.warning("%s: the image is incomplete: %s", source, answer.incomplete)
    return answer


def _origin(msg: ExtractFeaturesMsg, extractor: Extractor, version: str | None) -> dict[str, Any]:
    """What a feature file says it was computed from; `version` is the image's."""
    return {
        "image": msg.image_loc.uri,
        "image_version": version,
        "extractor": extractor.identity,
    }


def _vectors(
    image_loc: DataLocation, rowcols: list[Point], extractor: Extractor
) -> tuple[Any, str | None, str | None]:
    """The feature vectors, what of the image was missing, and the image's version."""
    with share():
        photo, version = _checked_photo(image_loc, rowcols)
        return extractor.extract(photo.pixels, rowcols), photo.incomplete, version


def _checked_photo(image_loc: DataLocation, rowcols: Sequence[Point]) -> tuple[Photo, str | None]:
    photo, version = _photo(image_loc)
    height, width = photo.pixels.shape[:2]
    check_points(rowcols, width, height, str(image_loc))
    return photo, version


def _photo(image_loc: DataLocation) -> tuple[Photo, str | None]:
    data, version = storage.load_version(image_loc)
    return read_photo(data, str(image_loc)), version


def _scored(
    started: float, msg: ClassifyFeaturesMsg, data: bytes, classifier: Callable[[], Classifier]
) -> ClassifyReturnMsg:
    features = ImageFeatures.from_bytes(data, str(msg.feature_loc))
    points: list[tuple[int | None, int | None]] = (
        list(features.rowcols()) if features.has_rowcols else [(None, None)] * len(features)
    )
    name = str(msg.feature_loc)
    network = features.origin.get("extractor")
    answer = _scores(started, points, features.vectors, classifier(), name, network)
    found = features.incomplete
    return answer.model_copy(update={"incomplete": found}) if found else answer


def _scores(
    started: float,
    points: list[tuple[int | None, int | None]],
    vectors: Any,
    classifier: Classifier,
    name: str,
    network: object,
) -> ClassifyReturnMsg:
    """The scores; `network` is the identity of the vectors' extractor, None if not known."""
    limit = get_settings().max_scores
    if len(points) * len(classifier.classes) > limit:
        raise DataLimitError(
            f"{name}: {len(points)} points of {len(classifier.classes)} classes, more than the"
            f" {limit} scores of SPACER_MAX_SCORES"
        )
    try:
        probabilities = classifier.predict_proba(vectors)
    except FeatureDimensionError as error:
        why = other_network(classifier, network)
        raise FeatureDimensionError(f"{name}: {error}{f'; {why}' if why else ''}") from None
    # not checked number by number: they were made here
    answer = ClassifyReturnMsg.model_construct(
        runtime=time.monotonic() - started,
        scores=[
            (row, col, scores)
            for (row, col), scores in zip(points, probabilities.tolist(), strict=True)
        ],
        classes=list(classifier.classes),
        valid_rowcol=points[0][0] is not None,
    )
    why = other_network(classifier, network)
    return answer.model_copy(update={"other_network": why}) if why else answer
