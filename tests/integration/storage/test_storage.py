"""The one interface of storage, on a real S3 server, files, memory and a real HTTP server."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from spacer_tasks import storage
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.demo.services import free_ports
from spacer_tasks.exceptions import (
    BucketNotFoundError,
    ObjectNotFoundError,
    StorageAccessError,
    StorageError,
    StorageUnavailableError,
    URLDownloadError,
    URLUnavailableError,
)
from tests.support.settings import forget_settings


@pytest.fixture(params=["s3", "filesystem", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> DataLocation:
    """Somewhere to write, in each kind of storage that can be written."""
    if request.param == "s3":
        request.getfixturevalue("settings_env")
        bucket = request.getfixturevalue("bucket")
        return DataLocation(storage_type="s3", bucket_name=bucket, key="a folder/ünï")
    key = str(tmp_path / "a folder") if request.param == "filesystem" else f"test {tmp_path}"
    return DataLocation(storage_type=request.param, key=key)


def test_what_was_stored_is_loaded(place: DataLocation) -> None:
    loc = place.joined("deep", "below.bin")
    assert not storage.exists(loc)
    assert storage.version(loc) is None
    storage.store(loc, b"\x00first")
    assert storage.load(loc) == b"\x00first"
    assert storage.exists(loc)


def test_a_replaced_object_has_another_version(place: DataLocation) -> None:
    loc = place.joined("object")
    storage.store(loc, b"first")
    first = storage.version(loc)
    assert storage.version(loc) == first
    storage.store(loc, b"second!")
    assert storage.load(loc) == b"second!"
    assert storage.version(loc) not in (None, first)


def test_of_many_that_store_once_one_does(place: DataLocation) -> None:
    loc = place.joined("deep", "once")
    with ThreadPoolExecutor(8) as pool:
        stored = list(pool.map(lambda n: storage.store_once(loc, b"%d" % n), range(8)))
    assert stored.count(True) == 1
    assert storage.load(loc) == b"%d" % stored.index(True)
    # replacing is another thing
    storage.store(loc, b"new")
    assert not storage.store_once(loc, b"newer")
    assert storage.load(loc) == b"new"


def test_an_empty_object_is_there(place: DataLocation) -> None:
    loc = place.joined("empty")
    storage.store(loc, b"")
    assert storage.load(loc) == b""
    assert storage.exists(loc)


def test_a_deleted_object_is_gone_and_deleting_it_again_is_no_error(place: DataLocation) -> None:
    loc = place.joined("object")
    storage.store(loc, b"content")
    storage.delete(loc)
    assert not storage.exists(loc)
    with pytest.raises(ObjectNotFoundError, match="object"):
        storage.load(loc)
    storage.delete(loc)


def test_a_reader_beside_writers_never_sees_a_part(place: DataLocation) -> None:
    loc = place.joined("contended")
    contents = [bytes([i]) * 300_000 for i in range(4)]
    storage.store(loc, contents[0])
    done = threading.Event()

    def read() -> set[bytes]:
        seen = set()
        while not done.is_set():
            seen.add(storage.load(loc))
        return seen

    with ThreadPoolExecutor(6) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        list(pool.map(lambda content: storage.store(loc, content), contents * 3))
        done.set()
        seen = set().union(*(reader.result() for reader in readers))
    assert seen <= set(contents)


# --- S3 --------------------------------------------------------------------------------------


def on_s3(bucket: str, key: str = "key") -> DataLocation:
    return DataLocation(storage_type="s3", bucket_name=bucket, key=key)


def test_a_missing_bucket_is_named(settings_env: dict[str, str]) -> None:
    for attempt in (storage.load, lambda loc: storage.store(loc, b"")):
        with pytest.raises(BucketNotFoundError, match="no bucket 'never-made-bucket'"):
            attempt(on_s3("never-made-bucket"))


def test_a_wrong_secret_is_an_access_error_that_does_not_show_it(
    settings_env: dict[str, str], bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPACER_AWS_SECRET_ACCESS_KEY", "guessed-secret")
    forget_settings()
    for attempt in (storage.load, storage.version, lambda loc: storage.store(loc, b"")):
        with pytest.raises(StorageAccessError, match=f"s3://{bucket}/key") as caught:
            attempt(on_s3(bucket))
        assert "guessed-secret" not in str(caught.value)


def test_an_unknown_key_id_is_an_access_error(
    settings_env: dict[str, str], bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPACER_AWS_ACCESS_KEY_ID", "nobody")
    forget_settings()
    with pytest.raises(StorageAccessError, match="InvalidAccessKeyId"):
        storage.load(on_s3(bucket))


def test_an_endpoint_that_is_away_is_a_transient_error(
    settings_env: dict[str, str], bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (port,) = free_ports(1)
    monkeypatch.setenv("SPACER_S3_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    forget_settings()
    with pytest.raises(StorageUnavailableError, match=f"s3://{bucket}/key"):
        storage.load(on_s3(bucket))


def test_an_impossible_bucket_name_is_an_input_error(settings_env: dict[str, str]) -> None:
    with pytest.raises(StorageAccessError, match="bucket name"):
        storage.load(on_s3("Not A Bucket"))


# --- filesystem ------------------------------------------------------------------------------


def on_disk(path: Path) -> DataLocation:
    return DataLocation(storage_type="filesystem", key=str(path))


def test_a_write_that_fails_leaves_the_old_content_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "object"
    storage.store(on_disk(path), b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageUnavailableError, match="No space left"):
        storage.store(on_disk(path), b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupted_write_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        storage.store(on_disk(tmp_path / "object"), b"new")
    assert list(tmp_path.iterdir()) == []


def test_a_file_can_be_read_by_whom_the_umask_allows(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        storage.store(on_disk(tmp_path / "object"), b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "object").stat().st_mode) == 0o640


def test_paths_that_are_no_files_are_input_errors(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageAccessError, match=str(tmp_path)):
        storage.load(on_disk(tmp_path))
    with pytest.raises(StorageError, match="file/below"):
        storage.store(on_disk(tmp_path / "file" / "below"), b"")
    with pytest.raises(ObjectNotFoundError, match="file/below"):
        storage.load(on_disk(tmp_path / "file" / "below"))
    with pytest.raises(StorageAccessError, match="no path"):
        storage.load(on_disk(tmp_path / "nul\0byte"))


def test_a_folder_is_never_written_over_whatever_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder" / "full").mkdir(parents=True)
    for key in (".", "folder", "folder/", "new/", str(tmp_path)):
        with pytest.raises(StorageAccessError, match="Is a directory"):
            storage.store(DataLocation(storage_type="filesystem", key=key), b"")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_file_is_not_there_as_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    as_folder = DataLocation(storage_type="filesystem", key=f"{tmp_path}/file/")
    with pytest.raises(ObjectNotFoundError, match="file/"):
        storage.load(as_folder)
    assert not storage.exists(as_folder)


# --- URL -------------------------------------------------------------------------------------


class Site(BaseHTTPRequestHandler):
    """Answers by what the path asks for."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        if "/head-" in self.path:
            self.send_error(int(self.path.rpartition("-")[2]))
            return
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def answer(self, with_body: bool) -> None:
        name = self.path.strip("/")
        if name == "hangs":
            self.server.released.wait(20)  # type: ignore[attr-defined]
            return
        body = b"x" * 1000
        if name.isdigit():
            self.send_response(int(name))
            body = b""
        else:
            self.send_response(200)
        self.send_header("ETag", '"version-1"')
        self.send_header("Content-Length", str(2000 if name == "short" else len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], DataLocation]]:
    """Locations on a small web site of this machine."""
    # a proxy of the environment cannot reach it
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    monkeypatch.setenv("SPACER_ALLOWED_URLS", "127.0.0.1")
    forget_settings()
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        server.daemon_threads = True
        server.released = threading.Event()  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield lambda path: DataLocation.parse(f"http://127.0.0.1:{server.server_port}/{path}")
        server.released.set()  # type: ignore[attr-defined]
        server.shutdown()
        thread.join()
    forget_settings()


