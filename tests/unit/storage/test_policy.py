"""A message names locations; the operator's settings say which of them are used."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from spacer_tasks import operations, storage
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import ConfigError, InputError, LocationNotAllowedError
from spacer_tasks.extractors.files.weights import load_file, open_file
from spacer_tasks.storage.listing import list_below
from spacer_tasks.storage.policy import locations_in, permit_all, permitted
from spacer_tasks.tasks import extract_features
from tests.support.messages.located import messages

Allow = Callable[..., None]


@pytest.fixture
def allow(monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]) -> Allow:
    """Sets the operator's lists: `allow(s3="s3://reef", roots="none")`."""

    def set_(results: str = "s3://own/results", **lists: str) -> None:
        monkeypatch.setenv("SPACER_RESULTS_PREFIX", results)
        for name, value in lists.items():
            monkeypatch.setenv(f"SPACER_ALLOWED_{name.upper()}", value)
        settings_changed()

    return set_


def at(uri: str) -> DataLocation:
    return DataLocation.parse(uri)


@pytest.mark.parametrize(
    ("allowed", "uri"),
    [
        ("s3://reef", "s3://reef/any/key"),
        ("s3://reef/", "s3://reef/any/key"),
        ("s3://reef/images", "s3://reef/images/1.jpg"),
        ("s3://reef/images/", "s3://reef/images/1.jpg"),
        ("s3://reef/model.pt", "s3://reef/model.pt"),
        ("s3://one s3://reef", "s3://reef/k"),
        ("s3://one,s3://reef", "s3://reef/k"),
        ('["s3://one", "s3://reef"]', "s3://reef/k"),
        ("s3://*", "s3://anything/k"),
        ("results", "s3://own/elsewhere/k"),
        ("none", "s3://own/results/answers/1.json"),
        ("s3://reef", "s3://own/results/messages/1.json"),
    ],
)
def test_what_is_listed_is_allowed(allow: Allow, allowed: str, uri: str) -> None:
    allow(s3=allowed)
    assert permitted(at(uri)) == at(uri)


@pytest.mark.parametrize(
    ("allowed", "uri"),
    [
        ("s3://reef", "s3://reef2/k"),
        ("s3://reef", "s3://ree/k"),
        ("s3://reef", "s3://REEF/k"),
        ("s3://reef/images", "s3://reef/images2/1.jpg"),
        ("s3://reef/images", "s3://reef/other"),
        ("s3://reef/images", "s3://reef/images/../secret"),
        ("s3://reef/images", "s3://reef/images/./1.jpg"),
        ("s3://reef", "s3://reef/../other/k"),
        ("s3://reef/images", "s3://reef//images/1.jpg"),
        ("none", "s3://own/elsewhere"),
        ("none", "s3://own/results2/k"),
        ("results", "s3://reef/k"),
    ],
)
def test_what_is_not_listed_is_refused(allow: Allow, allowed: str, uri: str) -> None:
    allow(s3=allowed)
    with pytest.raises(LocationNotAllowedError, match=r"SPACER_ALLOWED_S3"):
        permitted(at(uri))


def test_every_way_through_the_door_is_watched(allow: Allow) -> None:
    allow(s3="none")
    loc = at("s3://reef/k")
    for attempt in (
        storage.load,
        storage.exists,
        storage.version,
        storage.delete,
        list_below,
        lambda loc: storage.store(loc, b""),
        lambda loc: storage.store_once(loc, b""),
        load_file,
        open_file,
    ):
        with pytest.raises(LocationNotAllowedError, match="s3://reef/k"):
            attempt(loc)


