"""What the reference's data classes and messages have in common."""

from __future__ import annotations

import json
from abc import ABC
from pprint import pformat
from typing import Any, Protocol, TypeVar

from spacer_tasks import storage
from spacer_tasks.compat.raising import as_the_reference
from spacer_tasks.data_classes.locations import DataLocation

Self = TypeVar("Self", bound="DataClass")


class Located(Protocol):
    """A location of compat's."""

    def ours(self) -> DataLocation:
        """The same as this project writes it."""


class DataClass(ABC):  # noqa: B024 -- what a subclass must define differs
    """Fields that go into JSON and back, into storage and back."""

    @classmethod
    def load(cls: type[Self], loc: Located) -> Self:
        """What the JSON at a location holds."""
        with as_the_reference():
            data = storage.load(loc.ours())
        return cls.deserialize(json.loads(data.decode()))

    def store(self, loc: Located) -> None:
        """Write it as JSON."""
        with as_the_reference():
            storage.store(loc.ours(), json.dumps(self.serialize()).encode())

    @classmethod
    def example(cls: type[Self]) -> Self:
        """An instance to look at, and for tests."""
        raise NotImplementedError

    @classmethod
    def deserialize(cls: type[Self], data: Any) -> Self:
        """What a dict of fields stands for."""
        return cls(**data)

    def serialize(self) -> Any:
        """The fields, JSON-ready."""
        return self.__dict__

    def __repr__(self) -> str:
        return pformat(vars(self))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DataClass):
            return NotImplemented
        return vars(self) == vars(other)