Site_ = Callable[[str], DataLocation]


def test_a_page_is_loaded_and_has_the_server_s_version(site: Site_) -> None:
    assert storage.load(site("page")) == b"x" * 1000
    assert storage.version(site("page")) == '"version-1"'


@pytest.mark.parametrize("status", [400, 403, 405, 501])
def test_a_server_that_takes_no_head_has_pages_and_tells_no_version(
    site: Site_, status: int
) -> None:
    """So does a URL that was signed for GET."""
    loc = site(f"head-{status}")
    assert storage.version(loc) is None
    assert storage.load(loc) == b"x" * 1000


@pytest.mark.parametrize("status", [404, 410])
def test_a_missing_page_is_a_missing_object(site: Site_, status: int) -> None:
    with pytest.raises(ObjectNotFoundError, match=f"answers {status}"):
        storage.load(site(str(status)))
    assert not storage.exists(site(str(status)))


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_server_in_trouble_is_a_transient_error(site: Site_, status: int) -> None:
    with pytest.raises(URLUnavailableError, match=f"answers {status}"):
        storage.load(site(str(status)))


@pytest.mark.parametrize("status", [401, 403, 400])
def test_a_refusal_is_final(site: Site_, status: int) -> None:
    with pytest.raises(URLDownloadError, match=f"answers {status}"):
        storage.load(site(str(status)))


def test_a_body_cut_short_is_a_transient_error(site: Site_) -> None:
    with pytest.raises(URLUnavailableError, match="1000 bytes came, 2000 were announced"):
        storage.load(site("short"))


def test_a_page_over_the_limit_is_refused(site: Site_, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACER_URL_MAX_BYTES", "1000")
    forget_settings()
    assert len(storage.load(site("page"))) == 1000
    monkeypatch.setenv("SPACER_URL_MAX_BYTES", "999")
    forget_settings()
    with pytest.raises(URLDownloadError, match="999 bytes of SPACER_URL_MAX_BYTES"):
        storage.load(site("page"))


def test_a_server_that_does_not_answer_is_a_transient_error(
    site: Site_, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPACER_URL_TIMEOUT_S", "0.3")
    forget_settings()
    with pytest.raises(URLUnavailableError, match="timed out"):
        storage.load(site("hangs"))


def test_a_server_that_is_away_is_a_transient_error(
    monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]
) -> None:
    (port,) = free_ports(1)
    monkeypatch.setenv("SPACER_ALLOWED_URLS", f"127.0.0.1:{port}")
    settings_changed()
    with pytest.raises(URLUnavailableError, match=str(port)):
        storage.load(DataLocation.parse(f"http://127.0.0.1:{port}/"))


def test_a_url_can_only_be_read(site: Site_) -> None:
    with pytest.raises(StorageError, match="nothing can be written"):
        storage.store(site("page"), b"")
    with pytest.raises(StorageError, match="cannot be deleted"):
        storage.delete(site("page"))


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/x", "http://[broken"])
def test_other_schemes_and_broken_urls_are_refused(url: str) -> None:
    with pytest.raises(URLDownloadError):
        storage.load(DataLocation(storage_type="url", key=url))
