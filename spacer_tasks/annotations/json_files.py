"""JSON of coralnet-toolbox (annotations, or a project with them)."""

from __future__ import annotations

import json
from typing import Any

from spacer_tasks.annotations.tables import Table
from spacer_tasks.exceptions import PointsFileError

HEADER = ["Name", "Row", "Column", "Label"]


def json_table(text: str, name: str) -> Table:
    """The patch annotations of a coralnet-toolbox file; polygons and rectangles are counted.

    Raises
    ------
    PointsFileError
        It is no JSON, or none with points.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PointsFileError(f"{name}: looks like JSON, but cannot be read: {error}") from error
    if isinstance(data, dict) and isinstance(data.get("annotations"), dict):
        data = data["annotations"]
    rows: list[tuple[int, list[str]]] = []
    areas = 0
    if isinstance(data, dict):
        for path, annotations in data.items():
            for each in annotations if isinstance(annotations, list) else []:
                if not isinstance(each, dict):
                    continue
                center = each.get("center_xy")
                if isinstance(center, list) and len(center) == 2:
                    x, y = center
                    rows.append((len(rows) + 1, [path, str(y), str(x), _label(each)]))
                else:
                    areas += "label_short_code" in each
    if not rows:
        keys = ", ".join(map(repr, list(data)[:6])) if isinstance(data, dict) else "a list"
        raise PointsFileError(
            f"{name}: JSON without points that are known (it has {keys}); expected"
            " coralnet-toolbox's annotations, where each has center_xy; export points as CSV"
        )
    table = Table("coralnet-toolbox JSON", HEADER, rows, "has", typed=True)
    if areas:
        table.warnings.append(
            f"{name}: {areas} annotations that are no points (rectangles, polygons) left out"
        )
    return table


def _label(annotation: dict[str, Any]) -> str:
    return str(annotation.get("label_short_code") or annotation.get("label_long_code") or "")
