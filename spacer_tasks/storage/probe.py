"""Whether a storage answers, and takes what is written: asked with an object of our own."""

from __future__ import annotations

import os
import secrets
import socket

from spacer_tasks import storage
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import ObjectNotFoundError, StorageError, StorageUnavailableError

#: below the results prefix; each probe is removed at once, and holds nothing
FOLDER = "probes"
_CONTENT = b"spacer-tasks was here\n"


def probe_writing(prefix: DataLocation) -> None:
    """Write, read and remove an object below a prefix. Raises as `storage.store`.

    Raises
    ------
    StorageError
        Also where what is read is not what was written.
    """
    # its own each time: several workers of one host ask at once
    name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    loc = prefix.joined(FOLDER, name)
    storage.store(loc, _CONTENT)
    try:
        found = storage.load(loc)
    except ObjectNotFoundError as error:
        # a server without S3's consistency; it may be there in a moment
        raise StorageUnavailableError(f"{loc}: written, and not there") from error
    finally:
        storage.delete(loc)
    if found != _CONTENT:
        raise StorageError(f"{loc}: what is read is not what was written")


def probe_answering(loc: DataLocation) -> None:
    """Ask for the version of an object; that there is none, or no access, is an answer too.

    Raises
    ------
    StorageUnavailableError
        The storage did not answer.
    """
    try:
        storage.version(loc)
    except StorageError:
        return
