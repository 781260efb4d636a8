"""Batches: train a classifier from images, and train many classifiers and publish the best.

    train_from_images ─▶ extract × N ─▶ train ─▶ classify × M ─▶ finish
    train_many ─▶ train_candidate × N ─▶ compare

Each is one task to its caller: `train_from_images.delay(message)`.
"""

from __future__ import annotations

from typing import Any

from spacer_tasks import storage
from spacer_tasks.app import app
from spacer_tasks.data_classes.labels import ImageLabels
from spacer_tasks.exceptions import ObjectNotFoundError, TooManyFailuresError
from spacer_tasks.execution.batch import (
    BatchTask,
    BodyTask,
    HeaderTask,
    batch_location,
    failures_of,
    in_order,
    replace_by_chord,
)
from spacer_tasks.execution.task import MessageTask
from spacer_tasks.messages.batches import (
    BatchFailure,
    BatchImage,
    Candidate,
    ExtractedMsg,
    IncompleteImage,
    ScoredMsg,
    ScoreImageMsg,
    TrainedMsg,
    TrainFromImagesMsg,
    TrainFromImagesReturnMsg,
    TrainManyMsg,
    TrainManyReturnMsg,
)
from spacer_tasks.messages.tasks import (
    ExtractFeaturesMsg,
    TrainClassifierMsg,
    TrainClassifierReturnMsg,
)

#: failures whose reasons an error's text lists; all are in the stored answer
LISTED_FAILURES = 5


# --- train from images -----------------------------------------------------------------------


@app.task(
    base=BatchTask,
    bind=True,
    shared=False,
    name="spacer_tasks.train_from_images",
    message_class=TrainFromImagesMsg,
)
def train_from_images(self: BatchTask, msg: TrainFromImagesMsg) -> None:
    """Extract the features of all images, train on those with labels, classify the others."""
    messages = [msg.extract_message(image) for image in msg.images]
    replace_by_chord(self, extract_one, messages, train_on_extracted, msg)


@app.task(
    base=HeaderTask,
    bind=True,
    shared=False,
    name="spacer_tasks.batch.extract",
    message_class=ExtractFeaturesMsg,
    stage="extract",
)
def extract_one(self: HeaderTask, msg: ExtractFeaturesMsg) -> ExtractedMsg:
    """Extract one image of a batch, unless its features are current."""
    from spacer_tasks import operations

    current = operations.current_features(msg)
    if current is not None:
        return ExtractedMsg(skipped=True, incomplete=current.incomplete)
    answer = operations.extract_features(msg)
    return ExtractedMsg(skipped=False, incomplete=answer.incomplete)


@app.task(
    base=BodyTask,
    bind=True,
    shared=False,
    name="spacer_tasks.batch.train",
    message_class=TrainFromImagesMsg,
    reads_what_the_batch_wrote=True,
)
def train_on_extracted(
    self: BodyTask, msg: TrainFromImagesMsg, parts: list[dict[str, Any]]
) -> TrainFromImagesReturnMsg:
    """Train on the labelled images that were extracted, then classify the others."""
    failures = failures_of(parts, [str(image.image_loc) for image in msg.images])
    if len(failures) > msg.max_failed_share * len(msg.images):
        raise TooManyFailuresError(
            f"{len(failures)} of {len(msg.images)} images failed, more than the"
            f" {msg.max_failed_share:.0%} that max_failed_share allows: {_listed(failures)}"
        )
    # by entry, not by image: an image may be there once with labels and once to be classified
    failed = {part["index"] for part in parts if "error" in part}
    extracted = [image for index, image in enumerate(msg.images) if index not in failed]
    training_loc = batch_location(self.task_id, "training.json")
    try:
        # there already where this task is delivered again after the training
        answer = TrainFromImagesReturnMsg.model_validate_json(storage.load(training_loc))
    except ObjectNotFoundError:
        training_msg = _training_message(msg, extracted)
        training = _train(self, training_msg)
        skipped = sum(part["answer"]["skipped"] for part in parts if "answer" in part)
        answer = TrainFromImagesReturnMsg(
            training=training,
            model_loc=msg.model_loc,
            valresult_loc=msg.valresult_loc,
            metrics_loc=training_msg.metrics_loc,
            images=len(msg.images),
            extracted=len(parts) - skipped - len(failures),
            skipped=skipped,
            classified=0,
            failures=failures,
            incomplete_images=_incomplete(msg, parts),
        )
        storage.store(training_loc, answer.model_dump_json().encode())
    to_classify = [image for image in extracted if image.rowcols]
    if to_classify:
        messages = [msg.score_message(image) for image in to_classify]
        rest = msg.model_copy(update={"images": to_classify})
        replace_by_chord(self, classify_one, messages, finish, rest)
    return answer


@app.task(
    base=HeaderTask,
    bind=True,
    shared=False,
    name="spacer_tasks.batch.classify",
    message_class=ScoreImageMsg,
    stage="classify",
    reads_what_the_batch_wrote=True,
)
def classify_one(self: HeaderTask, msg: ScoreImageMsg) -> ScoredMsg:
    """Score one image of a batch."""
    from spacer_tasks import operations

    answer = operations.classify_features(msg)
    # without what is not set: the features are mostly of whole images
    storage.store(msg.scores_loc, answer.model_dump_json(exclude_unset=True).encode())
    return ScoredMsg(points=len(answer.scores))


