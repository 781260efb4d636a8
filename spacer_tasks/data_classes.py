"""Locations, labels and validation results, in the reference's JSON.

Feature vectors need numpy and live in `features.py`; this module is what a web process imports.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, KeysView
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    RootModel,
    StrictInt,
    StrictStr,
    field_validator,
    model_serializer,
    model_validator,
)

StorageType = Literal["s3", "filesystem", "memory", "url"]
LabelId = StrictInt | StrictStr
#: (row, column), 0-based; row is y.
Point = tuple[StrictInt, StrictInt]
#: (row, column, label)
Annotation = tuple[StrictInt, StrictInt, LabelId]


def shown_url(url: str) -> str:
    """A URL for errors and logs: no name or password, and no query, which may be a signature.

    The query's hash is in its place, since images may differ in nothing else.
    """
    address, _, query = url.partition("?")
    shown = re.sub(r"//[^/?#]*@", "//***@", address, count=1)
    return f"{shown}?…{hashlib.sha256(query.encode()).hexdigest()[:8]}" if query else shown


class DataLocation(BaseModel):
    """Where a piece of data is: an S3 object, a file, a URL, or a key in memory (tests)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    storage_type: StorageType
    key: Annotated[str, Field(min_length=1)]
    bucket_name: str | None = None

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
        """As errors and logs show it: `uri`, and of a URL what `shown_url` leaves."""
        return shown_url(self.key) if self.storage_type == "url" else self.uri

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


class ImageLabels(RootModel[dict[DataLocation, list[Annotation]]]):
    """Labels of points, for a set of images, each image known by where its features are.

    On the wire it is the reference's: an object whose keys are JSON strings of locations and
    whose values are lists of `[row, column, label]`. The order of images is kept: the splits
    depend on it.
    """

    root: dict[DataLocation, list[Annotation]] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _keys_are_json(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {_location_of_key(key): annotations for key, annotations in data.items()}

    @model_serializer
    def _to_wire(self) -> dict[str, list[Annotation]]:
        return {json.dumps(loc.model_dump()): annotations for loc, annotations in self.root.items()}

    def keys(self) -> KeysView[DataLocation]:
        """Where the images' features are, in order."""
        return self.root.keys()

    def __getitem__(self, loc: DataLocation) -> list[Annotation]:
        return self.root[loc]

    def __len__(self) -> int:
        return len(self.root)

    def annotations(self) -> Iterator[Annotation]:
        """All annotations, image after image."""
        for image in self.root.values():
            yield from image

    def class_counts(self) -> Counter[LabelId]:
        """How many points each label has."""
        return Counter(label for _, _, label in self.annotations())

    @property
    def classes(self) -> set[LabelId]:
        """The labels that occur."""
        return {label for _, _, label in self.annotations()}

    @property
    def label_count(self) -> int:
        """The number of labelled points."""
        return sum(map(len, self.root.values()))

    def filter_classes(self, accepted: Collection[LabelId]) -> ImageLabels:
        """Only the points with an accepted label; images left without any are dropped."""
        kept = {
            loc: [annotation for annotation in annotations if annotation[2] in accepted]
            for loc, annotations in self.root.items()
        }
        return ImageLabels.model_construct({loc: some for loc, some in kept.items() if some})


def _location_of_key(key: Any) -> Any:
    if not isinstance(key, str):
        return key
    try:
        return DataLocation(**json.loads(key))
    except (ValueError, TypeError) as error:
        raise ValueError(f"the key {key[:200]!r} is not the JSON of a location") from error


class ValResults(BaseModel):
    """What a classifier answered on the validation set: the reference's `valresult` JSON.

    `gt` and `est` are indices into `classes`; `scores` holds the highest probability of each
    point.
    """

    model_config = ConfigDict(extra="forbid")

    scores: list[float]
    gt: list[int]
    est: list[int]
    classes: list[LabelId]

    @field_validator("classes")
    @classmethod
    def _not_empty(cls, classes: list[LabelId]) -> list[LabelId]:
        if not classes:
            raise ValueError("classes is empty")
        return classes

    @model_validator(mode="after")
    def _consistent(self) -> ValResults:
        if not len(self.scores) == len(self.gt) == len(self.est):
            raise ValueError(
                f"scores, gt and est have {len(self.scores)}, {len(self.gt)} and {len(self.est)}"
                " entries; expected the same number"
            )
        for name in ("gt", "est"):
            indices: list[int] = getattr(self, name)
            if indices and not 0 <= min(indices) <= max(indices) < len(self.classes):
                raise ValueError(f"{name} has an index outside 0 to {len(self.classes) - 1}")
        return self
