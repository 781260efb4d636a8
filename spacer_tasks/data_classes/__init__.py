"""What messages and files are made of: locations, labels, validation results, feature vectors.

Feature vectors need numpy: `spacer_tasks.data_classes.features` is imported by its own name.
"""

from __future__ import annotations

from spacer_tasks.data_classes.labels import Annotation, ImageLabels, LabelId, Point
from spacer_tasks.data_classes.locations import DataLocation, StorageType
from spacer_tasks.data_classes.val_results import ValResults

__all__ = [
    "Annotation",
    "DataLocation",
    "ImageLabels",
    "LabelId",
    "Point",
    "StorageType",
    "ValResults",
]