def test_a_kept_extractor_file_is_given_only_for_an_allowed_location(
    allow: Allow, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SPACER_EXTRACTORS_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(storage, "load", lambda _: b"weights")
    loc, sha256 = at("s3://reef/k"), hashlib.sha256(b"weights").hexdigest()
    allow(s3="s3://reef")
    for _ in range(2):
        kept = load_file(loc, sha256)
    # with its hash it needs no request
    assert not kept.downloaded
    allow(s3="none")
    for read in (load_file, open_file):
        with pytest.raises(LocationNotAllowedError, match="s3://reef/k"):
            read(loc, sha256)


@pytest.fixture
def reef(tmp_path: Path) -> Path:
    """A root with links in it; `outside` beside it is none."""
    root, outside = tmp_path / "reef", tmp_path / "outside"
    for folder in (root / "photos", outside, tmp_path / "reef2"):
        folder.mkdir(parents=True)
    (root / "photos" / "1.jpg").write_bytes(b"photo")
    (outside / "secret").write_bytes(b"secret")
    (root / "link-to-file").symlink_to(outside / "secret")
    (root / "link-to-folder").symlink_to(outside)
    (root / "link-to-link").symlink_to(root / "link-to-folder")
    (root / "dangling").symlink_to(outside / "new")
    (root / "inner").symlink_to(root / "photos")
    return root


def test_files_below_a_root_are_read_and_written(allow: Allow, reef: Path) -> None:
    allow(roots=str(reef))
    assert storage.load(at(f"{reef}/photos/1.jpg")) == b"photo"
    assert storage.load(at(f"{reef}/photos/../photos/1.jpg")) == b"photo"
    assert storage.load(at(f"{reef}/inner/1.jpg")) == b"photo"
    storage.store(at(f"{reef}/new/2.npz"), b"features")
    assert (reef / "new" / "2.npz").read_bytes() == b"features"
    assert "1.jpg" in list_below(at(f"{reef}/photos"))


@pytest.mark.parametrize(
    "key",
    [
        "../outside/secret",
        "photos/../../outside/secret",
        "link-to-file",
        "link-to-folder/secret",
        "link-to-link/secret",
        "dangling",
        "../reef2/x",
        "../reef2",
        "link-to-folder/../reef2/x",
        "photos/nul\0byte",
    ],
)
def test_files_outside_are_neither_read_nor_written(allow: Allow, reef: Path, key: str) -> None:
    allow(roots=str(reef))
    before = sorted(reef.parent.rglob("*"))
    loc = DataLocation(storage_type="filesystem", key=f"{reef}/{key}")
    for attempt in (
        storage.load,
        storage.version,
        storage.delete,
        lambda it: storage.store(it, b""),
        lambda it: storage.store_once(it, b""),
        load_file,
        open_file,
    ):
        with pytest.raises(LocationNotAllowedError, match="SPACER_ALLOWED_ROOTS"):
            attempt(loc)
    assert sorted(reef.parent.rglob("*")) == before
    assert (reef.parent / "outside" / "secret").read_bytes() == b"secret"


def test_a_relative_path_is_one_from_the_working_folder(
    allow: Allow, reef: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allow(roots=str(reef))
    monkeypatch.chdir(reef)
    assert storage.load(at("photos/1.jpg")) == b"photo"
    with pytest.raises(LocationNotAllowedError):
        storage.load(at("../outside/secret"))


def test_a_root_may_be_a_link_itself(allow: Allow, reef: Path) -> None:
    alias = reef.parent / "alias"
    alias.symlink_to(reef)
    allow(roots=str(alias))
    assert storage.load(at(f"{alias}/photos/1.jpg")) == b"photo"
    assert storage.load(at(f"{reef}/photos/1.jpg")) == b"photo"


def test_a_link_that_is_turned_after_the_check_leads_nowhere_new(allow: Allow, reef: Path) -> None:
    allow(roots=str(reef))
    resolved = permitted(at(f"{reef}/inner/1.jpg"))
    (reef / "inner").unlink()
    (reef / "inner").symlink_to(reef.parent / "outside")
    assert resolved.key == os.path.realpath(reef / "photos" / "1.jpg")


def test_where_no_file_is_allowed_neither_is_memory(allow: Allow, reef: Path) -> None:
    allow(roots="none")
    for uri in (f"{reef}/photos/1.jpg", "/etc/passwd", "/", "none", "memory://k"):
        with pytest.raises(LocationNotAllowedError):
            permitted(at(uri))


def test_the_own_prefix_on_a_disk_is_always_allowed(allow: Allow, reef: Path) -> None:
    allow(results=f"{reef}/results", roots="none")
    storage.store(at(f"{reef}/results/answers/1.json"), b"{}")
    with pytest.raises(LocationNotAllowedError):
        storage.load(at(f"{reef}/photos/1.jpg"))


def test_the_own_prefix_in_memory_is_always_allowed(allow: Allow) -> None:
    allow(results="memory://results", roots="none")
    assert permitted(at("memory://results/answers/1.json"))
    for uri in ("memory://k", "memory://results", "memory://results-of-another/k"):
        with pytest.raises(LocationNotAllowedError):
            permitted(at(uri))


def test_nothing_is_limited_where_nothing_is_set(
    settings_changed: Callable[[], None], tmp_path: Path
) -> None:
    assert permitted(at("s3://any/k")) == at("s3://any/k")
    storage.store(at(f"{tmp_path}/x"), b"x")
    assert storage.load(at(f"{tmp_path}/x")) == b"x"
    assert permitted(at("https://example.org/x")) == at("https://example.org/x")


@pytest.mark.parametrize(
    "lists",
    [
        {"s3": "reef"},
        {"s3": "https://reef"},
        {"s3": "s3://"},
        {"s3": "s3://reef none"},
        {"roots": "relative/path"},
        {"roots": "none /data"},
        {"urls": "https://example.org"},
        {"urls": "example.org/path"},
        {"urls": "user@example.org"},
    ],
)
def test_an_entry_that_means_nothing_is_an_error(allow: Allow, lists: dict[str, str]) -> None:
    allow(**lists)
    (name,) = lists
    with pytest.raises(ConfigError, match=f"SPACER_ALLOWED_{name.upper()}"):
        permitted(at("s3://a/k"))


OUTSIDE = "s3://secret/x"


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        *(("extract", name) for name in ("weights", "image_loc", "feature_loc")),
        *(("image", name) for name in ("weights", "image_loc", "model_loc")),
        *(("train", name) for name in ("labels", "previous", "model_loc", "valresult_loc")),
        *(("batch", name) for name in ("weights", "image_loc", "feature_loc", "scores_loc")),
        *(("batch", name) for name in ("model_loc", "valresult_loc", "previous")),
        *(("many", name) for name in ("publish_loc", "summary_loc", "labels", "model_loc")),
    ],
)
def test_each_location_of_a_message_is_looked_at_before_work(
    allow: Allow, kind: str, field: str
) -> None:
    allow(s3="s3://reef")
    permit_all(messages({})[kind])
    with pytest.raises(LocationNotAllowedError, match=OUTSIDE):
        permit_all(messages({field: OUTSIDE})[kind])


