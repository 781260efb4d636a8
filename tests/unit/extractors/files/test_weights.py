"""An extractor's files: hashes are always checked, kept files never taken for another."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import ConfigError, HashMismatchError, ObjectNotFoundError
from spacer_tasks.extractors.files.weights import OpenedFile, load_file, open_file
from tests.support.files.file_server import FileServer


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def server(
    monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]
) -> Iterator[FileServer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("SPACER_ALLOWED_URLS", "127.0.0.1")
    settings_changed()
    server = FileServer()
    yield server
    server.close()


@pytest.fixture
def folder(
    tmp_path: Path, settings_changed: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> Path:
    folder = tmp_path / "kept" / "here"
    monkeypatch.setenv("SPACER_EXTRACTORS_CACHE_DIR", str(folder))
    settings_changed()
    return folder


def test_a_local_file_is_read_where_it_is_and_not_kept(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "net.pt"
    path.write_bytes(b"weights")
    loc = DataLocation(storage_type="filesystem", key=str(path))
    assert load_file(loc, sha256(b"weights")) == (b"weights", sha256(b"weights"), False)
    assert not folder.exists()


@pytest.mark.parametrize("given", [None, sha256(b"weights"), sha256(b"weights").upper()])
def test_a_remote_file_is_downloaded_once(
    server: FileServer, folder: Path, given: str | None
) -> None:
    loc = server.put("/net.pt", b"weights")
    assert load_file(loc, given) == (b"weights", sha256(b"weights"), True)
    assert load_file(loc, given) == (b"weights", sha256(b"weights"), False)
    assert server.downloads == 1


def test_with_a_hash_a_kept_file_needs_no_request(server: FileServer, folder: Path) -> None:
    loc = server.put("/net.pt", b"weights")
    load_file(loc, sha256(b"weights"))
    server.close()
    assert load_file(loc, sha256(b"weights")).data == b"weights"


def test_two_files_of_the_same_name_do_not_collide(server: FileServer, folder: Path) -> None:
    # the same ETag too: it tells versions of one object apart, not objects
    one = server.put("/a/net.pt", b"one", etag='"1"')
    two = server.put("/b/net.pt", b"two", etag='"1"')
    queried = server.put("/a/net.pt?version=2", b"three", etag='"1"')
    for _ in range(2):
        assert [load_file(loc).data for loc in (one, two, queried)] == [b"one", b"two", b"three"]
    assert server.downloads == 3


def test_a_replaced_object_is_downloaded_again(server: FileServer, folder: Path) -> None:
    loc = server.put("/net.pt", b"older")
    load_file(loc)
    server.put("/net.pt", b"newer")
    assert load_file(loc) == (b"newer", sha256(b"newer"), True)


def test_without_versions_a_file_is_kept_only_under_a_given_hash(
    server: FileServer, folder: Path
) -> None:
    loc = server.put("/net.pt", b"older", etag=None)
    assert load_file(loc).data == b"older"
    server.put("/net.pt", b"newer", etag=None)
    assert load_file(loc).data == b"newer"
    load_file(loc, sha256(b"newer"))
    assert not load_file(loc, sha256(b"newer")).downloaded


def test_a_wrong_hash_is_named_and_nothing_is_kept(server: FileServer, folder: Path) -> None:
    loc = server.put("/net.pt", b"weights")
    with pytest.raises(HashMismatchError) as caught:
        load_file(loc, sha256(b"others"))
    for part in (loc.uri, sha256(b"weights"), sha256(b"others")):
        assert part in str(caught.value)
    assert not folder.exists()


@pytest.mark.parametrize("given", ["00", "*", "../*", "../../outside", ""])
def test_a_malformed_hash_is_a_wrong_hash(server: FileServer, folder: Path, given: str) -> None:
    loc = server.put("/net.pt", b"weights")
    load_file(loc)
    with pytest.raises(HashMismatchError):
        load_file(loc, given)


def test_a_kept_file_is_checked_against_another_hash_given_later(
    server: FileServer, folder: Path
) -> None:
    loc = server.put("/net.pt", b"weights")
    load_file(loc)
    with pytest.raises(HashMismatchError):
        load_file(loc, sha256(b"others"))


@pytest.mark.parametrize("damage", [b"", b"half a dow", b"something else altogether"])
@pytest.mark.parametrize("given", [None, sha256(b"weights")])
def test_a_damaged_kept_file_is_deleted_and_downloaded_again(
    server: FileServer, folder: Path, given: str | None, damage: bytes
) -> None:
    loc = server.put("/net.pt", b"weights")
    load_file(loc, given)
    (kept,) = folder.iterdir()
    kept.write_bytes(damage)
    assert load_file(loc, given) == (b"weights", sha256(b"weights"), True)
    assert kept.read_bytes() == b"weights"


def test_a_damaged_kept_file_of_a_replaced_object_is_a_wrong_hash(
    server: FileServer, folder: Path
) -> None:
    loc = server.put("/net.pt", b"weights")
    load_file(loc, sha256(b"weights"))
    (kept,) = folder.iterdir()
    kept.write_bytes(b"damaged")
    server.put("/net.pt", b"newer")
    before = server.downloads
    with pytest.raises(HashMismatchError):
        load_file(loc, sha256(b"weights"))
    assert server.downloads == before + 1
    assert not kept.exists()


def test_a_folder_that_cannot_be_written_costs_a_download_and_no_more(
    server: FileServer, folder: Path
) -> None:
    loc = server.put("/net.pt", b"weights")
    folder.parent.mkdir()
    folder.write_text("a file, not a folder")
    assert load_file(loc).downloaded
    assert load_file(loc).downloaded


def test_a_missing_remote_file_is_named(server: FileServer, folder: Path) -> None:
    loc = server.put("/net.pt", b"weights")
    server.files.clear()
    with pytest.raises(ObjectNotFoundError, match=r"/net\.pt"):
        load_file(loc)


def test_files_are_kept_in_the_user_s_cache_by_default(
    server: FileServer,
    tmp_path: Path,
    settings_changed: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SPACER_EXTRACTORS_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    settings_changed()
    load_file(server.put("/net.pt", b"weights"))
    assert len(list((tmp_path / "spacer-tasks" / "extractors").iterdir())) == 1


def test_a_user_without_a_home_is_told_which_setting_to_make(
    server: FileServer, settings_changed: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("SPACER_EXTRACTORS_CACHE_DIR", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    settings_changed()
    with pytest.raises(ConfigError, match="SPACER_EXTRACTORS_CACHE_DIR"):
        load_file(server.put("/net.pt", b"weights"))


# --- opened instead of loaded --------------------------------------------------------------------


def content_of(file: OpenedFile) -> tuple[bytes, str, bool]:
    """What an opened file holds; closes it."""
    with file.stream as stream:
        return stream.read(), file.sha256, file.downloaded


def test_a_local_file_is_opened_where_it_is(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(b"weights" * 10**6)
    loc = DataLocation(storage_type="filesystem", key=str(path))
    digest = sha256(path.read_bytes())
    assert content_of(open_file(loc, digest)) == (path.read_bytes(), digest, False)
    assert not folder.exists()
    with pytest.raises(HashMismatchError, match=sha256(b"others")):
        open_file(loc, sha256(b"others"))
    with pytest.raises(ObjectNotFoundError, match=r"no-net\.caffemodel"):
        open_file(loc.model_copy(update={"key": str(tmp_path / "no-net.caffemodel")}))


@pytest.mark.parametrize("given", [None, sha256(b"weights")])
def test_a_remote_file_is_downloaded_once_and_opened_where_it_is_kept(
    server: FileServer, folder: Path, given: str | None
) -> None:
    loc = server.put("/net.caffemodel", b"weights")
    first = open_file(loc, given)
    (kept,) = folder.iterdir()
    assert Path(first.stream.name) == kept
    assert content_of(first) == (b"weights", sha256(b"weights"), True)
    assert content_of(open_file(loc, given)) == (b"weights", sha256(b"weights"), False)
    assert server.downloads == 1
    kept.write_bytes(b"damaged")
    assert content_of(open_file(loc, given)) == (b"weights", sha256(b"weights"), True)
    assert kept.read_bytes() == b"weights"


def test_a_kept_file_stands_for_no_file_that_is_gone(server: FileServer, folder: Path) -> None:
    loc = server.put("/net.caffemodel", b"weights")
    open_file(loc, sha256(b"weights")).stream.close()
    server.files.clear()
    assert content_of(open_file(loc, sha256(b"weights")))[0] == b"weights"
    with pytest.raises(ObjectNotFoundError):
        open_file(loc)


def test_what_cannot_be_kept_is_opened_in_memory(server: FileServer, folder: Path) -> None:
    loc = server.put("/net.caffemodel", b"weights")
    folder.parent.mkdir()
    folder.write_text("a file, not a folder")
    assert content_of(open_file(loc)) == (b"weights", sha256(b"weights"), True)
    with pytest.raises(HashMismatchError):
        open_file(loc, sha256(b"others"))


def test_a_file_without_a_version_is_opened_as_it_is_now(server: FileServer, folder: Path) -> None:
    loc = server.put("/net.caffemodel", b"older", etag=None)
    assert content_of(open_file(loc)) == (b"older", sha256(b"older"), True)
    server.put("/net.caffemodel", b"newer", etag=None)
    assert content_of(open_file(loc)) == (b"newer", sha256(b"newer"), True)
