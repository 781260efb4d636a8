"""Files that `compat` keeps: each is of one place."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from spacer_tasks import storage
from spacer_tasks.compat import config
from spacer_tasks.compat.caching import loaded
from spacer_tasks.compat.extractors.files import ExtractorFiles
from spacer_tasks.data_classes.locations import DataLocation


def at(path: Path) -> DataLocation:
    return DataLocation(storage_type="filesystem", key=str(path))


def test_objects_of_one_key_in_two_buckets_are_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        storage, "load", lambda loc: str(loc).encode() if loc.storage_type == "s3" else real(loc)
    )
    kept = tmp_path / "kept"
    places = [DataLocation(storage_type="s3", bucket_name=name, key="../a/b") for name in "xy"]
    for _ in range(2):
        assert [loaded(loc, str(kept)) for loc in places] == [b"s3://x/../a/b", b"s3://y/../a/b"]
    # none of them is outside of the folder
    assert len(list(kept.iterdir())) == 2
    assert [each.name for each in tmp_path.iterdir()] == ["kept"]


real = storage.load


def test_a_key_that_is_longer_than_a_file_s_name_is_kept(tmp_path: Path) -> None:
    folder = tmp_path.joinpath(*["a" * 200] * 10)
    folder.mkdir(parents=True)
    (folder / "x").write_bytes(b"content")
    for _ in range(2):
        assert loaded(at(folder / "x"), str(tmp_path / "kept")) == b"content"
        (folder / "x").unlink(missing_ok=True)


def test_a_kept_file_of_another_place_is_not_taken_for_one_with_a_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "EXTRACTORS_CACHE_DIR", str(tmp_path / "kept"))
    streams: list[bytes] = []
    for number in range(2):
        content = f"weights {number}".encode()
        location: Any = DataLocation(storage_type="memory", key=f"{number}/net.pt")
        storage.store(location, content)
        files = ExtractorFiles({"net": location}, {"net": hashlib.sha256(content).hexdigest()})
        path, _ = files.load_data_into_filesystem("net")
        streams.append(Path(path).read_bytes())
    assert streams == [b"weights 0", b"weights 1"]
