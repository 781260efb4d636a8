"""A random sample of the files below a folder, the same each time, whatever their number."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Iterator
from typing import NamedTuple

from spacer_tasks import storage
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import ObjectNotFoundError
from spacer_tasks.storage.listing import names_below


class Drawn(NamedTuple):
    """Files in a random order, by name; how many there were to draw from, and how many others."""

    files: list[tuple[str, DataLocation]]
    total: int
    others: int = 0


def draw(folder: DataLocation, count: int, seed: int, wanted: Callable[[str], bool]) -> Drawn:
    """Up to `count` files below a folder or prefix in random order, or the file that it is itself.

    A name's place in the order depends on the seed and itself alone, so files that are added leave
    the others' order as it was. Of millions of names only the drawn ones are kept.

    Parameters
    ----------
    wanted
        Whether a file is drawn from, by its path below the folder.

    Raises
    ------
    ObjectNotFoundError
        There is nothing to draw from.
    StorageError, StorageUnavailableError
        As `list_below`.
    """
    seen = others = 0

    def counted() -> Iterator[str]:
        nonlocal seen, others
        for name in names_below(folder):
            if wanted(name):
                seen += 1
                yield name
            else:
                others += 1

    is_folder = folder.storage_type == "filesystem"
    try:
        names = heapq.nsmallest(count, counted(), key=lambda name: _place(seed, name))
    except ObjectNotFoundError:
        is_folder, names = False, []
    if names:
        return Drawn([(name, folder.joined(name)) for name in names], seen, others)
    # on S3 a prefix without objects can be an object
    if not is_folder and storage.exists(folder):
        return Drawn([(folder.filename, folder)], 1)
    passed_over = f" ({others:,} files have other names than are looked for)" if others else ""
    raise ObjectNotFoundError(f"{folder}: nothing to verify is there{passed_over}")


def _place(seed: int, name: str) -> bytes:
    return hashlib.blake2b(f"{seed} {name}".encode(), digest_size=8).digest()
