"""`spacer-tasks points`: the sheet that extract and classify read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from tests.support.command_line import run
from tests.support.survey import DUMMY, read_predictions, write_photos


@pytest.fixture(autouse=True)
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_photos(tmp_path / "photos/north", 3)
    return tmp_path / "photos"


def test_the_sheet_is_what_extract_reads(tmp_path: Path) -> None:
    ran = run("points", "photos", "--stratified", "2x3x2", "--margin", "10%", "-o", "points.csv")
    assert (ran.code, ran.out) == (0, "")
    assert "36 points on 3 photos, seed 0: points.csv" in ran.err
    rows = read_predictions(tmp_path / "points.csv")
    assert list(rows[0]) == ["Name", "Row", "Column", "Label"]
    assert {row["Name"] for row in rows} == {f"north/{i}.png" for i in range(3)}
    where = ("--points", "points.csv", "--features", "features", *DUMMY)
    assert "3 images extracted" in run("extract", "photos", *where).err


def test_a_seed_gives_the_same_sheet_and_a_new_photo_moves_no_point(photos: Path) -> None:
    sheets = []
    for name in ("a.csv", "b.csv"):
        assert run("points", "photos", "--random", "5", "--seed", "4", "-o", name).code == 0
        sheets.append(Path(name).read_text().splitlines())
        write_photos(photos / "south", 1)
    assert set(sheets[0]) < set(sheets[1])
    assert len(sheets[1]) == len(sheets[0]) + 5


def test_photos_that_cannot_have_points_are_named_and_the_rest_is_done(photos: Path) -> None:
    (photos / "broken.jpg").write_bytes(b"no photo")
    (photos / "empty.png").write_bytes(b"")
    (photos / "notes.txt").write_bytes(b"")
    Image.new("RGB", (20, 90)).save(photos / "narrow.png")
    ran = run("points", "photos", "--grid", "2x2", "--margin", "10", "-o", "points.csv")
    assert ran.code == 1
    assert "12 points on 3 photos" in ran.err
    assert "3 failures:" in ran.err
    assert "  broken.jpg: not an image that can be read" in ran.err
    assert "  empty.png: the file is empty" in ran.err
    assert "  narrow.png: the photo has 20 x 90 pixels, of which margins of 10" in ran.err


def test_a_sheet_is_not_overwritten_unasked() -> None:
    Path("points.csv").write_text("people's labels")
    ran = run("points", "photos", "--random", "5", "-o", "points.csv")
    assert ran.code == 2
    assert "points.csv is there already" in ran.err
    assert Path("points.csv").read_text() == "people's labels"
    assert run("points", "photos", "--random", "5", "-o", "points.csv", "--overwrite").code == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "give one of --random, --stratified and --grid"),
        (["--random", "5", "--grid", "2x2"], "give one of --random, --stratified and --grid"),
        (["--stratified", "5x5"], "'5x5' is not ROWSxCOLSxN"),
        (["--grid", "0x5"], "'0x5' is not ROWSxCOLS"),
        (["--random", "0"], "Invalid value for '--random'"),
        (["--random", "1001"], "1,001 points on each photo: at most 1,000"),
        (["--random", "5", "--margin", "60%"], "'60%' is no margin"),
    ],
)
def test_what_cannot_be_is_one_error(arguments: list[str], text: str) -> None:
    ran = run("points", "photos", *arguments, "-o", "points.csv")
    assert ran.code == 2
    assert text in " ".join(ran.err.replace("│", "").split())
    assert not Path("points.csv").exists()


def test_a_name_that_is_no_text_costs_its_photo_alone(photos: Path) -> None:
    some = next(photos.rglob("*.png"))
    (photos / os.fsdecode(b"\xff.png")).write_bytes(some.read_bytes())
    ran = run("points", "photos", "--random", "5", "-o", "points.csv")
    assert ran.code == 1
    assert "its name is not UTF-8, which no sheet can hold: rename the file" in ran.err
    assert some.name in Path("points.csv").read_text()


def test_a_folder_without_photos_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    (tmp_path / "none/notes.txt").write_text("x")
    ran = run("points", "none", "--random", "5", "-o", "points.csv")
    assert ran.code == 2
    assert "none: no photos" in ran.err
    assert "only notes.txt" in ran.err


def test_without_a_photo_that_can_be_read_no_sheet_is_written(photos: Path) -> None:
    for path in photos.rglob("*.png"):
        path.write_bytes(b"broken")
    ran = run("points", "photos", "--random", "5", "-o", "points.csv")
    assert ran.code == 1
    assert "no photo has points: points.csv is not written" in ran.err
    assert not Path("points.csv").exists()
