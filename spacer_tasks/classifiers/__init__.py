"""Trained classifiers: what they are, their file, and reading and writing it."""

from __future__ import annotations

from spacer_tasks.classifiers.loading import ClassifierFormat, load_classifier, store_classifier
from spacer_tasks.classifiers.model import Classifier

__all__ = ["Classifier", "ClassifierFormat", "load_classifier", "store_classifier"]
