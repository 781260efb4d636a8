"""`classify --threshold` and `review`: to people, and back."""

from __future__ import annotations

import base64
import csv
import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.command_line import run
from tests.support.files.html_outline import Outline
from tests.support.survey import DUMMY, read_predictions, write_photos, write_points


@pytest.fixture
def survey(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Photos, a classifier and predictions, of which some are left to people."""
    monkeypatch.chdir(tmp_path)
    write_points(tmp_path / "points.csv", write_photos(tmp_path / "photos", 12))
    files = ("--points", "points.csv", "--features", "features")
    assert run("extract", "photos", *files, *DUMMY).code == 0
    to = ("--classifier", "reef.safetensors", "--epochs", "1", "--split-mode", "points")
    assert run("train", *files, *to).code == 0
    return tmp_path


def classify(*more: str) -> str:
    ran = run(
        *("classify", "--classifier", "reef.safetensors", "--features", "features"),
        *("-o", "predictions.csv", *more),
    )
    assert ran.code == 0, ran.err
    return ran.err


def fill_in(answers: list[str]) -> None:
    rows = read_predictions(Path("sheet.csv"))
    for row, answer in zip(rows, answers, strict=False):
        row["Label"] = answer
    with Path("sheet.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_what_the_machine_is_unsure_of_goes_to_people_and_back(survey: Path) -> None:
    classify()
    plain = read_predictions(Path("predictions.csv"))
    threshold = sorted(float(row["probability"]) for row in plain)[20]
    said = classify("--threshold", str(threshold))
    rows = read_predictions(Path("predictions.csv"))
    unsure = [row for row in rows if float(row["probability"]) < threshold]
    assert f"{len(unsure)} points left to people" in said
    assert all((row["label"] == "") == (row["status"] == "review") for row in rows)
    assert [row["status"] == "review" for row in rows] == [row in unsure for row in rows]
    assert [row["machine_label"] for row in rows] == [row["label"] for row in plain]

    more = ["--photos", "photos", "--report", "review.html", "-o", "sheet.csv"]
    ran = run("review", "predictions.csv", *more)
    assert ran.code == 0, ran.err
    sheet = read_predictions(Path("sheet.csv"))
    chances = [float(row["Probability"]) for row in sheet]
    assert chances == sorted(chances)
    assert len(sheet) == len(unsure)
    page = Path("review.html").read_text()
    outline = Outline(page)
    assert outline.open == []
    assert len(re.findall("data:image/jpeg;base64,", page)) == len(unsure)
    assert "script" not in {tag for tag, _ in outline.tags}

    fill_in(["sand", "sandd", "", "coral"])
    ran = run("review", "predictions.csv", "--corrections", "sheet.csv", "-o", "labels.csv")
    assert ran.code == 0, ran.err
    assert "3 answers taken" in ran.err
    assert "'sandd', given 1 time, is a new label; is it 'sand'?" in ran.err
    assert f"{len(unsure) - 3} points still without a label" in ran.err
    done = read_predictions(Path("labels.csv"))
    people = [row for row in done if row["status"] == "person"]
    assert sorted(row["label"] for row in people) == ["coral", "sand", "sandd"]
    assert len(done) == len(rows)
    # what is left is asked again, and cover counts what has a label
    ran = run("review", "labels.csv", "-o", "again.csv")
    assert len(read_predictions(Path("again.csv"))) == len(unsure) - 3
    assert run("cover", "labels.csv", "-o", "cover.csv").code == 0


def test_a_wanted_correctness_gives_the_threshold(survey: Path) -> None:
    classify()
    more = ["--valresult", "reef.valresult.json", "--correct", "0.5", "-o", "sheet.csv"]
    ran = run("review", "predictions.csv", *more)
    assert ran.code == 0, ran.err
    assert re.search(r"machine answers +\d+\.\d% of \d+ validation points \(95 % interval", ran.out)


def test_a_photo_that_is_gone_is_named_and_its_points_stay(survey: Path) -> None:
    classify()
    (survey / "photos/3.png").unlink()
    (survey / "photos/4.png").write_bytes(b"broken")
    more = ["--threshold", "1", "--photos", "photos", "--report", "r.html", "-o", "sheet.csv"]
    ran = run("review", "predictions.csv", *more)
    assert ran.code == 1
    assert "  3.png: its points are on the page without patches: not in photos" in ran.err
    assert "  4.png: not an image that can be read" in ran.err
    assert Path("r.html").read_text().count("no photo") == 18
    assert len(read_predictions(Path("sheet.csv"))) == 108


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "p.csv: written without --threshold"),
        (["--threshold", "2"], "Invalid value for '--threshold'"),
        (["--correct", "0.9"], "--correct and --valresult are given together"),
        (["--threshold", "0.5", "--corrections", "s.csv"], "give one of --threshold, --correct"),
        (["--threshold", "0.5", "--report", "r.html"], "the page shows patches of --photos"),
        (["--corrections", "s.csv"], "s.csv: no row has a label; people write it into Label"),
        (["--correct", "0.9", "--valresult", "p.csv"], "not the validation results that train"),
    ],
)
def test_what_cannot_be_is_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("p.csv").write_text("image,row,column,label,probability\na.jpg,1,1,sand,0.5\n")
    Path("s.csv").write_text("Number,Name,Row,Column,Label\n1,a.jpg,1,1,\n")
    ran = run("review", "p.csv", "-o", "out.csv", *arguments)
    assert ran.code == 2
    assert text in " ".join(ran.err.replace("│", "").split())
    assert not Path("out.csv").exists()


def test_a_machine_that_is_sure_of_all_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("p.csv").write_text("image,row,column,label,probability\na.jpg,1,1,sand,0.5\n")
    ran = run("review", "p.csv", "-o", "out.csv", "--threshold", "0.5")
    assert ran.code == 0
    assert "no point is left to people: out.csv is not written" in ran.err
    assert not Path("out.csv").exists()


def test_neither_predictions_nor_people_s_labels_are_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = "image,row,column,label,probability\na.jpg,1,1,sand,0.5\n"
    Path("p.csv").write_text(text)
    ran = run("review", "p.csv", "-o", "./p.csv", "--threshold", "1", "--overwrite")
    assert ran.code == 2
    assert "would be written over what it is made of" in ran.err
    assert Path("p.csv").read_text() == text
    assert "written over what it is made of" in run("cover", "p.csv", "-o", "p.csv").err
    Path("sheet.csv").write_text("people's labels")
    ran = run("review", "p.csv", "-o", "sheet.csv", "--threshold", "1")
    assert ran.code == 2
    assert "sheet.csv is there already" in ran.err
    assert run("review", "p.csv", "-o", "sheet.csv", "--threshold", "1", "--overwrite").code == 0


PREDICTED = "image,row,column,label,probability\n"


def patches(page: Path) -> list[bytes]:
    found = re.findall(r"data:image/[a-z]+;base64,([^\"]+)", page.read_text(encoding="utf-8"))
    return [base64.b64decode(each) for each in found]


def test_patches_of_turned_photos_are_cut_where_the_points_were_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The photo is green but for a red corner, which EXIF shows at the other end."""
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    pixels = np.full((300, 400, 3), (0, 200, 0), np.uint8)
    pixels[:150, :150] = (200, 0, 0)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save("photos/a.png", exif=exif)
    # row and column as a viewer shows the red corner
    Path("p.csv").write_text(PREDICTED + "a.png,40,260,coral,0.5\n")
    command = ("review", "p.csv", "--threshold", "1", "--photos", "photos", "--overwrite")
    ran = run(*command, "--report", "turned.html", "-o", "s.csv", "--apply-exif")
    assert ran.code == 0, ran.err
    (patch,) = patches(Path("turned.html"))
    middle = np.asarray(Image.open(BytesIO(patch)).convert("RGB")).mean(axis=(0, 1))
    assert middle[0] > middle[1]
    ran = run(*command, "--report", "as_stored.html", "-o", "s.csv")
    assert "if the predictions were made with --apply-exif, give it here too" in ran.err


def test_photos_are_found_under_the_names_that_classify_found_them_by(survey: Path) -> None:
    Path("p.csv").write_text(PREDICTED + "C:/dive/3,10,10,coral,0.5\nzz.png,1,1,coral,0.6\n")
    more = ["--threshold", "1", "--photos", "photos", "--report", "r.html", "-o", "s.csv"]
    ran = run("review", "p.csv", *more)
    assert ran.code == 1
    assert len(patches(Path("r.html"))) == 1
    assert "zz.png: its points are on the page without patches: not in photos" in ran.err


def test_answers_at_shares_of_photos_are_refused(survey: Path) -> None:
    Path("p.csv").write_text(PREDICTED + "3.png,10,10,coral,0.5\n")
    Path("sheet.csv").write_text("point.media.key,point.x,point.y,label.name\n3.png,0.5,0.5,sand\n")
    ran = run("review", "p.csv", "--corrections", "sheet.csv", "-o", "l.csv")
    assert ran.code == 2
    assert "its positions are shares of the photos; expected rows and columns" in ran.err
