"""`spacer-tasks cover`, on what classify writes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from openpyxl import load_workbook

from tests.support.command_line import run
from tests.support.survey import read_predictions

LABELS = ["coral", "sand"]


@pytest.fixture(autouse=True)
def predictions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four photos in two folders, ten points each; 4, 5, 6 and 7 of them coral."""
    monkeypatch.chdir(tmp_path)
    with (tmp_path / "predictions.csv").open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["image", "row", "column", "label", "probability", "label_2"])
        for i, name in enumerate(["n/1.jpg", "n/2.jpg", "s/1.jpg", "s/2.jpg"]):
            for k in range(10):
                label = LABELS[k >= 4 + i]
                rows.writerow([name, k, 5, label, 0.9, LABELS[k < 4 + i]])
    results = {
        "scores": [0.9] * 80,
        "gt": [0] * 40 + [1] * 40,
        "est": [0] * 32 + [1] * 8 + [1] * 40,
        "classes": LABELS,
    }
    (tmp_path / "reef.valresult.json").write_text(json.dumps(results))
    return tmp_path / "predictions.csv"


def rows(**wanted: str) -> list[dict[str, str]]:
    return [
        row
        for row in read_predictions(Path("cover.csv"))
        if all(row[key] == value for key, value in wanted.items())
    ]


def test_cover_of_the_survey_with_workbook_and_page() -> None:
    more = ["--valresult", "reef.valresult.json", "--xlsx", "c.xlsx", "--report", "c.html"]
    ran = run("cover", "predictions.csv", "-o", "cover.csv", *more)
    assert ran.code == 0, ran.err
    (coral,) = rows(name="coral")
    assert (coral["unit"], coral["photos"], coral["hits"]) == ("all photos", "4", "22")
    assert float(coral["photos_mean"]) == 55
    # 32 of 40 corals are called so, and no sand is
    assert float(coral["corrected_photos_mean"]) == pytest.approx(55 / 0.8, abs=0.01)
    assert "68.8%" in ran.out
    assert "mean of 4 photos with 40 points" in ran.out
    assert load_workbook("c.xlsx")["cover"].max_row == 3
    assert "Solow" in Path("c.html").read_text()


@pytest.mark.parametrize(
    ("by", "units"),
    [
        ("image", ["n/1.jpg", "n/2.jpg", "s/1.jpg", "s/2.jpg"]),
        ("folder", ["n", "s"]),
        ("site=sites.csv", ["North", "not in sites.csv"]),
        ("label_2", None),
    ],
)
def test_cover_of_units(by: str, units: list[str] | None) -> None:
    Path("sites.csv").write_text("Site;Photo\nNorth;n\\1.jpg\nNorth;n/2.jpg\nNorth;./s/1.jpg\n")
    ran = run("cover", "predictions.csv", "-o", "cover.csv", "--by", by)
    if units is None:
        # a column that says several things of one photo
        assert ran.code == 2
        assert "image 'n/1.jpg' has label_2 'coral', and 'sand' in a line before" in ran.err
        return
    assert ran.code == 0, ran.err
    assert list(dict.fromkeys(row["unit"] for row in rows())) == ["all photos", *units]
    if "=" in by:
        assert "warning: 1 photo not in sites.csv" in ran.err
        assert "s/2.jpg" in ran.err


def test_groups_and_new_names_name_what_they_do_not_know() -> None:
    Path("map.csv").write_text("old,new\ncoral,Acropora\nrubble,sand\n")
    Path("groups.csv").write_text("label,group\nAcropora,hard coral\n")
    more = ["--map", "map.csv", "--groups", "groups.csv", "--valresult", "reef.valresult.json"]
    ran = run("cover", "predictions.csv", "-o", "cover.csv", *more)
    assert ran.code == 0, ran.err
    assert "warning: map.csv: 1 label not in it kept as named: sand" in ran.err
    assert "warning: map.csv: no point has rubble" in ran.err
    assert "warning: groups.csv: 1 label not in it each its own group: sand" in ran.err
    assert [row["name"] for row in rows(kind="group")] == ["hard coral", "sand"]
    (acropora,) = rows(kind="label", name="Acropora")
    assert float(acropora["corrected_photos_mean"]) == pytest.approx(55 / 0.8, abs=0.01)


def test_points_without_a_label_are_counted(predictions: Path) -> None:
    with predictions.open("a") as stream:
        stream.write("n/1.jpg,99,5,,,\nnew.jpg,1,1,,,\n")
    ran = run("cover", "predictions.csv", "-o", "cover.csv")
    assert ran.code == 0
    assert "warning: 2 points without a label left out of the cover" in ran.err
    assert "warning: 1 photo without a labelled point left out: new.jpg" in ran.err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--by", "site=none.csv"], "none.csv"),
        (["--by", "site="], "is not NAME=FILE"),
        (["--by", "transect"], "predictions.csv: no column for transect: expected 'transect'"),
        (["--by", "site=others.csv"], "others.csv: none of the photos of predictions.csv is in it"),
        (["--valresult", "predictions.csv"], "not the validation results that train writes"),
        (["--valresult", "others.json"], "no validation point has a label of the survey"),
        (["--bootstrap", "3"], "Invalid value for '--bootstrap'"),
    ],
)
def test_what_cannot_be_is_one_error(arguments: list[str], text: str) -> None:
    Path("others.csv").write_text("image,site\nx.jpg,a\n")
    others = {"scores": [0.9], "gt": [0], "est": [0], "classes": ["moon"]}
    Path("others.json").write_text(json.dumps(others))
    ran = run("cover", "predictions.csv", "-o", "cover.csv", *arguments)
    assert ran.code == 2
    assert text in " ".join(ran.err.replace("│", "").split())
    assert not Path("cover.csv").exists()
