"""How messages go to JSON and back: field by field."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from spacer_tasks.compat.data_classes.base import DataClass

Self = TypeVar("Self", bound="Message")
#: how each field is read from JSON
Readers = Mapping[str, Callable[[Any], Any]]


class Message(DataClass):
    """Its fields are the arguments that it is made from. Keys of a dict that are none are passed
    over, and one that is missing is a KeyError, as with the reference.
    """

    READERS: ClassVar[Readers]

    @classmethod
    def deserialize(cls: type[Self], data: Any) -> Self:
        return cls(**{name: read(data[name]) for name, read in cls.READERS.items()})

    def serialize(self) -> dict[str, Any]:
        return {name: _wire(getattr(self, name)) for name in self.READERS}


def as_it_is(value: Any) -> Any:
    """A field that JSON holds as it is."""
    return value


def _wire(value: Any) -> Any:
    if hasattr(value, "serialize"):
        return value.serialize()
    if isinstance(value, list) and value and hasattr(value[0], "serialize"):
        return [each.serialize() for each in value]
    return str(value) if isinstance(value, Path) else value
