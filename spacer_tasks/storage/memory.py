"""Objects in this process's memory: for tests, never for workers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from spacer_tasks.exceptions import ObjectNotFoundError
from spacer_tasks.storage.base import Storage
from spacer_tasks.storage.fence import pass_fence


class MemoryStorage(Storage):
    """A dict of bytes."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}

    def load(self, key: str) -> bytes:
        try:
            return self._blobs[key]
        except KeyError as error:
            raise ObjectNotFoundError(f"no object {key!r} in memory") from error

    def store(self, key: str, data: bytes) -> None:
        pass_fence()
        self._blobs[key] = bytes(data)

    def store_once(self, key: str, data: bytes) -> bool:
        pass_fence()
        ours = bytes(data)
        return self._blobs.setdefault(key, ours) is ours

    def delete(self, key: str) -> None:
        pass_fence()
        self._blobs.pop(key, None)

    def version(self, key: str) -> str | None:
        data = self._blobs.get(key)
        return None if data is None else hashlib.sha256(data).hexdigest()

    @contextmanager
    def restored(self) -> Iterator[None]:
        """What is stored or removed within the block is not any more, at its end."""
        before = dict(self._blobs)
        try:
            yield
        finally:
            self._blobs = before

    def clear(self) -> None:
        """Forget everything, between tests."""
        self._blobs.clear()


#: a location in memory has no name for its owner, so the process has one
MEMORY = MemoryStorage()
