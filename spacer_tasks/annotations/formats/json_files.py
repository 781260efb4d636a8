"""JSON of annotation tools: coralnet-toolbox's, TagLab's projects, and lists of records.

Sources: coralnet_toolbox/IO in github.com/Jordan-Pierce/CoralNet-Toolbox (its own files, and how
it writes TagLab's and reads Squidle+'s).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from spacer_tasks.annotations.formats.tables import Table
from spacer_tasks.exceptions import PointsFileError

HEADER = ["Name", "Row", "Column", "Label", "Verified"]


def json_table(text: str, name: str) -> Table:
    """The points of a file; polygons and rectangles are counted.

    Raises
    ------
    PointsFileError
        It is no JSON, or none with points.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PointsFileError(f"{name}: looks like JSON, but cannot be read: {error}") from error
    records = _records(data)
    if records is not None:
        return _of_records(records)
    rows: list[list[str]] = []
    areas = 0
    kind = "coralnet-toolbox"
    taglab = list(_of_taglab(data))
    if taglab:
        kind = "TagLab project"
        for image, annotations in taglab:
            areas += len(annotations.get("regions") or ())
            for each in annotations.get("points") or ():
                if isinstance(each, dict) and {"X", "Y"} <= each.keys():
                    label = str(each.get("Class") or "")
                    rows.append([image, str(each["Y"]), str(each["X"]), label, ""])
    else:
        for image, each in _of_toolbox(data):
            center = each.get("center_xy")
            if isinstance(center, list) and len(center) == 2:
                x, y = center
                verified = str(each.get("verified", ""))
                rows.append([image, str(y), str(x), _label(each), verified])
            else:
                areas += "label_short_code" in each
    if not rows:
        if isinstance(data, dict) and "categories" in data:
            raise PointsFileError(f"{name}: looks like COCO, which has boxes, not points")
        keys = ", ".join(map(repr, list(data)[:6])) if isinstance(data, dict) else "a list"
        raise PointsFileError(
            f"{name}: JSON without points that are known (it has {keys}"
            f"{f'; {areas} rectangles or polygons' if areas else ''}); expected coralnet-toolbox's"
            " annotations, where each has center_xy, a TagLab project with points, or Squidle+'s"
            " records; export points as CSV"
        )
    table = Table(f"{kind} JSON", HEADER, list(enumerate(rows, 1)), "has", typed=True)
    if areas:
        table.warnings.append(
            f"{name}: {areas} annotations that are no points (rectangles, polygons) left out"
        )
    return table


def _of_toolbox(data: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(data, dict) and isinstance(data.get("annotations"), dict):
        data = data["annotations"]
    files: dict[str, Any] = data if isinstance(data, dict) else {}
    for path, found in files.items():
        some = found if isinstance(found, list) else []
        yield from ((path, each) for each in some if isinstance(each, dict))


def _of_taglab(data: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    images = data.get("images") if isinstance(data, dict) else None
    for image in images if isinstance(images, list) else []:
        if not isinstance(image, dict) or not isinstance(image.get("annotations"), dict):
            continue
        channels = image.get("channels")
        first = channels[0] if isinstance(channels, list) and channels else {}
        path = first.get("filename") if isinstance(first, dict) else None
        yield str(path or image.get("name") or ""), image["annotations"]


def _records(data: Any) -> list[dict[str, Any]] | None:
    """The records of a list, or of one of Squidle+'s answers; None where it is neither."""
    some = data.get("objects") if isinstance(data, dict) else data
    if isinstance(some, list) and some and all(isinstance(each, dict) for each in some):
        return some
    return None


def _of_records(records: list[dict[str, Any]]) -> Table:
    flat = [dict(_flat(each)) for each in records]
    header = list(dict.fromkeys(key for each in flat for key in each))
    rows = [[each.get(key, "") for key in header] for each in flat]
    return Table("JSON records", header, list(enumerate(rows, 1)), "whose records have", typed=True)


def _flat(record: dict[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """The values of a record and of those in it, by names with points between."""
    for key, value in record.items():
        name = f"{above}{key}"
        if isinstance(value, dict):
            yield from _flat(value, f"{name}.")
        elif value is None:
            yield name, ""
        else:
            yield name, value if isinstance(value, str) else json.dumps(value)


def _label(annotation: dict[str, Any]) -> str:
    return str(annotation.get("label_short_code") or annotation.get("label_long_code") or "")
