"""From what a caller sent to a checked message, or to an error that names the field.

A value is checked once, here, and trusted inside: a message object was checked when it was made,
so `parse` gives it back as it is. On its way a message meets two doors: the caller's, so that a
mistake is told where it was made, and the worker's (`MessageTask.received`), because Redis and the
results prefix may hold what no caller of ours has checked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from spacer_tasks.exceptions import MessageError, RowColumnInvalidError
from spacer_tasks.printable import shown_url

JsonDict = dict[str, Any]
M = TypeVar("M", bound=BaseModel)


def as_data(message: Any) -> Any:
    """The dict of a message of the reference's own classes; anything else as it is."""
    if isinstance(message, (BaseModel, Mapping, str, bytes)) or not hasattr(message, "serialize"):
        return message
    return message.serialize()


def parse(cls: type[M], data: Any) -> M:
    """The message in `data`: a message already, its dict, its JSON text, or a message of the
    reference's.

    Raises
    ------
    RowColumnInvalidError
        The points are not pairs of integers; the text names the image and the point.
    MessageError
        Any other field is unknown, missing or malformed; the text names each.
    """
    if isinstance(data, cls):
        return data
    data = as_data(data)
    if isinstance(data, BaseModel):
        raise MessageError(f"expected a {cls.__name__}, found a {type(data).__name__}")
    try:
        if isinstance(data, (str, bytes)):
            return cls.model_validate_json(data)
        return cls.model_validate(data)
    except ValidationError as error:
        # its own text would show more of the message
        raise _as_input_error(cls.__name__, data, error) from None


def _as_input_error(
    name: str, data: Mapping[str, Any] | str | bytes, error: ValidationError
) -> MessageError | RowColumnInvalidError:
    #: a message of a million wrong labels has a million errors; five show what is wrong
    shown = error.errors(include_url=False)[:5]
    lines = [
        f"{'.'.join(map(str, item['loc'])) or 'the message'}: {item['msg']}"
        f" (found {_shown(item['input'])!r})"
        for item in shown
    ]
    if error.error_count() > len(shown):
        lines.append(f"and {error.error_count() - len(shown)} more")
    # points that a message of another kind does not have are an unknown field, and not wrong points
    points = bool(shown) and all(
        item["loc"][:1] == ("rowcols",) and item["type"] != "extra_forbidden" for item in shown
    )
    if points and isinstance(data, Mapping):
        image = data.get("image_loc")
        key = image.get("key") if isinstance(image, Mapping) else image
        return RowColumnInvalidError(
            f"image {_shown(key, None)}: points must be pairs of integers (row, column); "
            + "; ".join(lines)
        )
    return MessageError(f"{name}: " + "; ".join(lines))


def _shown(value: object, length: int | None = 80) -> str:
    """A part of a message in an error. Only what has a URL in it is cut at a question mark."""
    text = str(value)
    return (shown_url(text) if "://" in text else text)[:length]


def read_object(data: str | bytes, what: str) -> JsonDict:
    """The JSON object in a text.

    Parameters
    ----------
    what
        What an error calls the text.

    Raises
    ------
    MessageError
        It is not JSON, or not an object.
    """
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise MessageError(f"{what} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise MessageError(f"{what} is a JSON {type(found).__name__}, expected an object")
    return found
