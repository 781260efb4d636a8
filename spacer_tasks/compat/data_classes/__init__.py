"""The reference's data classes. Features, which need numpy, are imported at their first use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spacer_tasks.compat.data_classes.annotations import (
    Annotation,
    FeatureLabelBatch,
    FeatureLabelPair,
    LabelId,
)
from spacer_tasks.compat.data_classes.base import DataClass
from spacer_tasks.compat.data_classes.labels import ImageLabels
from spacer_tasks.compat.data_classes.locations import DataLocation
from spacer_tasks.compat.data_classes.val_results import ValResults

if TYPE_CHECKING:
    from spacer_tasks.compat.data_classes.features import ImageFeatures, PointFeatures

__all__ = [
    "Annotation",
    "DataClass",
    "DataLocation",
    "FeatureLabelBatch",
    "FeatureLabelPair",
    "ImageFeatures",
    "ImageLabels",
    "LabelId",
    "PointFeatures",
    "ValResults",
]


def __getattr__(name: str) -> Any:
    if name not in ("ImageFeatures", "PointFeatures"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from spacer_tasks.compat.data_classes import features

    return getattr(features, name)
