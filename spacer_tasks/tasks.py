"""The tasks: each takes a message and calls one operation.

What computes is imported when a task runs, so that a web process which only sends never loads it.
They are not shared: a site's own application does not get copies that go to its own queue.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from spacer_tasks.app import app
from spacer_tasks.broker.contract import CLASSIFY, FEATURES, FEATURES_HIGH, TRAINING, TRAINING_HIGH
from spacer_tasks.data_classes.plain_values import plain
from spacer_tasks.exceptions import MessageError
from spacer_tasks.execution.payload import unpacked
from spacer_tasks.execution.task import OperationTask
from spacer_tasks.messages.parsing import as_data
from spacer_tasks.messages.tasks import (
    ClassifyFeaturesMsg,
    ClassifyImageMsg,
    ClassifyReturnMsg,
    ExtractFeaturesMsg,
    ExtractFeaturesReturnMsg,
    JobMsg,
    JobReturnMsg,
    Message,
    TrainClassifierMsg,
    TrainClassifierReturnMsg,
)

if TYPE_CHECKING:
    from celery.result import AsyncResult


@app.task(
    base=OperationTask,
    bind=True,
    shared=False,
    name="spacer_tasks.extract_features",
    message_class=ExtractFeaturesMsg,
)
def extract_features(self: OperationTask, msg: ExtractFeaturesMsg) -> ExtractFeaturesReturnMsg:
    """Compute and store the feature vectors of an image at its points."""
    from spacer_tasks import operations

    return operations.extract_features(msg)


@app.task(
    base=OperationTask,
    bind=True,
    shared=False,
    name="spacer_tasks.train_classifier",
    message_class=TrainClassifierMsg,
)
def train_classifier(self: OperationTask, msg: TrainClassifierMsg) -> TrainClassifierReturnMsg:
    """Train, calibrate, evaluate and store a classifier. Its state tells epoch and accuracy."""
    from spacer_tasks import operations

    return operations.train_classifier(
        msg, lambda p: self.report_progress(**p.shown()), self.checkpoints().part(0)
    )


@app.task(
    base=OperationTask,
    bind=True,
    shared=False,
    name="spacer_tasks.classify_features",
    message_class=ClassifyFeaturesMsg,
)
def classify_features(self: OperationTask, msg: ClassifyFeaturesMsg) -> ClassifyReturnMsg:
    """Score all points of a feature file."""
    from spacer_tasks import operations

    return operations.classify_features(msg)


@app.task(
    base=OperationTask,
    bind=True,
    shared=False,
    name="spacer_tasks.classify_image",
    message_class=ClassifyImageMsg,
)
def classify_image(self: OperationTask, msg: ClassifyImageMsg) -> ClassifyReturnMsg:
    """Score points of an image."""
    from spacer_tasks import operations

    return operations.classify_image(msg)


#: where a job goes, by what it does
JOB_QUEUES = {
    "extract_features": FEATURES,
    "classify_image": FEATURES,
    "train_classifier": TRAINING,
    "classify_features": CLASSIFY,
}
#: where it goes if it needs more memory
HIGH_QUEUES = {FEATURES: FEATURES_HIGH, TRAINING: TRAINING_HIGH}


class JobTask(OperationTask):
    """Takes the dict of a reference `JobMsg`, which its answer echoes unchanged."""

    abstract = True
    message_class = JobMsg

    def apply_async(  # type: ignore[override]  # as of MessageTask
        self,
        args: Any = None,
        kwargs: Any = None,
        task_id: str | None = None,
        **options: Any,
    ) -> AsyncResult[Any]:
        """Send the job to the queue of what it does. See `MessageTask.apply_async`."""
        job = (tuple(args or ()) or (dict(kwargs or {}).get("message"),))[0]
        if "queue" not in options and "routing_key" not in options:
            given = getattr(job, "task_name", None)
            name = job.get("task_name") if isinstance(job, Mapping) else given
            # a job sent again by location (a retry) carries its queue in the options
            options["queue"] = JOB_QUEUES.get(str(name), CLASSIFY)
        return super().apply_async(args, kwargs, task_id=task_id, **options)

    def received(self, sent: dict[str, Any]) -> Any:
        """The job's dict as it came in."""
        return unpacked(sent)

    def checked(self, message: Message | Mapping[str, Any]) -> dict[str, Any]:
        """The job's dict as it was given, so that the answer can echo it; its name is checked."""
        given = message.to_wire() if isinstance(message, Message) else plain(as_data(message))
        if not isinstance(given, Mapping):
            raise MessageError(f"JobMsg: a job is an object, found a {type(given).__name__}")
        wire = dict(given)
        if str(wire.get("task_name")) not in JOB_QUEUES:
            raise MessageError(
                f"JobMsg: task_name: expected one of {', '.join(JOB_QUEUES)},"
                f" found {wire.get('task_name')!r}"
            )
        return wire


@app.task(base=JobTask, bind=True, shared=False, name="spacer_tasks.process_job")
def process_job(self: JobTask, job: dict[str, Any]) -> JobReturnMsg:
    """Run a reference job and answer with a reference `JobReturnMsg`."""
    from spacer_tasks import operations

    return operations.process_job(
        job, lambda p: self.report_progress(**p.shown()), self.checkpoints
    )
