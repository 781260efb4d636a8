"""Files as the tools of the field export them: tests/fixtures/field."""

from __future__ import annotations

from pathlib import Path

import pytest

from spacer_tasks.annotations.points import PointsFile, ReadOptions
from spacer_tasks.annotations.reading import read_points

FIELD = Path(__file__).parents[2] / "fixtures/field"
#: what each file's first point is
POINT = (12, 30)


def read(*names: str, options: ReadOptions | None = None) -> PointsFile:
    files = {name: (FIELD / name).read_bytes() for name in names}
    return read_points(files, names[0], options or ReadOptions())


@pytest.mark.parametrize(
    ("name", "kind", "image", "label"),
    [
        ("coralnet_2010.csv", "CoralNet CSV", "A.JPG", "Porit"),
        ("coralnet_label_id.csv", "CoralNet CSV", "A.jpg", "66"),
        ("coralnet_label_and_code.csv", "CoralNet CSV", "A.jpg", "Porit"),
        ("coralnet_2024_robot.csv", "CoralNet CSV", "A.jpg", "Porit"),
        ("cpce_raw.csv", "CSV", "C:/pics/A.jpg", "POR"),
        ("A.jpg.txt", "one photo's points (its name from the file's)", "A.jpg", "CCA"),
        ("taglab.csv", "TagLab CSV", "A.jpg", "Porites"),
        ("taglab_spaces.csv", "TagLab CSV", "A.jpg", "Porites"),
        # people give regions and points columns of their own
        ("taglab_own_columns.csv", "TagLab CSV", "A.jpg", "Porites"),
        ("biigle.csv", "BIIGLE CSV", "A.jpg", "Coral"),
        ("reefcloud.csv", "ReefCloud CSV", "A.jpg", "Porites"),
        ("reefcloud_2024.csv", "ReefCloud CSV", "A.jpg", "TA"),
        ("aims_reefscan.csv", "ReefCloud CSV", "data/A.jpg", "Sand"),
        ("coralnet_toolbox.csv", "coralnet-toolbox CSV", "A.jpg", "Por"),
        ("coralnet_toolbox.json", "coralnet-toolbox JSON", "C:/x/A.jpg", "Por"),
        ("viscore.csv", "VISCORE CSV", "A.jpg", "Porites"),
        ("viscore_converted.csv", "CoralNet CSV", "A.jpg", "Halimeda"),
        ("catami.csv", "AIMS/ReefCloud CSV", "A.jpg", "Cnidaria: Corals"),
        ("mermaid.csv", "MERMAID CSV", "A.jpg", "Porites"),
        ("excel.xlsx", "Excel workbook, sheet 'Points'", "A.jpg", "Porites"),
    ],
)
def test_a_tool_s_file_is_known_and_read(name: str, kind: str, image: str, label: str) -> None:
    file = read(name)
    assert file.kind == kind
    assert list(file.images) == [image]
    first = file.images[image][0]
    assert (first.row, first.column, first.label) == (*POINT, label)


@pytest.mark.parametrize(
    ("name", "left_out"),
    [
        ("taglab.csv", "annotations that are no points left out: 1 Region"),
        ("biigle.csv", "annotations that are no points left out: 1 Polygon"),
        ("coralnet_toolbox.csv", "annotations that are no points left out: 1 PolygonAnnotation"),
        ("coralnet_toolbox.json", "1 annotations that are no points (rectangles, polygons)"),
        ("cpce_raw.csv", "1 row of totals left out"),
        ("excel.xlsx", "1 row of totals left out"),
    ],
)
def test_what_is_no_point_is_left_out_and_counted(name: str, left_out: str) -> None:
    assert left_out in " ".join(read(name).warnings)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("coralnet_2024_robot.csv", "'Label code' (of 'Label code' and 'Label ID'"),
        ("biigle.csv", "'label_name' (of 'label_id' and 'label_name'"),
        ("viscore.csv", "rows are from 'Row' (of 'Row' and 'Y';"),
        (
            "taglab_own_columns.csv",
            "labels are from 'TagLab Class name' (of 'TagLab Class name' and 'Label' and 'Class';"
            " --label-column decides)",
        ),
        (
            "taglab_own_columns.csv",
            "columns are from 'TagLab Centroid x' (of 'TagLab Centroid x' and 'x';",
        ),
    ],
)
def test_the_column_that_was_taken_of_several_is_named(name: str, said: str) -> None:
    assert said in " ".join(read(name).warnings)


def test_a_label_column_of_one_s_own_is_read_where_it_is_asked_for() -> None:
    options = ReadOptions(columns={"label": "Label"})
    file = read("taglab_own_columns.csv", options=options)
    assert file.images["A.jpg"][0].label == "nursery"
    assert "labels are from" not in " ".join(file.warnings)


def test_ids_are_taken_where_integers_are_asked_for() -> None:
    file = read("coralnet_2024_robot.csv", options=ReadOptions(integer_labels=True))
    assert file.images["A.jpg"][0].label == 66


def test_the_robot_s_labels_of_an_export_are_counted() -> None:
    file = read("coralnet_2024_robot.csv", options=ReadOptions(labels_needed=True))
    assert "1 of 1 labels have Annotator = robot" in " ".join(file.warnings)


@pytest.mark.parametrize(("name", "label"), [("squidle.csv", "Sand"), ("squidle_2023.csv", "Kelp")])
def test_squidle_gives_fractions_and_labels_by_name(name: str, label: str) -> None:
    file = read(name)
    assert file.kind == "Squidle+ CSV"
    assert (file.images["A"][0].share, file.images["A"][0].label) == ((0.5, 0.25), label)


def test_a_header_of_cpce_3_6_is_read_with_its_own_size_and_a_path_with_a_comma() -> None:
    file = read("cpce36_header.cpc")
    ((name, points),) = file.images.items()
    assert name == "E:/Transects, June/48 meters/A.jpg"
    assert file.shapes == {name: (45600, 28680)}
    assert [point.label for point in points] == ["SPO", "S"]
    assert points[1].share == pytest.approx((10249 / 28680, 45483 / 45600))


@pytest.mark.parametrize("name", ["cpce_15_a_pixel.cpc", "cpce_unquoted.CPC"])
def test_cpce_s_positions_are_shares_of_its_own_size(name: str) -> None:
    file = read(name)
    assert file.kind == "CPCe .cpc"
    (points,) = file.images.values()
    assert points[0].share == pytest.approx((180 / 6750, 450 / 9000))
    assert points[0].label == "POR"


def test_a_folder_of_files_is_one_sheet() -> None:
    file = read("A.jpg.txt", "coralnet_2010.csv")
    assert list(file.images) == ["A.jpg", "A.JPG"]
    assert file.kind.startswith("2 files: one photo's points")


def test_a_cpc_file_that_is_cut_short_says_so() -> None:
    data = (FIELD / "cpce_15_a_pixel.cpc").read_bytes()
    with pytest.raises(Exception, match="a CPCe file that is cut short: it says 2 points"):
        read_points({"B.cpc": data[:100]}, "B.cpc", ReadOptions())
