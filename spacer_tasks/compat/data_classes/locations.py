"""The reference's `DataLocation`."""

from __future__ import annotations

from typing import Any

from spacer_tasks.compat import config
from spacer_tasks.compat.data_classes.base import DataClass
from spacer_tasks.data_classes import locations
from spacer_tasks.messages.parsing import parse


class DataLocation(DataClass):
    """Where a piece of data is: on S3, in a file, in memory, behind a URL."""

    def __init__(self, storage_type: str, key: str, bucket_name: str | None = None) -> None:
        assert storage_type in config.STORAGE_TYPES, "Storage type not valid."
        if storage_type == "s3":
            assert bucket_name is not None, "Need bucket_name to use s3."
        self.storage_type = storage_type
        self.key = key
        self.bucket_name = bucket_name

    def ours(self) -> locations.DataLocation:
        """The same as this project writes it."""
        return parse(locations.DataLocation, self.serialize())

    @classmethod
    def example(cls) -> DataLocation:
        return cls("memory", "my_blob")

    @property
    def filename(self) -> str:
        """The last part of the path, without a URL's query."""
        return self.ours().filename

    @property
    def is_remote(self) -> bool:
        """Whether reading it crosses a network."""
        return self.storage_type in ("url", "s3")

    @property
    def is_writable(self) -> bool:
        """Whether something can be stored there."""
        return self.storage_type != "url"

    def serialize(self) -> dict[str, Any]:
        return {
            "storage_type": self.storage_type,
            "key": self.key,
            "bucket_name": self.bucket_name,
        }

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DataLocation) and self.serialize() == other.serialize()

    def __hash__(self) -> int:
        return hash((self.storage_type, self.key, self.bucket_name))
