"""What is an outage of a storage, and what is one object's own fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from spacer_tasks import storage
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import ObjectNotFoundError, StorageAccessError
from spacer_tasks.execution.storage_away import place_fault


@pytest.mark.parametrize("name", ["x" * 300, "loop"])
def test_a_name_that_no_file_can_have_is_no_outage(name: str, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    loc = DataLocation(storage_type="filesystem", key=str(tmp_path / name))
    with pytest.raises(StorageAccessError):
        storage.load(loc)
    assert place_fault(loc) is None


def test_an_object_that_is_not_there_is_an_answer(tmp_path: Path) -> None:
    file = DataLocation(storage_type="filesystem", key=str(tmp_path / "a" / "b.npz"))
    for loc in (file, DataLocation(storage_type="memory", key="a")):
        with pytest.raises(ObjectNotFoundError):
            storage.load(loc)
        assert place_fault(loc) is None
