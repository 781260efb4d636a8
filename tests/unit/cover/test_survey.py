"""A survey's units, its tables and its workbook."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import pytest
from openpyxl import load_workbook

from spacer_tasks.cover.survey import WHOLE, SurveyCover, survey_cover
from spacer_tasks.cover.tables import COLUMNS, cover_rows, wide_rows
from spacer_tasks.cover.workbook import cover_workbook
from spacer_tasks.data_classes.val_results import ValResults
from spacer_tasks.exceptions import InputError

PHOTOS = {
    "n/1": ["coral"] * 5 + ["sand"] * 5,
    "n/2": ["coral"] * 3 + ["sand"] * 7,
    "s/1": ["=algae"] * 10,
    "s/2": [],
}
SITES = {"n/1": "north", "n/2": "north", "s/1": "south", "s/2": "south"}
RESULTS = ValResults(
    scores=[0.9] * 80,
    gt=[0] * 40 + [1] * 40,
    est=[0] * 30 + [1] * 10 + [1] * 40,
    classes=["coral", "sand"],
)


@pytest.fixture(scope="module")
def cover() -> SurveyCover:
    return survey_cover(PHOTOS, "site", SITES, {"coral": "biota", "=algae": "biota"}, RESULTS)


def test_the_whole_survey_comes_first_then_its_units(cover: SurveyCover) -> None:
    assert [(unit.by, unit.name, unit.photos, unit.points) for unit in cover.units] == [
        ("survey", WHOLE, 3, 30),
        ("site", "north", 2, 20),
        ("site", "south", 1, 10),
    ]
    assert {each.name: each.hits for each in cover.whole.groups} == {"biota": 18, "sand": 12}
    assert {each.name: each.hits for each in cover.whole.labels} == {
        "=algae": 10,
        "coral": 8,
        "sand": 12,
    }


def test_the_correction_gives_back_what_the_classifier_took_for_sand(cover: SurveyCover) -> None:
    north = cover.units[1]
    coral = next(each for each in north.labels if each.name == "coral")
    assert coral.of_photos.value == pytest.approx(0.4)
    assert coral.corrected_of_photos is not None
    assert coral.corrected_of_photos.value == pytest.approx(0.4 / 0.75)


def test_what_the_numbers_rest_on_is_said(cover: SurveyCover) -> None:
    assert any("does not show how the classifier errs on =algae" in w for w in cover.warnings)
    assert any(w.startswith("south: one photo only") for w in cover.warnings)


def test_a_unit_s_intervals_do_not_depend_on_other_units(cover: SurveyCover) -> None:
    fewer = {name: PHOTOS[name] for name in ("n/1", "n/2")}
    alone = survey_cover({**fewer, "s/1": PHOTOS["s/1"]}, "site", SITES, results=RESULTS)
    assert alone.units[1].labels == cover.units[1].labels


def test_a_seed_gives_the_same_intervals_and_another_others() -> None:
    first, again, other = (survey_cover(PHOTOS, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert replace(other, seed=1) != first


def test_a_survey_without_a_labelled_point_is_refused() -> None:
    with pytest.raises(InputError, match="no photo has a labelled point"):
        survey_cover({"a": []})


def test_the_table_has_each_label_and_group_of_each_unit_in_percent(cover: SurveyCover) -> None:
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in cover_rows(cover)]
    assert len(rows) == 3 * (3 + 2)
    (row,) = (
        row for row in rows if (row["unit"], row["kind"], row["name"]) == ("north", "label", "sand")
    )
    assert (row["photos"], row["points"], row["hits"]) == (2, 20, 12)
    assert row["photos_mean"] == row["points_mean"] == 60
    assert row["corrected_photos_mean"] == pytest.approx(100 * (1 - 0.4 / 0.75), abs=0.001)
    header, whole, *_ = wide_rows(cover)
    assert header == ["by", "unit", "photos", "points", "biota", "sand"]
    assert sum(float(value or 0) for value in whole[4:]) == pytest.approx(100, abs=0.01)


def test_the_workbook_holds_the_same_and_no_formula(cover: SurveyCover) -> None:
    book = load_workbook(BytesIO(cover_workbook(cover, {"labels": "a.csv"})))
    assert book.sheetnames == ["cover", "units", "method"]
    cells = list(book["cover"].iter_rows(values_only=True))
    assert list(cells[0]) == list(COLUMNS)
    assert [list(row) for row in cells[1:]] == list(cover_rows(cover))
    assert {cell.data_type for row in book["cover"].iter_rows() for cell in row} <= {"s", "n"}
    about = dict(row[:2] for row in book["method"].iter_rows(values_only=True))
    assert about["labels"] == "a.csv"
    assert "warning" in about
