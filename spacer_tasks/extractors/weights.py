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
from pathlib import Path
from typing import NamedTuple

from spacer_tasks import storage
from spacer_tasks.config import get_settings
from spacer_tasks.data_classes import DataLocation
from spacer_tasks.exceptions import ConfigError, HashMismatchError, SpacerError
from spacer_tasks.storage.filesystem import FilesystemStorage

log = logging.getLogger(__name__)

#: version of a URL whose server names neither an ETag nor a date: it cannot tell one file from
#: another of the same length
NO_VERSION = "length-"


class ExtractorFile(NamedTuple):
    """Content of a file, its SHA-256 in hex, and whether it was downloaded just now."""

    data: bytes
    sha256: str
    downloaded: bool


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
    version = storage.version(loc) if expected is None else None
    may_keep = expected is not None or _tells_objects_apart(version)
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
        raise HashMismatchError(
            f"{loc}: the file's SHA-256 is {found}, the message expects {expected}"
        )
    return ExtractorFile(data, found, downloaded)


def _tells_objects_apart(version: str | None) -> bool:
    return version is not None and not version.startswith(NO_VERSION)


def _slot(loc: DataLocation, version: str | None) -> str:
    """Stands for one object at one place; a hash, for a key may be longer than a file's name."""
    endpoint = get_settings().s3_endpoint_url if loc.storage_type == "s3" else None
    place = json.dumps([endpoint, loc.model_dump(), version], sort_keys=True)
    return hashlib.sha256(place.encode()).hexdigest()


def _kept_file(slot: str, expected: str | None) -> ExtractorFile | None:
    disk = FilesystemStorage()
    for path in _folder().glob(f"{slot}-*"):
        # a message's hash is compared, and never part of a path or pattern
        if expected is not None and path.name != f"{slot}-{expected}":
            continue
        try:
            data = disk.load(str(path))
        except SpacerError as error:
            log.warning("a kept extractor file cannot be read: %s", error)
            continue
        found = hashlib.sha256(data).hexdigest()
        if path.name == f"{slot}-{found}":
            return ExtractorFile(data, found, downloaded=False)
        log.warning("%s is damaged; it is deleted and downloaded again", path)
        disk.delete(str(path))
    return None


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
