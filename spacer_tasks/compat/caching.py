"""What is loaded from afar, kept in a folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

from spacer_tasks import storage
from spacer_tasks.compat.raising import as_the_reference
from spacer_tasks.data_classes.locations import DataLocation


def loaded(loc: DataLocation, folder: str | None = None) -> bytes:
    """The object at a location: from the folder, if one is given, which else gets it."""
    with as_the_reference():
        if folder is None:
            return storage.load(loc)
        # objects of one key lie in many buckets, and a key may be a path or a long URL
        name = hashlib.sha256(loc.model_dump_json().encode()).hexdigest()
        kept = DataLocation(storage_type="filesystem", key=str(Path(folder, name)))
        if storage.exists(kept):
            return storage.load(kept)
        data = storage.load(loc)
        storage.store(kept, data)
        return data
