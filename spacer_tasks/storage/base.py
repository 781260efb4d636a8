"""What every storage can do."""

from __future__ import annotations

from abc import ABC, abstractmethod

from spacer_tasks.config.settings import get_settings
from spacer_tasks.exceptions import DataLimitError, StorageAccessError

#: begins the version of a URL whose server names neither an ETag nor a date
LENGTH_ALONE = "length-"


class Storage(ABC):
    """Objects by key. A stored object is whole or absent; a failed store leaves the older one."""

    @abstractmethod
    def load(self, key: str) -> bytes:
        """The object's content."""

    def load_version(self, key: str) -> tuple[bytes, str | None]:
        """The object's content and its version; an older one where it was replaced meanwhile."""
        version = self.version(key)
        return self.load(key), version

    @abstractmethod
    def store(self, key: str, data: bytes) -> None:
        """Write the object, replacing an older one."""

    def store_once(self, key: str, data: bytes) -> bool:
        """Write the object where there is none; whether it was written. Of several that try at
        the same time one does.
        """
        raise StorageAccessError(f"{key}: this storage cannot be written to")

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove the object, if it is there."""

    @abstractmethod
    def version(self, key: str) -> str | None:
        """A text that changes when the object is replaced; None where there is none, or where its
        server does not say.
        """


def check_size(size: int, name: str) -> None:
    """Refuse an object before its content is read into memory; `name` says which.

    Raises
    ------
    DataLimitError
        It has more bytes than `SPACER_MAX_OBJECT_BYTES`.
    """
    limit = get_settings().max_object_bytes
    if size > limit:
        raise DataLimitError(
            f"{name}: {size} bytes, more than the {limit} of SPACER_MAX_OBJECT_BYTES"
        )
