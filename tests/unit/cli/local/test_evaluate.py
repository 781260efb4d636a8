"""`spacer-tasks evaluate` on two files."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.support.command_line import run
from tests.support.survey import write_photos


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ann.csv").write_text(
        "Name,Row,Column,Label\na.jpg,1,1,coral\na.jpg,2,2,sand\nb.jpg,1,1,sand\nb.jpg,2,2,\n"
        "c.jpg,5,5,sand\n"
    )
    # another order, another delimiter, and what classify adds
    Path("machine.csv").write_text(
        "image;row;column;label;probability\nb.jpg;1;1;Acropora;0.9\na.jpg;2;2;sand;0.8\n"
        "a.jpg;1;1;Acropora;0.7\nb.jpg;2;2;sand;0.7\n"
    )


def test_two_files_are_compared_and_what_is_in_one_alone_is_named() -> None:
    Path("map.csv").write_text("old,new\nAcropora,coral\n")
    more = ["--map", "map.csv", "-o", "confusion.csv", "--report", "page.html"]
    ran = run("evaluate", "ann.csv", "machine.csv", *more)
    assert ran.code == 0, ran.err
    assert "agreement  66.7% of 3 points" in ran.out
    assert "photos that differ most: b.jpg (1 of 1)" in ran.out
    assert "warning: map.csv: 2 labels not in it kept as named: coral, sand" in ran.err
    assert "warning: ann.csv: 1 point without a label left out" in ran.err
    assert "1 point of 1 photo only in ann.csv, not compared: c.jpg (1)" in ran.err
    assert "1 point of 1 photo only in machine.csv, not compared: b.jpg (1)" in ran.err
    with Path("confusion.csv").open() as stream:
        rows = list(csv.reader(stream))
    assert rows == [
        ["ann.csv \\ machine.csv", "coral", "sand"],
        ["coral", "1", "0"],
        ["sand", "1", "1"],
    ]
    assert "66.7" in Path("page.html").read_text()


def test_labels_are_compared_by_their_groups() -> None:
    Path("groups.csv").write_text("label,group\nAcropora,living\ncoral,living\nsand,living\n")
    ran = run("evaluate", "ann.csv", "machine.csv", "--groups", "groups.csv")
    assert ran.code == 0
    assert "agreement  100.0% of 3 points" in ran.out
    assert "kappa      not defined" in ran.out


def test_files_that_cannot_be_compared_are_one_error() -> None:
    Path("other.csv").write_text("Name,Row,Column,Label\nx.jpg,1,1,sand\n")
    ran = run("evaluate", "ann.csv", "other.csv")
    assert ran.code == 2
    assert "no photo in common: the first has 'a.jpg', the second 'x.jpg'" in ran.err
    Path("empty.csv").write_text("Name,Row,Column,Label\na.jpg,1,1,\n")
    ran = run("evaluate", "ann.csv", "empty.csv")
    assert ran.code == 2
    assert "empty.csv: no point has a label" in ran.err


#: 15 units a pixel, on photos of 64 x 48 pixels
CPC = (
    '"c.txt","D:\\dive 1\\{name}",960,720,960,720\n0,720\n960,720\n960,0\n0,0\n3\n'
    '150,150\n480,150\n810,360\n"1","{one}","Notes",""\n"2","sand","Notes",""\n'
    '"3","coral","Notes",""\n'
)


def test_shares_are_compared_in_the_photos_pixels_and_under_their_names() -> None:
    """Of shares without photos every point of a photo would be one."""
    write_photos(Path("photos"), 2)
    Path("cpce").mkdir()
    for name, one in (("0.png", "coral"), ("1.png", "algae")):
        Path("cpce", name.replace("png", "cpc")).write_text(CPC.format(name=name, one=one))
    Path("people.csv").write_text(
        "Name,Row,Column,Label\n"
        + "".join(f"{n}.png,10,10,coral\n{n}.png,10,32,sand\n{n}.png,24,54,coral\n" for n in "01")
    )
    ran = run("evaluate", "people.csv", "cpce")
    assert ran.code == 2
    assert "cpce: its positions are shares of the photos" in ran.err
    assert "give --photos" in ran.err
    ran = run("evaluate", "people.csv", "cpce", "--photos", "photos")
    assert ran.code == 0, ran.err
    assert "agreement  83.3% of 6 points" in ran.out
    assert "photos that differ most: 1.png (1 of 3)" in ran.out
    assert "without a label" not in ran.err


def test_a_photo_that_is_not_there_is_named_and_not_compared() -> None:
    write_photos(Path("photos"), 1)
    Path("one.csv").write_text("Name,Row,Column,Label\n0.png,1,1,a\n9.png,1,1,a\n")
    ran = run("evaluate", "one.csv", "one.csv", "--photos", "photos")
    assert ran.code == 0, ran.err
    assert "warning: one.csv: 9.png left out: not in photos" in ran.err
    assert "100.0% of 1 points" in ran.out
