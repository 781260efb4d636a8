"""Numpy's numbers, texts and arrays as Python's own, which JSON has.

Callers take rows, columns and labels from arrays and tables. A message keeps none of numpy's types:
they have no JSON, and a label of numpy's is no label of the message's type.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any


def plain(value: Any) -> Any:
    """`value` without numpy's types; the same object where there are none in it."""
    # who has not imported numpy has nothing of it
    if "numpy" not in sys.modules:
        return value
    try:
        return _plain(value)
    except RecursionError:
        # nested deeper than any message; what checks it says so
        return value


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind is int or kind is str or kind is float or value is None or kind is bool:
        return value
    if kind.__module__ == "numpy" and hasattr(value, "tolist"):
        # of an array of objects, the elements are still as they were
        return _plain(value.tolist()) if getattr(value, "shape", ()) else value.tolist()
    if isinstance(value, Mapping):
        pairs = [(_plain(key), _plain(each)) for key, each in value.items()]
        same = all(
            key is old and each is value[old] for (key, each), old in zip(pairs, value, strict=True)
        )
        return value if same else dict(pairs)
    if isinstance(value, (list, tuple)):
        return _sequence(value)
    return value


def _sequence(value: list[Any] | tuple[Any, ...]) -> Any:
    for position, each in enumerate(value):
        if _plain(each) is not each:
            # a list for a tuple too, as JSON has it
            return [*value[:position], *map(_plain, value[position:])]
    return value
