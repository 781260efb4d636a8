"""What was measured against one size."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Curve:
    """What was measured against one size.

    Attributes
    ----------
    title, x_label
        What grows.
    x
        Its sizes.
    lines
        Values at these sizes, by what they are.
    y_label
        Their unit.
    """

    title: str
    x_label: str
    y_label: str
    x: tuple[float, ...]
    lines: dict[str, list[float]]
