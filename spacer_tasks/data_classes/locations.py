"""Where an object is: on S3, in a folder, in memory, behind a URL; in the reference's JSON."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    model_validator,
)

from spacer_tasks.printable import printable, shown_url

#: fields of which each is told that it is unknown: a message has fewer than 20
MAX_UNKNOWN = 100
StorageType = Literal["s3", "filesystem", "memory", "url"]


def few_unknown(cls: type[BaseModel], data: Any) -> Any:
    """`data`, unless it has so many unknown fields that an error for each takes gigabytes."""
    if isinstance(data, Mapping) and len(data) > MAX_UNKNOWN + len(cls.model_fields):
        raise ValueError(
            f"{len(data)} fields, expected {', '.join(list(cls.model_fields)[:12])} or fewer"
        )
    return data


class DataLocation(BaseModel):
    """Where a piece of data is: an S3 object, a file, a URL, or a key in memory (tests)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    storage_type: StorageType
    key: Annotated[str, Field(min_length=1)]
    bucket_name: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _few_unknown_fields(cls, data: Any) -> Any:
        return few_unknown(cls, data)

    @model_validator(mode="after")
    def _s3_has_a_bucket(self) -> DataLocation:
        if self.storage_type == "s3" and not self.bucket_name:
            raise ValueError("a location on s3 needs a bucket_name")
        return self

    @classmethod
    def parse(cls, uri: str) -> DataLocation:
        """The location that a person writes as `s3://bucket/key`, `https://…` or a path."""
        scheme, _, rest = uri.partition("://")
        if scheme == "s3":
            bucket, _, key = rest.partition("/")
            return cls(storage_type="s3", bucket_name=bucket, key=key)
        if scheme in ("http", "https"):
            return cls(storage_type="url", key=uri)
        if scheme == "memory":
            return cls(storage_type="memory", key=rest)
        if scheme == "file":
            return cls(storage_type="filesystem", key=rest)
        return cls(storage_type="filesystem", key=uri)

    @property
    def uri(self) -> str:
        """The location as a person writes it; the inverse of `parse`."""
        if self.storage_type == "s3":
            return f"s3://{self.bucket_name}/{self.key}"
        if self.storage_type == "memory":
            return f"memory://{self.key}"
        return self.key

    def __str__(self) -> str:
        """As errors and logs show it: `uri` on one line, and of a URL what `shown_url` leaves.

        Also of a key that looks like a URL: who wrote it there may have meant one.
        """
        is_url = self.storage_type == "url" or "://" in self.key
        return printable(shown_url(self.uri) if is_url else self.uri)

    @property
    def filename(self) -> str:
        """The last part of the path, without a URL's query."""
        path = urlsplit(self.key).path if self.storage_type == "url" else self.key
        return PurePosixPath(path).name

    @property
    def is_remote(self) -> bool:
        """Whether reading it crosses a network."""
        return self.storage_type in ("s3", "url")

    @property
    def is_writable(self) -> bool:
        """Whether something can be stored there."""
        return self.storage_type != "url"

    def joined(self, *parts: str) -> DataLocation:
        """The location `parts` below this one, which is taken as a folder or prefix."""
        key = "/".join([self.key.rstrip("/"), *parts])
        return self.model_copy(update={"key": key})

    def with_suffix(self, suffix: str) -> DataLocation:
        """This location with its last extension replaced; `suffix` starts with a dot."""
        return self.model_copy(update={"key": str(PurePosixPath(self.key).with_suffix(suffix))})
