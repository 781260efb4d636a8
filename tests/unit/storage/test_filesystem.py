"""Files that are none, and names as long as file systems take them."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from spacer_tasks.cli.photos import photo_shape
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import StorageAccessError
from spacer_tasks.storage.filesystem import FilesystemStorage


def make_socket(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path)


@pytest.mark.parametrize("make", [os.mkfifo, make_socket])
def test_what_is_no_file_is_refused_and_not_waited_for(
    make: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a socket's path is short
    monkeypatch.chdir(tmp_path)
    make("a.jpg")
    store = FilesystemStorage()
    for read in (store.load, store.load_version, store.open):
        with pytest.raises(StorageAccessError, match=r"a\.jpg"):
            read("a.jpg")
    assert photo_shape(DataLocation(storage_type="filesystem", key="a.jpg")) is None


@pytest.mark.parametrize("letter", ["a", "名"])
def test_a_file_of_the_longest_name_is_stored(letter: str, tmp_path: Path) -> None:
    name = letter * (255 // len(letter.encode()))
    key = str(tmp_path / name)
    FilesystemStorage().store(key, b"x")
    assert FilesystemStorage().load(key) == b"x"
    assert [each.name for each in tmp_path.iterdir()] == [name]
