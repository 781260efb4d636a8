"""Where a command writes when its work is done, looked at before the work begins."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from spacer_tasks import storage
from spacer_tasks.cli.options import location
from spacer_tasks.cli.selection import IMAGE_SUFFIXES
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import InputError, StorageAccessError, StorageError
from spacer_tasks.storage.policy import permitted

#: how files are named that a command reads many of: photos, features, Coral Point Count's
READ_ONLY = (*IMAGE_SUFFIXES, ".npz", ".featurevector", ".cpc")


def check_outputs(
    outputs: Iterable[str | Path | None], sources: Iterable[str | None], *, here: bool = True
) -> None:
    """Refuse files that cannot be written, or over which the work would lose what it is made of.

    Parameters
    ----------
    outputs
        The files to be written; None for one that is not wanted.
    sources
        What the command reads; None for what is not given.
    here
        Whether this process writes them; of what a worker writes, its rights are not known here.

    Raises
    ------
    InputError
        A file is one of the sources, or one of the files of a source that is a folder; or two
        files have one place; or it has the name of a photo, of features or of a `.cpc` file.
    StorageError
        It is a URL or a folder, or its folder takes no files.
    """
    read = [location(each) for each in sources if each]
    written: set[DataLocation] = set()
    for output in map(str, filter(None, outputs)):
        loc = location(output)
        if loc in written:
            raise InputError(f"{output} would be written twice; another place for one of both")
        written.add(loc)
        if any(_holds(each, loc) for each in read):
            raise InputError(f"{output} would be written over what it is made of; another place")
        if output.lower().endswith(READ_ONLY):
            raise InputError(
                f"{output} has the name of a photo or of features, which are never written here;"
                " another name"
            )
        if output.endswith("/"):
            raise StorageAccessError(f"{output}: a folder; expected the name of a file")
        if not loc.is_writable:
            raise StorageError(f"{loc}: nothing can be written to a URL")
        if here:
            permitted(loc, to_write=True)
        if loc.storage_type == "filesystem":
            path = Path(loc.key)
            if path.is_dir():
                raise StorageAccessError(f"{path}: a folder; expected the name of a file")
            if here:
                _check_folder(path)


def folder_for(text: str, *, here: bool = True) -> DataLocation:
    """The folder that files are written to, looked at before the work begins.

    Parameters
    ----------
    here
        As in `check_outputs`.

    Raises
    ------
    StorageError
        It is a URL or a file, or takes no files.
    """
    loc = location(text)
    if not loc.is_writable:
        raise StorageError(f"{loc}: nothing can be written to a URL; expected a folder")
    if loc.storage_type == "filesystem":
        path = Path(loc.key)
        if path.is_file():
            raise StorageAccessError(f"{path}: a file; expected a folder")
        if here:
            permitted(loc, to_write=True)
            _check_folder(path / "any")
    return loc


def check_cpc_files(folder: str, points: str | None) -> None:
    """Refuse a folder for `.cpc` files where those are that the points are read from.

    Raises
    ------
    InputError
        A file that is read is in the folder.
    StorageError
        As `folder_for`.
    """
    output = folder_for(folder)
    source = location(points) if points else None
    if source is None or source.storage_type != output.storage_type:
        return
    if source.storage_type == "filesystem":
        path, place = Path(source.key), Path(output.key).resolve()
        read = path.rglob("*") if path.is_dir() else [path]
        over = [
            str(each)
            for each in read
            if each.suffix.lower() == ".cpc" and place in each.resolve().parents
        ]
    else:
        inside = source.bucket_name == output.bucket_name and (
            f"{source.key.rstrip('/')}/".startswith(f"{output.key.rstrip('/')}/")
        )
        over = [str(source)] if inside else []
    if over:
        raise InputError(
            f"{folder}: there are the .cpc files that the points are read from, such as {over[0]};"
            " another folder"
        )


def _holds(source: DataLocation, output: DataLocation) -> bool:
    if source == output:
        return True
    if source.storage_type == output.storage_type == "s3":
        # an object below a prefix that is read
        return (
            source.bucket_name == output.bucket_name
            and output.key.startswith(source.key.rstrip("/") + "/")
            and storage.exists(output)
        )
    if {source.storage_type, output.storage_type} != {"filesystem"}:
        return False
    there, path = Path(source.key), Path(output.key)
    if not (there.exists() and path.is_file()):
        return False
    # links, and file systems that do not heed the case
    return there.samefile(path) or there.resolve() in path.resolve().parents


def _check_folder(path: Path) -> None:
    folder = next(each for each in path.parents if os.path.lexists(each))
    if not folder.is_dir():
        raise StorageAccessError(f"{path}: {folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StorageAccessError(f"{path}: nothing can be written to {folder}")