def test_a_task_looks_at_them_as_soon_as_it_has_the_message(allow: Allow) -> None:
    allow(s3="s3://reef")
    received = extract_features.received(messages({})["extract"].to_wire())
    assert received == messages({})["extract"]
    with pytest.raises(LocationNotAllowedError, match=OUTSIDE):
        extract_features.received(messages({"feature_loc": OUTSIDE})["extract"].to_wire())


def test_no_location_of_any_message_is_missed() -> None:
    """What a message's JSON calls a location, the walk finds."""
    for message in messages({}).values():
        text = message.model_dump_json()
        found = len(list(locations_in(message)))
        assert found == text.count("storage_type"), type(message).__name__


def test_a_job_that_names_a_foreign_place_is_answered_with_the_reason(allow: Allow) -> None:
    allow(s3="s3://reef")
    task = messages({"model_loc": OUTSIDE})["train"].to_wire()
    answer = operations.process_job({"task_name": "train_classifier", "tasks": [task]})
    assert not answer.ok
    assert "LocationNotAllowedError: s3://secret/x" in (answer.error_message or "")


def test_an_object_over_the_limit_is_refused_by_its_size(
    monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None], tmp_path: Path
) -> None:
    # a file of a terabyte that takes no room
    with (tmp_path / "large").open("wb") as stream:
        stream.truncate(2**40)
    for read in (storage.load, load_file, open_file):
        told = r"large: 1099511627776 bytes.*SPACER_MAX_OBJECT_BYTES"
        with pytest.raises(InputError, match=told):
            read(at(f"{tmp_path}/large"))
