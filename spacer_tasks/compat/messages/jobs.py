"""Jobs: one or several messages of one task, and their answers."""

from __future__ import annotations

from typing import Any

from spacer_tasks.compat import config
from spacer_tasks.compat.answers import (
    ClassifyReturnMsg,
    ExtractFeaturesReturnMsg,
    TrainClassifierReturnMsg,
)
from spacer_tasks.compat.data_classes.base import DataClass
from spacer_tasks.compat.messages.classify import ClassifyFeaturesMsg, ClassifyImageMsg
from spacer_tasks.compat.messages.extract import ExtractFeaturesMsg
from spacer_tasks.compat.messages.train import TrainClassifierMsg

_MESSAGES: dict[str, tuple[type[DataClass], type[DataClass]]] = {
    "extract_features": (ExtractFeaturesMsg, ExtractFeaturesReturnMsg),
    "train_classifier": (TrainClassifierMsg, TrainClassifierReturnMsg),
    "classify_features": (ClassifyFeaturesMsg, ClassifyReturnMsg),
    "classify_image": (ClassifyImageMsg, ClassifyReturnMsg),
}


class JobMsg(DataClass):
    """A task's name, and its messages."""

    def __init__(self, task_name: str, tasks: list[Any]) -> None:
        assert task_name in config.TASKS
        self.task_name = task_name
        self.tasks = tasks

    @classmethod
    def deserialize(cls, data: Any) -> JobMsg:
        name = data["task_name"]
        assert name in config.TASKS
        return cls(name, [_MESSAGES[name][0].deserialize(task) for task in data["tasks"]])

    def serialize(self) -> dict[str, Any]:
        return {"task_name": self.task_name, "tasks": [task.serialize() for task in self.tasks]}

    @classmethod
    def example(cls) -> JobMsg:
        return cls("classify_image", [ClassifyImageMsg.example()])


class JobReturnMsg(DataClass):
    """What came of a job: an answer to each of its messages, or why not."""

    def __init__(
        self, original_job: JobMsg, ok: bool, results: list[Any] | None, error_message: str | None
    ) -> None:
        self.original_job = original_job
        self.ok = ok
        self.results = results
        self.error_message = error_message

    @classmethod
    def deserialize(cls, data: Any) -> JobReturnMsg:
        job, results = JobMsg.deserialize(data["original_job"]), data["results"]
        if data["ok"]:
            results = [_MESSAGES[job.task_name][1].deserialize(each) for each in results]
        return cls(job, data["ok"], results, data["error_message"])

    def serialize(self) -> dict[str, Any]:
        results = self.results
        if self.ok and results is not None:
            results = [each.serialize() for each in results]
        return {
            "original_job": self.original_job.serialize(),
            "ok": self.ok,
            "results": results,
            "error_message": self.error_message,
        }

    @classmethod
    def example(cls) -> JobReturnMsg:
        return cls(JobMsg.example(), True, [ClassifyReturnMsg.example()], None)