@app.task(
    base=BodyTask,
    bind=True,
    shared=False,
    name="spacer_tasks.batch.finish",
    message_class=TrainFromImagesMsg,
    reads_what_the_batch_wrote=True,
)
def finish(
    self: BodyTask, msg: TrainFromImagesMsg, parts: list[dict[str, Any]]
) -> TrainFromImagesReturnMsg:
    """The answer of the whole batch. `msg` holds the images that were to be classified."""
    trained = TrainFromImagesReturnMsg.model_validate_json(
        storage.load(batch_location(self.task_id, "training.json"))
    )
    failures = failures_of(parts, [str(image.image_loc) for image in msg.images])
    return trained.model_copy(
        update={
            "classified": len(parts) - len(failures),
            "failures": [*trained.failures, *failures],
        }
    )


def _incomplete(msg: TrainFromImagesMsg, parts: list[dict[str, Any]]) -> list[IncompleteImage]:
    """Each image once: it may be there with labels and to be classified."""
    reasons = {
        str(msg.images[part["index"]].image_loc): str(reason)
        for part in in_order(parts)
        if (reason := part.get("answer", {}).get("incomplete"))
    }
    return [IncompleteImage(name=name, reason=reason) for name, reason in reasons.items()]


def _training_message(msg: TrainFromImagesMsg, images: list[BatchImage]) -> TrainClassifierMsg:
    from spacer_tasks.training import SplitMode, divided_labels

    # not checked label by label: the batch's message was
    labels = ImageLabels.model_construct(
        {image.feature_loc: image.annotations for image in images if image.annotations}
    )
    return TrainClassifierMsg(
        job_token=msg.job_token,
        trainer=msg.trainer,
        nbr_epochs=msg.nbr_epochs,
        clf_type=msg.clf_type,
        labels=divided_labels(
            labels,
            accepted_classes=set(msg.accepted_classes) if msg.accepted_classes else None,
            split_ratios=msg.split_ratios,
            split_mode=SplitMode(msg.split_mode),
            # the training drops what it cannot learn, and says so
            keep_rare=True,
        ),
        previous_model_locs=msg.previous_model_locs,
        model_loc=msg.model_loc,
        valresult_loc=msg.valresult_loc,
    )


def _listed(failures: list[BatchFailure]) -> str:
    listed = [f"{failure.name}: {failure.message}" for failure in failures[:LISTED_FAILURES]]
    if len(failures) > LISTED_FAILURES:
        listed.append(f"and {len(failures) - LISTED_FAILURES} more")
    return "; ".join(listed)


# --- train many ------------------------------------------------------------------------------


@app.task(
    base=BatchTask,
    bind=True,
    shared=False,
    name="spacer_tasks.train_many",
    message_class=TrainManyMsg,
)
def train_many(self: BatchTask, msg: TrainManyMsg) -> None:
    """Train several classifiers side by side and publish the best."""
    replace_by_chord(self, train_candidate, msg.trainings, compare, msg)


@app.task(
    base=HeaderTask,
    bind=True,
    shared=False,
    name="spacer_tasks.batch.train_candidate",
    message_class=TrainClassifierMsg,
    stage="train",
)
def train_candidate(self: HeaderTask, msg: TrainClassifierMsg) -> TrainedMsg:
    """One training of several."""
    training = _train(self, msg)
    return TrainedMsg(acc=training.acc, runtime=training.runtime)


@app.task(
    base=BodyTask,
    bind=True,
    shared=False,
    name="spacer_tasks.batch.compare",
    message_class=TrainManyMsg,
    reads_what_the_batch_wrote=True,
)
def compare(self: BodyTask, msg: TrainManyMsg, parts: list[dict[str, Any]]) -> TrainManyReturnMsg:
    """Pick the candidate with the best validation accuracy and publish it with a summary."""
    failures = failures_of(parts, [str(training.job_token) for training in msg.trainings])
    if len(failures) == len(parts):
        raise TooManyFailuresError(f"none of {len(parts)} trainings succeeded: {_listed(failures)}")
    candidates = [
        Candidate(
            job_token=training.job_token,
            model_loc=training.model_loc,
            valresult_loc=training.valresult_loc,
            **part["answer"],
        )
        for training, part in zip(msg.trainings, in_order(parts), strict=True)
        if "answer" in part
    ]
    # sorted() keeps the order of equal ones
    candidates = sorted(candidates, key=lambda candidate: -candidate.acc)
    answer = TrainManyReturnMsg(
        best=candidates[0],
        publish_loc=msg.publish_loc,
        candidates=candidates,
        failures=failures,
    )
    storage.store(msg.publish_loc, storage.load(candidates[0].model_loc))
    storage.store(msg.summary_loc, answer.model_dump_json(indent=1).encode())
    return answer


def _train(
    task: MessageTask, msg: TrainClassifierMsg, *, preprocessed: bool = False
) -> TrainClassifierReturnMsg:
    from spacer_tasks import operations

    return operations.train_classifier(
        msg,
        lambda progress: task.report_progress(**progress.shown()),
        task.checkpoints().part(0),
        preprocessed=preprocessed,
    )
