"""The reference's extractors. None is loaded before it is used; importing them loads no torch."""

from __future__ import annotations

from spacer_tasks.compat.extractors.base import DummyExtractor, FeatureExtractor
from spacer_tasks.compat.extractors.efficientnet import EfficientNetExtractor
from spacer_tasks.compat.extractors.vgg16 import VGG16CaffeExtractor

__all__ = ["DummyExtractor", "EfficientNetExtractor", "FeatureExtractor", "VGG16CaffeExtractor"]
