"""Where a command writes is looked at before hours of work."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from spacer_tasks.cli.options import location
from spacer_tasks.cli.outputs import check_cpc_files, check_outputs, folder_for
from spacer_tasks.exceptions import InputError, LocationNotAllowedError, StorageError
from tests.support.command_line import run

SHEET = "Name,Row,Column,Label\na.jpg,1,2,Sand\n"


@pytest.fixture(autouse=True)
def folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("points.csv").write_text(SHEET)
    Path("sheets").mkdir()
    Path("sheets/a.csv").write_text(SHEET)


@pytest.mark.parametrize(
    "arguments",
    [
        ("classify", "--features", "f", "--points", "points.csv", "--classifier", "m", "-o"),
        ("classify", "--features", "f", "--points", "m", "--classifier", "points.csv", "-o"),
        ("train", "--features", "f", "--points", "points.csv", "--classifier"),
        ("evaluate", "points.csv", "sheets/a.csv", "-o"),
        ("evaluate", "sheets/a.csv", "points.csv", "--report"),
        ("cover", "points.csv", "-o", "cover.csv", "--xlsx"),
    ],
)
def test_nothing_is_written_over_what_it_is_made_of(arguments: tuple[str, ...]) -> None:
    ran = run(*arguments, "./points.csv")
    assert ran.code == 2
    assert "points.csv would be written over what it is made of" in " ".join(ran.err.split())
    assert Path("points.csv").read_text() == SHEET


def test_a_link_and_a_file_of_a_folder_that_is_read_are_not_written_over() -> None:
    Path("link.csv").symlink_to("points.csv")
    for output, source in [("link.csv", "points.csv"), ("sheets/a.csv", "sheets")]:
        with pytest.raises(InputError, match="written over what it is made of"):
            check_outputs([output], [source])
    check_outputs(["sheets/new.csv", "a.csv", None], ["sheets", "points.csv", None])


def test_two_files_at_one_place_are_refused() -> None:
    with pytest.raises(InputError, match=r"x\.csv would be written twice"):
        check_outputs(["x.csv", "./x.csv"], [])


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("sheets", "sheets: a folder; expected the name of a file"),
        ("new/", "new/: a folder; expected the name of a file"),
        ("s3://bucket/new/", "new/: a folder; expected the name of a file"),
        ("points.csv/x.csv", "points.csv is not a folder"),
        ("https://x.org/a.csv", "nothing can be written to a URL"),
    ],
)
def test_a_place_that_takes_no_file_is_refused_before_the_work(output: str, said: str) -> None:
    ran = run("classify", "--features", "f", "--classifier", "none", "-o", output)
    assert ran.code == 2
    assert said in " ".join(ran.err.split())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_refused() -> None:
    Path("sheets").chmod(0o555)
    with pytest.raises(StorageError, match="nothing can be written to"):
        check_outputs(["sheets/new/x.csv"], [])


@pytest.mark.parametrize(
    "text", ["gs://bucket/x", "S3://bucket/x", "s3:/bucket/x", "https:/x.org/a", "file://x"]
)
def test_a_path_that_looks_like_another_storage_is_no_folder_here(text: str) -> None:
    with pytest.raises(StorageError, match=r"is no location; expected a path, s3://bucket/key"):
        location(text)


@pytest.mark.parametrize("text", ["a:b/c", "C:/x", "12:30/a.csv", "file:///a b", "./gs://x"])
def test_a_path_with_a_colon_is_a_path(text: str) -> None:
    assert location(text).storage_type == "filesystem"


@pytest.mark.parametrize("points", ["sheets", "sheets/a.cpc", "sheets/sub", "linked"])
@pytest.mark.parametrize("place", ["sheets", "./sheets/../sheets/", "linked"])
def test_cpc_files_that_are_read_are_not_written_over(
    tmp_path: Path, points: str, place: str
) -> None:
    (tmp_path / "sheets/sub").mkdir(parents=True)
    for name in ("a.cpc", "sub/b.CPC"):
        (tmp_path / "sheets" / name).touch()
    (tmp_path / "linked").symlink_to("sheets")
    with pytest.raises(InputError, match=r"points are read from, such as .*\.(cpc|CPC)"):
        check_cpc_files(place, points)
    check_cpc_files("sheets/new", points)
    check_cpc_files("elsewhere", points)
    check_cpc_files(place, None)


@pytest.mark.parametrize(
    ("place", "says"), [("https://a.b/c", "to a URL"), ("file.csv", "a file"), ("file.csv/x", "")]
)
def test_a_folder_that_takes_no_files_is_told_before_the_work(
    tmp_path: Path, place: str, says: str
) -> None:
    (tmp_path / "file.csv").touch()
    for look in (folder_for, lambda text: check_cpc_files(text, None)):
        with pytest.raises(StorageError, match=says):
            look(place)


def test_a_folder_of_the_system_is_told_before_the_work() -> None:
    for look in (folder_for, lambda text: check_cpc_files(text, None)):
        with pytest.raises(LocationNotAllowedError, match="/proc"):
            look("/proc/self/features")
