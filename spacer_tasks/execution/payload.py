"""What goes into Redis for a message: the message itself, or where a large one is stored."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from spacer_tasks import results, storage
from spacer_tasks.config.settings import get_settings
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import (
    MessageError,
    ObjectNotFoundError,
    StorageUnavailableError,
)
from spacer_tasks.messages.parsing import parse, read_object

#: bytes of JSON; a larger message goes through storage, so that Redis holds only small ones
INLINE_BYTES = 64 * 1024
#: beside the location of a stored message: the SHA-256 of its content
SHA256 = "message_sha256"


def packed(wire: dict[str, Any], task_id: str) -> dict[str, Any]:
    """What is sent of a message. Raises as `storage.store`."""
    data = json.dumps(wire).encode()
    if len(data) <= INLINE_BYTES:
        return wire
    location = results.message_location(task_id)
    storage.store(location, data)
    return pointer_to(location, data)


def pointer_to(location: DataLocation, data: bytes) -> dict[str, Any]:
    """What is sent instead of a message that was stored: where it is, and its hash, so that a
    signature is one of its content too.
    """
    return {"message_loc": location.model_dump(), SHA256: hashlib.sha256(data).hexdigest()}


def unpacked(sent: dict[str, Any]) -> dict[str, Any]:
    """The JSON data of the message, fetched from storage if it went that way.

    Raises
    ------
    MessageError
        It is none, or another one is stored than was sent.
    StorageError, StorageUnavailableError
        As `storage.load`.
    """
    if not isinstance(sent, dict):
        raise MessageError(f"the message is a {type(sent).__name__}, expected an object")
    if "message_loc" not in sent:
        return sent
    location = parse(DataLocation, sent["message_loc"])
    try:
        data = storage.load(location)
    except ObjectNotFoundError as error:
        # stored before the task was sent, so it will be seen
        raise StorageUnavailableError(f"{location}: the task's message, not seen yet") from error
    expected = sent.get(SHA256)
    if expected is None and get_settings().require_signed:
        raise MessageError(f"{location}: a stored message without its hash, and so not signed")
    if expected not in (None, hashlib.sha256(data).hexdigest()):
        raise MessageError(f"{location}: another message is there than was sent")
    return read_object(data, str(location))
