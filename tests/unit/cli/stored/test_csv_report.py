"""The reports of `verify` and `convert` are written over nothing that the commands are about."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.checkout import FIXTURES_FOLDER
from tests.support.command_line import run

CLASSIFIER = FIXTURES_FOLDER / "pyspacer" / "int_lr.pkl"
CONVERT = ("convert", "--to", "spacer")


@pytest.fixture(autouse=True)
def in_a_folder(
    settings_changed: Callable[[], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("stored").mkdir()
    shutil.copy(CLASSIFIER, "stored/1.model")


@pytest.mark.parametrize(
    "arguments",
    [
        ("verify", "features", "stored", "--match", "*"),
        ("verify", "features", "stored/1.model"),
        ("verify", "scores", "stored", "--match", "*"),
        (*CONVERT, "stored", "made"),
        (*CONVERT, "stored/1.model", "made/1.model"),
        (*CONVERT, "stored/1.model", "stored/2.model", "--match", "*"),
    ],
)
def test_a_report_is_not_written_over_what_is_read(arguments: tuple[str, ...]) -> None:
    ran = run(*arguments, "-o", "stored/1.model")
    assert ran.code == 2
    assert "stored/1.model would be written over what it is made of; another place" in ran.err
    assert Path("stored/1.model").read_bytes() == CLASSIFIER.read_bytes()
    assert not Path("made").exists()


@pytest.mark.parametrize(
    "places", [("stored", "made"), ("stored/1.model", "made/"), ("stored/1.model", "made/1.model")]
)
def test_a_report_is_not_written_over_a_conversion(places: tuple[str, str]) -> None:
    ran = run(*CONVERT, *places, "-o", "made/1.model")
    assert ran.code == 2
    assert "another place" in ran.err
    assert not Path("made").exists()


@pytest.mark.parametrize(
    ("report", "said"),
    [("stored", "a folder; expected the name of a file"), ("stored/1.model/x.csv", "not a folder")],
)
@pytest.mark.parametrize("command", [(*CONVERT, "stored", "made"), ("verify", "scores", "stored")])
def test_a_place_that_takes_no_report_is_told_before_the_work(
    command: tuple[str, ...], report: str, said: str
) -> None:
    ran = run(*command, "-o", report)
    assert ran.code == 2
    assert said in ran.err
    assert not Path("made").exists()


def test_the_same_command_again_replaces_its_report_where_it_is() -> None:
    for place in ("stored/report.csv", "made/report.csv"):
        for outcome in ("converted", "already there"):
            ran = run(*CONVERT, "stored", "made", "--match", "*.model", "-o", place)
            assert ran.code == 0, ran.err
            assert outcome in Path(place).read_text()
        Path("made/1.model").unlink()
