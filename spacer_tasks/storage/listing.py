"""What lies below a folder or prefix."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from spacer_tasks import storage
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import ObjectNotFoundError, StorageError
from spacer_tasks.storage.filesystem import file_errors
from spacer_tasks.storage.policy import permitted
from spacer_tasks.storage.s3 import client, s3_errors


class Found(NamedTuple):
    """Objects by their path below a folder, or one that was named by itself (`single`)."""

    files: dict[str, DataLocation]
    single: bool


@dataclass(frozen=True)
class Entry:
    """One object below a folder.

    Attributes
    ----------
    name
        Its path below the folder.
    bytes
        Its size.
    stored_at
        Seconds since 1970, on the storage's clock.
    """

    name: str
    bytes: int
    stored_at: float


def list_below(folder: DataLocation) -> dict[str, DataLocation]:
    """The objects below a folder or prefix, at any depth, by their path relative to it, sorted.

    Hidden files and folders are left out: what is being written has such a name.

    Raises
    ------
    StorageError
        The kind of storage cannot be listed, or the folder, bucket or access is missing.
    StorageUnavailableError
        The storage did not answer.
    """
    return {name: folder.joined(name) for name in sorted(names_below(folder))}


def names_below(folder: DataLocation) -> Iterator[str]:
    """The keys of `list_below` one by one, unsorted: of millions none need be kept.

    Raises as `list_below`.
    """
    folder = permitted(folder)
    if folder.storage_type == "s3":
        names: Iterator[str] = (entry.name for entry in _s3_entries(folder))
    elif folder.storage_type == "filesystem":
        names = _file_names(folder)
    else:
        raise _not_listable(folder)
    return (name for name in names if not any(part.startswith(".") for part in name.split("/")))


def entries_below(folder: DataLocation) -> Iterator[Entry]:
    """All objects below a folder or prefix one by one, unsorted, with their sizes and ages; hidden
    ones too. None where there is no such folder. Otherwise raises as `list_below`.
    """
    folder = permitted(folder)
    if folder.storage_type == "s3":
        return _s3_entries(folder)
    if folder.storage_type == "filesystem":
        return _file_entries(folder)
    raise _not_listable(folder)


def _not_listable(folder: DataLocation) -> StorageError:
    return StorageError(f"{folder}: a {folder.storage_type} location cannot be listed")


def list_at(loc: DataLocation) -> Found:
    """The object at a location, by its file name, or what lies below it.

    Raises
    ------
    ObjectNotFoundError
        There is neither.
    StorageError, StorageUnavailableError
        As `list_below`.
    """
    single = Found({loc.filename: loc}, single=True)
    if loc.storage_type == "url":
        return single
    if loc.storage_type == "filesystem":
        try:
            return Found(list_below(loc), single=False)
        except ObjectNotFoundError:
            if storage.exists(loc):
                return single
            raise
    files = list_below(loc)
    if files:
        return Found(files, single=False)
    if storage.exists(loc):
        return single
    raise ObjectNotFoundError(f"{loc}: there is no such object, and none below it")


def _s3_entries(folder: DataLocation) -> Iterator[Entry]:
    bucket, prefix = folder.bucket_name or "", folder.key.rstrip("/") + "/"
    with s3_errors(bucket, prefix):
        pages = client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        for page in pages:
            for item in page.get("Contents", []):
                name = item["Key"].removeprefix(prefix)
                # a web console stores an empty object as a "folder"
                if name and not name.endswith("/"):
                    yield Entry(name, item["Size"], item["LastModified"].timestamp())


def _file_entries(folder: DataLocation) -> Iterator[Entry]:
    root = Path(folder.key)
    with file_errors(folder.key):
        # a folder that is not there, or goes meanwhile, holds nothing
        for path, _, files in os.walk(root, followlinks=False):
            for name in files:
                file = Path(path) / name
                try:
                    status = file.lstat()
                except FileNotFoundError:
                    continue
                yield Entry(file.relative_to(root).as_posix(), status.st_size, status.st_mtime)


def _file_names(folder: DataLocation) -> Iterator[str]:
    def fail(error: OSError) -> None:
        raise error

    with file_errors(folder.key):
        for path, folders, files in os.walk(folder.key, onerror=fail, followlinks=False):
            folders[:] = [name for name in folders if not name.startswith(".")]
            below = Path(path).relative_to(folder.key)
            yield from ((below / name).as_posix() for name in files)
