"""Which file a name of a sheet means; never one file for two names."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from spacer_tasks.annotations.points import FilePoint, PointsFile
from spacer_tasks.cli.selection import select_images
from spacer_tasks.exceptions import PointsFileError


def select(
    folder: Path, files: list[str], names: list[str], foreign: tuple[str, ...] = ()
) -> tuple[dict[str, str], dict[str, str]]:
    """The file of each name, and why others have none."""
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(b"photo")
    images = {name: [FilePoint(2, 1, 1)] for name in names}
    points = PointsFile("sheet.csv", images, True, foreign=frozenset(foreign))
    found = select_images(str(folder), points)
    here = {each.name: str(Path(each.location.key).relative_to(folder)) for each in found.images}
    return here, found.missing


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("a.jpg", "a.jpg"),
        ("deep/er/a.jpg", "a.jpg"),
        ("site/a.jpg", "site/a.jpg"),
        ("a.jpg", "a"),
        ("a.jpg", "A.JPG"),
        ("a.jpg", "a.jpeg"),
        ("a.png", "a.jpg"),
        (unicodedata.normalize("NFD", "Île.jpg"), unicodedata.normalize("NFC", "Île.jpg")),
        (unicodedata.normalize("NFC", "Île.jpg"), unicodedata.normalize("NFD", "ÎLE.JPG")),
    ],
)
def test_a_name_finds_the_one_file_that_it_can_mean(tmp_path: Path, file: str, name: str) -> None:
    assert select(tmp_path, [file, "other.jpg"], [name]) == ({name: file}, {})


def test_a_folder_in_a_name_is_the_folder(tmp_path: Path) -> None:
    found, missing = select(tmp_path, ["SiteA/1.jpg"], ["SiteA/1.jpg", "SiteB/1.jpg"])
    assert found == {"SiteA/1.jpg": "SiteA/1.jpg"}
    assert "there is SiteA/1.jpg, which is not in a folder 'SiteB'" in missing["SiteB/1.jpg"]


def test_a_name_that_two_files_have_is_refused_with_both(tmp_path: Path) -> None:
    found, missing = select(tmp_path, ["A/1.jpg", "B/1.jpg", "2.jpg"], ["1.jpg", "2.jpg"])
    assert found == {"2.jpg": "2.jpg"}
    assert missing["1.jpg"] == "2 files have this name: A/1.jpg, B/1.jpg"


@pytest.mark.parametrize("other", ["a.JPG", "a", "a.png"])
def test_one_file_is_never_two_photos(tmp_path: Path, other: str) -> None:
    found, missing = select(tmp_path, ["a.jpg"], ["a.jpg", other])
    assert found == {"a.jpg": "a.jpg"}
    assert missing[other] == "would be a.jpg, which the sheet also calls 'a.jpg'"


def test_of_two_names_neither_spelled_so_none_is_taken(tmp_path: Path) -> None:
    found, missing = select(tmp_path, ["a.jpg", "b.jpg"], ["A.jpg", "a.JPG", "b.jpg"])
    assert found == {"b.jpg": "b.jpg"}
    assert set(missing) == {"A.jpg", "a.JPG"}


def test_paths_of_another_machine_mean_the_photos_here(tmp_path: Path) -> None:
    name = "home/me/reef/1.jpg"
    assert select(tmp_path, ["1.jpg"], [name], (name,)) == ({name: "1.jpg"}, {})


def test_paths_of_another_machine_keep_the_folders_that_are_here_too(tmp_path: Path) -> None:
    name = "home/me/SiteB/1.jpg"
    with pytest.raises(PointsFileError, match="which is not in a folder"):
        select(tmp_path, ["SiteA/1.jpg"], [name], (name,))
