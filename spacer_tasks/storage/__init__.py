"""S3, the filesystem, memory and URLs behind one interface.

`load`, `store`, `exists`, `delete` and `version` take a `DataLocation`. A stored object is whole
or absent, in every kind of storage. Here is the one door: which locations pass it is decided in
`policy.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import StorageError, StorageUnavailableError
from spacer_tasks.storage.base import LENGTH_ALONE, Storage
from spacer_tasks.storage.filesystem import FilesystemStorage
from spacer_tasks.storage.memory import MEMORY
from spacer_tasks.storage.policy import permitted
from spacer_tasks.storage.s3 import S3Storage
from spacer_tasks.storage.url import URLStorage


def storage_for(loc: DataLocation, *, to_write: bool = False) -> tuple[Storage, str]:
    """The storage that a location lies in, and the key to use there.

    Raises
    ------
    LocationNotAllowedError
        The operator has not allowed the location.
    """
    loc = permitted(loc, to_write=to_write)
    if loc.storage_type == "s3":
        return S3Storage(loc.bucket_name or ""), loc.key
    if loc.storage_type == "url":
        return URLStorage(), loc.key
    if loc.storage_type == "memory":
        return MEMORY, loc.key
    return FilesystemStorage(), loc.key


def load(loc: DataLocation) -> bytes:
    """The content of an object.

    Raises
    ------
    LocationNotAllowedError
        The operator has not allowed the location.
    ObjectNotFoundError, BucketNotFoundError, StorageAccessError, URLDownloadError
        It cannot be read; trying again cannot help.
    DataLimitError
        It is larger than `SPACER_MAX_OBJECT_BYTES`.
    StorageUnavailableError
        The storage did not answer or broke off.
    """
    storage, key = storage_for(loc)
    with _about(loc):
        return storage.load(key)


def load_version(loc: DataLocation) -> tuple[bytes, str | None]:
    """The content of an object and its `version`, in one request where the storage can do so.

    An object that is replaced meanwhile has the older version: who compares it later finds another.
    Raises as `load`.
    """
    storage, key = storage_for(loc)
    with _about(loc):
        return storage.load_version(key)


def store(loc: DataLocation, data: bytes) -> None:
    """Write an object, whole or not at all; an older one is replaced. Raises as `load`."""
    storage, key = storage_for(loc, to_write=True)
    with _about(loc):
        storage.store(key, data)


def store_once(loc: DataLocation, data: bytes) -> bool:
    """Write an object where there is none; whether it was written. Of several that try at the same
    time one does. Raises as `load`.

    An S3-compatible server that does not know `If-None-Match` replaces an older object.
    """
    storage, key = storage_for(loc, to_write=True)
    with _about(loc):
        return storage.store_once(key, data)


def exists(loc: DataLocation) -> bool:
    """Whether there is an object; not of a URL whose server answers GET alone. Raises as `load`."""
    return version(loc) is not None


def delete(loc: DataLocation) -> None:
    """Remove an object; none there is no error. Raises as `load`."""
    storage, key = storage_for(loc, to_write=True)
    with _about(loc):
        storage.delete(key)


def version(loc: DataLocation) -> str | None:
    """A text that changes when the object is replaced, or None where there is no object.

    An S3 object's ETag, a file's modification time and size, a URL's ETag or date; also None for a
    URL whose server does not say because it answers GET alone. See `tells_apart`.
    """
    storage, key = storage_for(loc)
    with _about(loc):
        return storage.version(key)


@contextmanager
def _about(loc: DataLocation) -> Iterator[None]:
    """Let an error of the storage say by itself which location it is about."""
    try:
        yield
    except (StorageError, StorageUnavailableError) as error:
        error.location = loc
        raise


def tells_apart(version: str | None) -> bool:
    """Whether a `version` is another one after the object is replaced: not where there is none, and
    not of a URL whose server names neither an ETag nor a date, for its length can stay the same.
    """
    return version is not None and not version.startswith(LENGTH_ALONE)


__all__ = [
    "Storage",
    "delete",
    "exists",
    "load",
    "load_version",
    "storage_for",
    "store",
    "store_once",
    "tells_apart",
    "version",
]
