"""An extractor's files: loaded, their SHA-256 checked, remote ones kept on disk.

A kept file is named by where it came from, by which of the objects that were ever there it is, and
by its own SHA-256. So two locations never share a file, an object that was replaced is downloaded
again, and a kept file that was damaged is noticed whether or not the message gives a hash.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

from spacer_tasks import storage
from spacer_tasks.config.settings import get_settings
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import ConfigError, HashMismatchError, SpacerError
from spacer_tasks.storage.filesystem import FilesystemStorage, file_errors
from spacer_tasks.storage.policy import permitted

log = logging.getLogger(__name__)

#: bytes hashed at a time
HASHED = 2**20


class ExtractorFile(NamedTuple):
    """Content of a file, its SHA-256 in hex, and whether it was downloaded just now."""

    data: bytes
    sha256: str
    downloaded: bool


class OpenedFile(NamedTuple):
    """A file open for reading, at its start; its SHA-256, and whether it was downloaded just now.

    For files that are half a gigabyte: they are read into what is made of them, and never held
    whole beside it.
    """

    stream: BinaryIO
    sha256: str
    downloaded: bool


def open_file(loc: DataLocation, sha256: str | None = None) -> OpenedFile:
    """As `load_file`, with the file open instead of loaded. The caller closes it."""
    expected = None if sha256 is None else sha256.lower()
    place, key = storage.storage_for(loc)
    if isinstance(place, FilesystemStorage):
        stream = place.open(key)
        found = _sha256_of(stream)
        if expected not in (None, found):
            stream.close()
            raise _mismatch(loc, found, expected)
        return OpenedFile(stream, found, downloaded=False)
    version = storage.version(loc) if loc.is_remote and expected is None else None
    may_be_kept = loc.is_remote and (expected is not None or storage.tells_apart(version))
    slot = _slot(loc, version)
    kept = _open_kept(slot, expected) if may_be_kept else None
    if kept is not None:
        return kept
    file = load_file(loc, sha256)
    kept = _open_kept(slot, file.sha256) if may_be_kept else None
    if kept is not None:
        return kept._replace(downloaded=file.downloaded)
    # it could not be kept
    return OpenedFile(BytesIO(file.data), file.sha256, file.downloaded)


def load_file(loc: DataLocation, sha256: str | None = None) -> ExtractorFile:
    """The file at a location; remote ones (S3, URL) come from the disk where they are kept.

    Parameters
    ----------
    loc
        Where the file is.
    sha256
        What its SHA-256 must be, in hex. It is checked on kept files as on new ones; and with it
        a kept file needs no request to the remote side.

    Raises
    ------
    HashMismatchError
        The file has another SHA-256.
    ConfigError
        There is no folder to keep files in, and the setting for it is missing.
    StorageError, StorageUnavailableError
        As `storage.load`.
    """
    expected = None if sha256 is None else sha256.lower()
    if not loc.is_remote:
        return _checked(loc, storage.load(loc), expected, downloaded=False)
    # a kept file is not asked for at the storage, which looks too
    permitted(loc)
    version = storage.version(loc) if expected is None else None
    may_keep = expected is not None or storage.tells_apart(version)
    slot = _slot(loc, version)
    if may_keep:
        kept = _kept_file(slot, expected)
        if kept is not None:
            return kept
    file = _checked(loc, storage.load(loc), expected, downloaded=True)
    # an object replaced between the two requests must not be kept as the older one
    if may_keep and (expected is not None or storage.version(loc) == version):
        _keep(slot, file)
    return file


def _checked(
    loc: DataLocation, data: bytes, expected: str | None, *, downloaded: bool
) -> ExtractorFile:
    found = hashlib.sha256(data).hexdigest()
    if expected is not None and found != expected:
        raise _mismatch(loc, found, expected)
    return ExtractorFile(data, found, downloaded)


def _mismatch(loc: DataLocation, found: str, expected: str | None) -> HashMismatchError:
    return HashMismatchError(
        f"{loc}: the file's SHA-256 is {found}, the message expects {expected}"
    )


def _sha256_of(stream: BinaryIO) -> str:
    """Of the whole file, which is then at its start again."""
    digest, buffer = hashlib.sha256(), bytearray(HASHED)
    with file_errors(getattr(stream, "name", "a file")):
        while count := stream.readinto(buffer):  # type: ignore[attr-defined]
            digest.update(memoryview(buffer)[:count])
        stream.seek(0)
    return digest.hexdigest()


def _slot(loc: DataLocation, version: str | None) -> str:
    """Stands for one object at one place; a hash, for a key may be longer than a file's name."""
    endpoint = get_settings().s3_endpoint_url if loc.storage_type == "s3" else None
    place = json.dumps([endpoint, loc.model_dump(), version], sort_keys=True)
    return hashlib.sha256(place.encode()).hexdigest()


def _kept_file(slot: str, expected: str | None) -> ExtractorFile | None:
    disk = FilesystemStorage()
    for path in _kept_paths(slot, expected):
        try:
            data = disk.load(str(path))
        except SpacerError as error:
            log.warning("a kept extractor file cannot be read: %s", error)
            continue
        found = hashlib.sha256(data).hexdigest()
        if path.name == f"{slot}-{found}":
            return ExtractorFile(data, found, downloaded=False)
        _delete_damaged(path)
    return None


def _open_kept(slot: str, expected: str | None) -> OpenedFile | None:
    """As `_kept_file`, opened."""
    for path in _kept_paths(slot, expected):
        try:
            stream = FilesystemStorage().open(str(path))
        except SpacerError as error:
            log.warning("a kept extractor file cannot be read: %s", error)
            continue
        found = _sha256_of(stream)
        if path.name == f"{slot}-{found}":
            return OpenedFile(stream, found, downloaded=False)
        stream.close()
        _delete_damaged(path)
    return None


def _kept_paths(slot: str, expected: str | None) -> Iterator[Path]:
    for path in _folder().glob(f"{slot}-*"):
        # a message's hash is compared, and never part of a path or pattern
        if expected is None or path.name == f"{slot}-{expected}":
            yield path


def _delete_damaged(path: Path) -> None:
    log.warning("%s is damaged; it is deleted and downloaded again", path)
    FilesystemStorage().delete(str(path))


def _keep(slot: str, file: ExtractorFile) -> None:
    try:
        FilesystemStorage().store(str(_folder() / f"{slot}-{file.sha256}"), file.data)
    except SpacerError as error:
        # the file is at hand: a full or read-only disk costs the next process a download, no more
        log.warning("an extractor file cannot be kept: %s", error)


def _folder() -> Path:
    """The setting, or a folder in the user's cache (XDG Base Directory Specification 0.8)."""
    folder = get_settings().extractors_cache_dir
    if folder is not None:
        return folder
    base = os.environ.get("XDG_CACHE_HOME", "")
    # the specification has relative paths ignored
    if Path(base).is_absolute():
        return Path(base) / "spacer-tasks" / "extractors"
    try:
        return Path.home() / ".cache" / "spacer-tasks" / "extractors"
    except RuntimeError:
        raise ConfigError(
            "this user has no home folder to keep extractor files in;"
            " set SPACER_EXTRACTORS_CACHE_DIR"
        ) from None
