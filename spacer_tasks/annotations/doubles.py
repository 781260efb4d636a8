"""Points that a file lists several times, and labels that are written in two ways."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from spacer_tasks.annotations.column_names import folded
from spacer_tasks.annotations.points import Duplicates, FilePoint
from spacer_tasks.annotations.problems import shown_value
from spacer_tasks.data_classes.labels import LabelId

Key = tuple[str, float, float]
#: before a number, which spreadsheets drop
ZEROS = re.compile(r"^0+(?=[0-9])")


class Doubles:
    """Notes which points come again, and settles the label of each."""

    def __init__(self) -> None:
        #: points that were listed again with the same label, or none
        self.repeated = 0
        #: what was done with each point that has several labels
        self.unclear: list[str] = []
        #: those that are to be refused
        self.problems: list[str] = []
        self._seen: dict[Key, FilePoint] = {}
        self._labels: dict[Key, list[LabelId]] = {}
        self._parts: dict[Key, str] = {}
        self._lines: dict[Key, list[tuple[str, int]]] = {}

    def is_new(self, key: Key, point: FilePoint, part: str = "") -> bool:
        """Note a point; whether it was not there before.

        Parameters
        ----------
        part
            Which of several files and sheets it is from; empty where there is one.
        """
        first = self._seen.setdefault(key, point)
        if first is point:
            if part:
                self._parts[key] = part
            return True
        self._labels.setdefault(key, [] if first.label is None else [first.label])
        begun = [(self._parts.get(key, ""), first.line)]
        self._lines.setdefault(key, begun).append((part, point.line))
        if point.label is not None:
            self._labels[key].append(point.label)
        return False

    def settle(self, images: Mapping[str, list[FilePoint]], how: Duplicates) -> None:
        """Give each point that is listed several times the label that it has by the options."""
        changed: dict[FilePoint, FilePoint] = {}
        for key, labels in self._labels.items():
            point = self._seen[key]
            if len(set(labels)) <= 1:
                self.repeated += len(self._lines[key]) - 1
                if labels and point.label is None:
                    changed[point] = replace(point, label=labels[0])
                continue
            image, row, column = key
            lines = _lines(self._lines[key])
            shown = " and ".join(dict.fromkeys(map(shown_value, labels)))
            text = (
                f"{lines}: two labels for one point, {image} row {row:g} column {column:g}: {shown}"
            )
            if how == "error":
                self.problems.append(f"{text}; expected one")
                continue
            taken = label_of(labels, how)
            changed[point] = replace(point, label=taken)
            self.unclear.append(f"{text}: {'no label' if taken is None else repr(taken)} taken")
        if changed:
            for points in images.values():
                points[:] = [changed.get(point, point) for point in points]


def _lines(places: Sequence[tuple[str, int]]) -> str:
    if any(part for part, _ in places):
        return " and ".join(f"{part}, line {line}" for part, line in places)
    return f"lines {' and '.join(str(line) for _, line in places)}"


def label_of(labels: Sequence[LabelId], how: Duplicates) -> LabelId | None:
    """The label of a point that is listed with several; None where they do not decide."""
    if len(set(labels)) == 1 or (labels and how == "first"):
        return labels[0]
    if labels and how == "majority":
        (best, count), *rest = Counter(labels).most_common(2)
        return best if not rest or count > rest[0][1] else None
    return None


def alike(images: Mapping[str, list[FilePoint]]) -> list[str]:
    """Labels that differ only in case, spaces, accents or zeros around a number, with counts."""
    counts = Counter(
        point.label
        for points in images.values()
        for point in points
        if isinstance(point.label, str)
    )
    groups: dict[str, list[str]] = {}
    for label in counts:
        bare = " ".join(folded(label).replace("_", " ").replace("-", " ").split())
        groups.setdefault(ZEROS.sub("", bare.removesuffix(".0")), []).append(label)
    return [
        " and ".join(f"{label!r} ({counts[label]:,})" for label in some)
        for some in groups.values()
        if len(some) > 1
    ]
