"""JSON of TagLab, Squidle+ and others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from spacer_tasks.annotations.points import PointsFile, ReadOptions
from spacer_tasks.annotations.reading import read_points
from spacer_tasks.exceptions import PointsFileError


def read(data: Any) -> PointsFile:
    return read_points({"s.json": json.dumps(data).encode()}, "s.json", ReadOptions())


def test_a_taglab_project_gives_its_points_and_counts_its_regions() -> None:
    image = {
        "name": "A",
        "channels": [{"filename": "C:/x/A.jpg", "type": "RGB"}],
        "annotations": {
            "regions": [{"centroid": [1, 2], "class name": "x"}],
            "points": [
                {"X": 30.5, "Y": 12.2, "Class": "Porites", "Id": 1},
                {"X": 31, "Y": 13, "Class": "Empty", "Id": 2},
            ],
        },
    }
    file = read({"filename": "p.json", "labels": {}, "images": [image]})
    assert file.kind == "TagLab project JSON"
    points = [(point.row, point.column, point.label) for point in file.images["C:/x/A.jpg"]]
    assert points == [(12, 30, "Porites"), (13, 31, None)]
    assert "1 annotations that are no points" in " ".join(file.warnings)
    assert "read as no label: 'Empty' (1)" in " ".join(file.warnings)


@pytest.mark.parametrize(
    "data",
    [
        [{"point.x": 0.25, "point.y": 0.5, "point.media.key": "A", "label.name": "Sand"}],
        {
            "objects": [
                {"point": {"x": 0.25, "y": 0.5, "media": {"key": "A"}}, "label.name": "Sand"}
            ]
        },
    ],
)
def test_squidle_s_records_are_fractions(data: Any) -> None:
    file = read(data)
    assert file.kind == "Squidle+ JSON records"
    assert [(point.share, point.label) for point in file.images["A"]] == [((0.5, 0.25), "Sand")]


def test_squidle_s_polygons_are_left_out_and_counted() -> None:
    point = {"point.x": 0.25, "point.y": 0.5, "point.media.key": "A", "label.name": "Sand"}
    area = point | {"point.polygon": [[0, 0], [0.1, 0.1], [0, 0.2]]}
    file = read([point, area | {"point.x": 0.5}])
    assert len(file.images["A"]) == 1
    assert "annotations that are no points left out: 1 polygon" in " ".join(file.warnings)


def test_coco_says_that_it_has_boxes() -> None:
    with pytest.raises(PointsFileError, match="looks like COCO, which has boxes, not points"):
        read({"images": [{"id": 1}], "annotations": [{"bbox": [1, 2, 3, 4]}], "categories": []})
