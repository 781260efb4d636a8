"""The files of an extractor of one's own: loaded, checked, and kept where they come from afar."""

from __future__ import annotations

import hashlib
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

from spacer_tasks.compat import config
from spacer_tasks.compat.data_classes.locations import DataLocation
from spacer_tasks.compat.exceptions import ConfigError, HashMismatchError
from spacer_tasks.compat.storage import storage_factory


class ExtractorFiles:
    """Files by key.

    Parameters
    ----------
    data_locations
        Where they are, by the keys of `DATA_LOCATION_KEYS`.
    data_hashes
        SHA-256 in hex of those that are to be checked.
    """

    DATA_LOCATION_KEYS: ClassVar[list[str]] = []

    def __init__(
        self,
        data_locations: dict[str, DataLocation],
        data_hashes: dict[str, str] | None = None,
        **_: Any,
    ) -> None:
        for key in self.DATA_LOCATION_KEYS:
            if key not in data_locations:
                raise ValueError(
                    f"{key} must be present in data_locations for {type(self).__name__}."
                )
        self.data_locations = data_locations
        self.data_hashes = data_hashes or {}

    def _check_data_hash(self, data: bytes, key: str) -> None:
        if self.data_hashes.get(key, found := hashlib.sha256(data).hexdigest()) != found:
            raise HashMismatchError(f"Hash doesn't match for extractor's '{key}' file/blob.")

    def data_filepath_for_cache(self, key: str) -> Path:
        """Where a file that is loaded from afar is kept: by its name in `EXTRACTORS_CACHE_DIR`."""
        if not config.EXTRACTORS_CACHE_DIR:
            raise ConfigError(
                "Must define EXTRACTORS_CACHE_DIR to load extractor files/blobs into the"
                " filesystem."
            )
        return Path(config.EXTRACTORS_CACHE_DIR) / self.data_locations[key].filename

    def _is_the_one(self, kept: Path, key: str) -> bool:
        """Whether a kept file has the stated hash: another place may have a file of its name."""
        stated = self.data_hashes.get(key)
        if stated is None:
            return True
        with kept.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == stated

    def decache_remote_loaded_file(self, key: str) -> None:
        """Forget a kept file."""
        if self.data_locations[key].is_remote:
            self.data_filepath_for_cache(key).unlink(missing_ok=True)

    def load_data_into_filesystem(self, key: str) -> tuple[str, bool]:
        """The path of a file, and whether it was loaded from afar for this."""
        loc = self.data_locations[key]
        if loc.storage_type == "filesystem":
            return loc.key, False
        kept = self.data_filepath_for_cache(key)
        if kept.exists() and self._is_the_one(kept, key):
            return str(kept), False
        data = storage_factory(loc.storage_type, loc.bucket_name).load(loc.key)
        storage_factory("filesystem").store(str(kept), data)
        return str(kept), loc.is_remote

    def load_datastream(self, key: str) -> tuple[BytesIO, bool]:
        """A file's content from its beginning, and whether it was loaded from afar for this. One
        that was kept with another hash than is stated is loaded again.
        """
        loc = self.data_locations[key]
        if loc.is_remote:
            path, loaded = self.load_data_into_filesystem(key)
            stream = storage_factory("filesystem").load(path)
        else:
            loaded = False
            stream = storage_factory(loc.storage_type, loc.bucket_name).load(loc.key)
        if loaded or not loc.is_remote:
            try:
                self._check_data_hash(stream.getvalue(), key)
            except HashMismatchError:
                self.decache_remote_loaded_file(key)
                raise
        return stream, loaded
