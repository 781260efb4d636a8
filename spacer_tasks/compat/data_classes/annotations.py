"""Labelled points, as the reference's types name them."""

from __future__ import annotations

from typing import Any, TypeAlias

# Python's own union, as callers ask whether something is one
LabelId: TypeAlias = int | str
#: (row, column, label)
Annotation: TypeAlias = tuple[int, int, LabelId]
#: a feature vector and the label of its point
FeatureLabelPair: TypeAlias = tuple[Any, LabelId]
#: vectors, and as many labels
FeatureLabelBatch: TypeAlias = tuple[list[Any], list[LabelId]]
