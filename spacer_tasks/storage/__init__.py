"""S3, the filesystem, memory and URLs behind one interface.

`load`, `store`, `exists`, `delete` and `version` take a `DataLocation`. A stored object is whole
or absent, in every kind of storage.
"""

from __future__ import annotations

from spacer_tasks.data_classes import DataLocation
from spacer_tasks.storage.base import Storage
from spacer_tasks.storage.filesystem import FilesystemStorage
from spacer_tasks.storage.memory import MEMORY
from spacer_tasks.storage.s3 import S3Storage
from spacer_tasks.storage.url import URLStorage


def storage_for(loc: DataLocation) -> Storage:
    """The storage that a location lies in."""
    if loc.storage_type == "s3":
        return S3Storage(loc.bucket_name or "")
    if loc.storage_type == "url":
        return URLStorage()
    if loc.storage_type == "memory":
        return MEMORY
    return FilesystemStorage()


def load(loc: DataLocation) -> bytes:
    """The content of an object.

    Raises
    ------
    ObjectNotFoundError, BucketNotFoundError, StorageAccessError, URLDownloadError
        It cannot be read; trying again cannot help.
    StorageUnavailableError
        The storage did not answer or broke off.
    """
    return storage_for(loc).load(loc.key)


def store(loc: DataLocation, data: bytes) -> None:
    """Write an object, whole or not at all; an older one is replaced. Raises as `load`."""
    storage_for(loc).store(loc.key, data)


def store_once(loc: DataLocation, data: bytes) -> bool:
    """Write an object where there is none; whether it was written. Of several that try at the same
    time one does. Raises as `load`.

    An S3-compatible server that does not know `If-None-Match` replaces an older object.
    """
    return storage_for(loc).store_once(loc.key, data)


def exists(loc: DataLocation) -> bool:
    """Whether there is an object. Raises as `load`."""
    return storage_for(loc).version(loc.key) is not None


def delete(loc: DataLocation) -> None:
    """Remove an object; none there is no error. Raises as `load`."""
    storage_for(loc).delete(loc.key)


def version(loc: DataLocation) -> str | None:
    """A text that changes when the object is replaced, or None where there is no object.

    An S3 object's ETag, a file's modification time and size, a URL's ETag or date.
    """
    return storage_for(loc).version(loc.key)


__all__ = ["Storage", "delete", "exists", "load", "storage_for", "store", "store_once", "version"]
