"""The reference's messages, with its constructors, `serialize` and `deserialize`."""

from __future__ import annotations

from spacer_tasks.compat.answers import (
    ClassifyReturnMsg,
    ExtractFeaturesReturnMsg,
    TrainClassifierReturnMsg,
)
from spacer_tasks.compat.data_classes import DataClass, DataLocation, ImageLabels, LabelId
from spacer_tasks.compat.messages.classify import ClassifyFeaturesMsg, ClassifyImageMsg
from spacer_tasks.compat.messages.extract import ExtractFeaturesMsg
from spacer_tasks.compat.messages.jobs import JobMsg, JobReturnMsg
from spacer_tasks.compat.messages.train import TrainClassifierMsg, TrainingTaskLabels

__all__ = [
    "ClassifyFeaturesMsg",
    "ClassifyImageMsg",
    "ClassifyReturnMsg",
    "DataClass",
    "DataLocation",
    "ExtractFeaturesMsg",
    "ExtractFeaturesReturnMsg",
    "ImageLabels",
    "JobMsg",
    "JobReturnMsg",
    "LabelId",
    "TrainClassifierMsg",
    "TrainClassifierReturnMsg",
    "TrainingTaskLabels",
]
