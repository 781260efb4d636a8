"""Many objects removed at once: of a prefix on S3 or a folder, for who clears up."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from spacer_tasks import storage
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import StorageError, StorageUnavailableError
from spacer_tasks.storage.policy import permitted
from spacer_tasks.storage.s3 import client, s3_errors

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

#: what one request to S3 removes at most
AT_ONCE = 1000


def remove_below(folder: DataLocation, names: Sequence[str]) -> dict[str, str]:
    """Remove objects by their paths below a folder; those that stayed, each with the reason.

    One that is not there is no error. Folders of files that are empty then go as well, but not the
    one that is named.

    Raises
    ------
    LocationNotAllowedError
        The operator has not allowed the location.
    StorageError, StorageUnavailableError
        S3 took none of them: it did not answer, or refused the whole request.
    """
    folder = permitted(folder, to_write=True)
    if folder.storage_type == "s3":
        return _remove_from_s3(folder, names)
    stayed = {}
    for name in names:
        try:
            storage.delete(folder.joined(name))
        except (StorageError, StorageUnavailableError) as error:
            stayed[name] = str(error)
    if folder.storage_type == "filesystem":
        _remove_empty(Path(folder.key), names)
    return stayed


def _remove_from_s3(folder: DataLocation, names: Sequence[str]) -> dict[str, str]:
    bucket, prefix = folder.bucket_name or "", folder.key.rstrip("/") + "/"
    stayed = {}
    for start in range(0, len(names), AT_ONCE):
        keys: list[ObjectIdentifierTypeDef] = [
            {"Key": prefix + name} for name in names[start : start + AT_ONCE]
        ]
        with s3_errors(bucket, prefix):
            answer = client().delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
        for error in answer.get("Errors", []):
            name = error.get("Key", "").removeprefix(prefix)
            stayed[name] = f"{error.get('Code', '')}: {error.get('Message', '')}"
    return stayed


def _remove_empty(root: Path, names: Sequence[str]) -> None:
    for parent in {(root / name).parent for name in names}:
        for folder in (parent, *parent.parents):
            if folder == root or root not in folder.parents:
                break
            # not empty, or not there
            with suppress(OSError):
                folder.rmdir()
