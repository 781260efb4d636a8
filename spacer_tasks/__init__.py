"""Extract features from survey photos, train classifiers, classify: as tasks on a queue.

The public names are importable from here: `from spacer_tasks import extract_features`. Each is
imported at its first use, because a web process that only sends tasks must not load what computes;
`import spacer_tasks` alone loads nothing. `extract_features` and its like are the tasks; the same
operations as plain functions, without a queue, are in `spacer_tasks.operations`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from spacer_tasks.version import __version__

if TYPE_CHECKING:
    from spacer_tasks.broker.contract import Priority
    from spacer_tasks.broker.queue_depths import QueueDepth, queue_depths
    from spacer_tasks.classifiers import Classifier, load_classifier
    from spacer_tasks.data_classes import (
        Annotation,
        DataLocation,
        ImageLabels,
        LabelId,
        Point,
        ValResults,
    )
    from spacer_tasks.data_classes.features import ImageFeatures
    from spacer_tasks.exceptions import InputError, SpacerError, TransientError
    from spacer_tasks.execution.cancellation import cancel
    from spacer_tasks.jobs.status import TaskState
    from spacer_tasks.jobs.waiting import wait
    from spacer_tasks.messages import (
        BatchFailure,
        BatchImage,
        Candidate,
        ClassifyFeaturesMsg,
        ClassifyImageMsg,
        ClassifyReturnMsg,
        ExtractFeaturesMsg,
        ExtractFeaturesReturnMsg,
        ExtractorSpec,
        JobMsg,
        JobReturnMsg,
        TrainClassifierMsg,
        TrainClassifierReturnMsg,
        TrainerSpec,
        TrainFromImagesMsg,
        TrainFromImagesReturnMsg,
        TrainingTaskLabels,
        TrainManyMsg,
        TrainManyReturnMsg,
    )
    from spacer_tasks.operations import (
        check_extract_inputs,
        classify_many,
        evaluate_classifier,
        features_are_current,
    )
    from spacer_tasks.results import StoredAnswer, TaskError, find_answer, load_answer
    from spacer_tasks.tasks import (
        classify_features,
        classify_image,
        extract_features,
        process_job,
        train_classifier,
    )
    from spacer_tasks.training import SplitMode, preprocess_labels
    from spacer_tasks.workflows import train_from_images, train_many

__all__ = [
    "Annotation",
    "BatchFailure",
    "BatchImage",
    "Candidate",
    "Classifier",
    "ClassifyFeaturesMsg",
    "ClassifyImageMsg",
    "ClassifyReturnMsg",
    "DataLocation",
    "ExtractFeaturesMsg",
    "ExtractFeaturesReturnMsg",
    "ExtractorSpec",
    "ImageFeatures",
    "ImageLabels",
    "InputError",
    "JobMsg",
    "JobReturnMsg",
    "LabelId",
    "Point",
    "Priority",
    "QueueDepth",
    "SpacerError",
    "SplitMode",
    "StoredAnswer",
    "TaskError",
    "TaskState",
    "TrainClassifierMsg",
    "TrainClassifierReturnMsg",
    "TrainFromImagesMsg",
    "TrainFromImagesReturnMsg",
    "TrainManyMsg",
    "TrainManyReturnMsg",
    "TrainerSpec",
    "TrainingTaskLabels",
    "TransientError",
    "ValResults",
    "__version__",
    "cancel",
    "check_extract_inputs",
    "classify_features",
    "classify_image",
    "classify_many",
    "evaluate_classifier",
    "extract_features",
    "features_are_current",
    "find_answer",
    "load_answer",
    "load_classifier",
    "preprocess_labels",
    "process_job",
    "queue_depths",
    "train_classifier",
    "train_from_images",
    "train_many",
    "wait",
]

#: where each name is, for the interpreter; the imports above say the same to type checkers
_MODULES = {
    "broker.contract": ["Priority"],
    "broker.queue_depths": ["QueueDepth", "queue_depths"],
    "classifiers": ["Classifier", "load_classifier"],
    "data_classes": ["Annotation", "DataLocation", "ImageLabels", "LabelId", "Point", "ValResults"],
    "data_classes.features": ["ImageFeatures"],
    "exceptions": ["InputError", "SpacerError", "TransientError"],
    "execution.cancellation": ["cancel"],
    "jobs.status": ["TaskState"],
    "jobs.waiting": ["wait"],
    "messages": [
        "BatchFailure",
        "BatchImage",
        "Candidate",
        "ClassifyFeaturesMsg",
        "ClassifyImageMsg",
        "ClassifyReturnMsg",
        "ExtractFeaturesMsg",
        "ExtractFeaturesReturnMsg",
        "ExtractorSpec",
        "JobMsg",
        "JobReturnMsg",
        "TrainClassifierMsg",
        "TrainClassifierReturnMsg",
        "TrainFromImagesMsg",
        "TrainFromImagesReturnMsg",
        "TrainManyMsg",
        "TrainManyReturnMsg",
        "TrainerSpec",
        "TrainingTaskLabels",
    ],
    "operations": [
        "check_extract_inputs",
        "classify_many",
        "evaluate_classifier",
        "features_are_current",
    ],
    "results": ["StoredAnswer", "TaskError", "find_answer", "load_answer"],
    "tasks": [
        "classify_features",
        "classify_image",
        "extract_features",
        "process_job",
        "train_classifier",
    ],
    "training": ["SplitMode", "preprocess_labels"],
    "workflows": ["train_from_images", "train_many"],
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = import_module(f"{__name__}.{_HOMES[name]}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == __name__:
            raise
        raise ModuleNotFoundError(
            f"{__name__}.{name} computes, which needs {error.name!r}: install spacer-tasks with"
            " its extra [worker]",
            name=error.name,
        ) from error
    # found at once from now on
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
