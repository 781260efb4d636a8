"""Trained classifiers: what they are, their file, and reading and writing it."""

from __future__ import annotations

from spacer_tasks.classifiers.loading import load_classifier, store_classifier
from spacer_tasks.classifiers.model import Classifier

__all__ = ["Classifier", "load_classifier", "store_classifier"]
