"""What is odd about a sheet, told by the commands, and the options that mend it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spacer_tasks.data_classes.features import ImageFeatures
from tests.support.command_line import Ran, run
from tests.support.survey import DUMMY, LABELS, read_predictions, write_photos, write_points

HEADER = "Name,Row,Column,Label\n"


@pytest.fixture(autouse=True)
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Twelve photos of 64 x 48 pixels."""
    monkeypatch.chdir(tmp_path)
    return write_photos(Path("photos"), 12)


def extract(*more: str) -> Ran:
    return run("extract", "photos", "--points", "s.csv", "--features", "features", *DUMMY, *more)


def train(*more: str) -> Ran:
    where = ("--features", "features", "--classifier", "reef.safetensors", "--epochs", "1")
    return run("train", "--points", "s.csv", *where, *more)


def places(name: str) -> list[tuple[int, int]]:
    data = Path("features", f"{name}.npz").read_bytes()
    return ImageFeatures.from_bytes(data, name).rowcols()


def test_labels_that_are_not_learned_are_told_wherever_the_accuracy_is(photos: list[str]) -> None:
    rows = [f"{name},{10 + n},{n},{LABELS[n % 3]}\n" for name in photos for n in range(9)]
    rows += [f"0.png,{row},1,sponge\n" for row in range(3)]
    Path("s.csv").write_text(HEADER + "".join(rows))
    assert extract().code == 0
    # the reference's rule, by photos: a label of one photo is in one set
    ran = train("--split-mode", "vectors", "--report", "r.html")
    assert ran.code == 0, ran.err
    said = "1 label with 3 points was not learned: sponge (3: none in"
    assert f"warning: {said}" in ran.err
    assert "The accuracy speaks of the labels of 97.3% of the labelled points" in ran.err
    assert "What to do: a label needs points in both the train and the ref set" in ran.err
    assert said in Path("r.html").read_text(encoding="utf-8")
    metrics = json.loads(Path("reef.valresult.metrics.json").read_text())
    assert metrics["left_out"]["point_count"] == 3
    assert [each["label"] for each in metrics["left_out"]["labels"]] == ["sponge"]
    # the default loses no label of three points
    ran = train()
    assert "not learned" not in ran.err
    assert "sponge" in ran.out
    metrics = json.loads(Path("reef.valresult.metrics.json").read_text())
    assert metrics["left_out"] is None


def test_swapped_axes_are_asked_about_and_mended() -> None:
    Path("s.csv").write_text(HEADER + "0.png,60,10,a\n0.png,20,30,a\n")
    assert "are rows and columns swapped? Then give --swap" in extract().err
    assert places("0.png") == [(20, 30)]
    assert "outside" not in extract("--swap").err
    assert places("0.png") == [(10, 60), (30, 20)]


def test_counting_from_one_is_asked_about_and_mended() -> None:
    Path("s.csv").write_text(HEADER + "0.png,48,64,a\n0.png,1,1,a\n")
    assert "do rows and columns count from 1? Then give --one-based" in extract().err
    assert "outside" not in extract("--one-based").err
    assert places("0.png") == [(47, 63), (0, 0)]


def test_a_point_outside_costs_itself_or_its_photo_as_asked() -> None:
    Path("s.csv").write_text(HEADER + "0.png,10,10,a\n0.png,900,10,a\n1.png,10,10,a\n")
    ran = extract()
    assert (ran.code, places("0.png")) == (0, [(10, 10)])
    assert "1 point outside 1 photo left out; --outside refuse leaves out the photos" in ran.err
    ran = extract("--outside", "refuse", "--features", "others")
    assert ran.code == 1
    assert "  0.png: 1 point outside, first line 3: row 900 column 10" in ran.err
    assert [path.name for path in Path("others").iterdir()] == ["1.png.npz"]


def test_points_of_turned_photos_are_asked_about_and_found(photos: list[str]) -> None:
    write_points(Path("s.csv"), photos)
    assert extract().code == 0
    assert train("--split-mode", "points").code == 0
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("photos/t.png", exif=exif)
    # a viewer shows 48 x 64
    Path("s.csv").write_text(HEADER + "t.png,60,10,\nt.png,20,30,\n")
    said = extract().err
    assert "its EXIF (orientation 6) turns it" in said
    assert "the EXIF of 1 photo turns what viewers show (t.png)" in said
    assert "outside" not in extract("--apply-exif").err
    assert places("t.png") == [(37, 60), (17, 20)]
    more = ("--points", "s.csv", "--apply-exif", *DUMMY, "-o", "p.csv")
    assert run("classify", "photos", "--classifier", "reef.safetensors", *more).code == 0
    found = [(row["row"], row["column"]) for row in read_predictions(Path("p.csv"))]
    assert found == [("60", "10"), ("20", "30")]


def test_a_point_that_is_listed_twice_is_extracted_once_and_learned_as_asked(
    photos: list[str],
) -> None:
    write_points(Path("s.csv"), photos)
    with Path("s.csv").open("a") as sheet:
        sheet.write("0.png,10,10,sand\n")
    ran = extract()
    assert "lines 2 and 110: two labels for one point, 0.png row 10 column 10" in ran.err
    assert len(places("0.png")) == 9
    assert "1 point without a label left out of the training" in train().err
    assert "without a label" not in train("--duplicates", "first").err
    ran = train("--duplicates", "error")
    assert (ran.code, "; expected one" in ran.err) == (2, True)


def test_rows_are_taken_where_they_meet_a_condition() -> None:
    Path("s.csv").write_text(
        "Name,Row,Column,Label,Annotator\n0.png,10,10,a,robot\n1.png,10,10,a,jo\n"
    )
    ran = extract("--where", "Annotator!=robot")
    assert "1 row left out by --where" in ran.err
    assert [path.name for path in Path("features").iterdir()] == ["1.png.npz"]
