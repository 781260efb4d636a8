"""A write asks at the last moment whether it may still be made."""

from __future__ import annotations

from pathlib import Path

import pytest

from spacer_tasks import storage
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import RunningElsewhere
from spacer_tasks.storage.fence import fenced_by


def refuse() -> None:
    raise RunningElsewhere("another worker's")


@pytest.mark.parametrize("kind", ["filesystem", "memory"])
def test_nothing_is_written_or_removed_against_the_fence(kind: str, tmp_path: Path) -> None:
    loc = DataLocation.parse(f"{tmp_path}/a" if kind == "filesystem" else "memory://fence/a")
    storage.store(loc, b"newer")
    with fenced_by(refuse):
        for write in (
            lambda: storage.store(loc, b"older"),
            lambda: storage.store_once(loc, b"older"),
            lambda: storage.delete(loc),
        ):
            with pytest.raises(RunningElsewhere):
                write()
        assert storage.load(loc) == b"newer"
    storage.store(loc, b"newest")
    assert storage.load(loc) == b"newest"
    assert kind == "memory" or [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_the_check_itself_writes_is_not_checked(tmp_path: Path) -> None:
    note = DataLocation.parse(f"{tmp_path}/note")
    with fenced_by(lambda: storage.store(note, b"asked")):
        storage.store(DataLocation.parse(f"{tmp_path}/a"), b"1")
    assert storage.load(note) == b"asked"
