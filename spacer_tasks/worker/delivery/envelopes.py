"""Which messages can be delivered: every header and property that is read on the way is looked at.

Kombu (5.7) and Celery (5.7) believe what they find in a queue: of an envelope of another form, a
header of another type or a body that is not a list they make an exception in the worker's loop,
which ends the worker. The message stays taken, so the next worker gets it in its turn.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable
from typing import Any

from kombu.utils.json import loads

from spacer_tasks.broker.contract import RUN, SENT_AT
from spacer_tasks.broker.signing import HEADER
from spacer_tasks.data_classes.task_ids import MAX_PART_LENGTH, fault_of_id
from spacer_tasks.worker.delivery.fields import (
    are_limits,
    are_texts,
    is_count,
    is_flag,
    is_object,
    is_seconds,
    is_text,
    is_time,
)
from spacer_tasks.worker.delivery.following import is_signature

#: lists of tasks in a task's body; where one is not a list, Celery fails after the task has run,
#: and then the message is neither finished nor given back, and holds its place at the worker
_FOLLOWING = ("callbacks", "errbacks", "chain")
#: encodings of text in which a body of JSON is sent
_ENCODINGS = ("utf-8", "utf8", "us-ascii", "ascii")
#: what an error says of Python's own
_SHOWN = 100


_Check = tuple[Callable[[Any], bool], str]
#: what Celery and this package read of the headers; others only travel along
_HEADERS: dict[str, _Check] = {
    **dict.fromkeys(
        ("lang", "root_id", "parent_id", "group", "meth", "shadow", "argsrepr", "kwargsrepr",
         "origin", "reply_to", "correlation_id", HEADER, RUN),
        (is_text, "text"),
    ),
    **dict.fromkeys(("retries", "group_index", "replaced_task_nesting"), (is_count, "a count")),
    **dict.fromkeys(("ignore_result", "redelivered", "utc"), (is_flag, "true or false")),
    **dict.fromkeys(("eta", "expires"), (is_time, "a time in ISO 8601")),
    "timelimit": (are_limits, "a pair of numbers"),
    SENT_AT: (is_seconds, "a number of seconds"),
    "stamped_headers": (are_texts, "a list of texts"),
    "stamps": (is_object, "an object"),
}  # fmt: skip
_PROPERTIES: dict[str, _Check] = {
    **dict.fromkeys(("correlation_id", "reply_to", "type", "message_id"), (is_text, "text")),
    **dict.fromkeys(("priority", "delivery_mode"), (is_count, "a count")),
}
#: of `delivery_info`, beside where it was sent to
_DELIVERY: dict[str, _Check] = {
    "redelivered": (is_flag, "true or false"),
    "priority": (is_count, "a count"),
    "consumer_tag": (is_text, "text"),
}


def read(raw: bytes | str) -> tuple[Any, str | None]:
    """A message as Kombu reads it, and why it cannot be delivered, or None where it can."""
    try:
        envelope = loads(raw if isinstance(raw, str) else raw.decode())
    except Exception as error:  # noqa: BLE001 -- whatever is in it: it is a stranger's
        return None, f"it cannot be read: {_said(error)}"
    try:
        return envelope, fault_of(envelope)
    except Exception as error:  # noqa: BLE001 -- as above
        return None, f"it cannot be checked: {_said(error)}"


def fault_of(envelope: Any) -> str | None:
    """Why an envelope cannot be delivered, or None where its form is right."""
    if not isinstance(envelope, dict):
        return "it is not a JSON object"
    properties, headers = envelope.get("properties"), envelope.get("headers")
    if not isinstance(properties, dict) or not isinstance(properties.get("delivery_tag"), str):
        return "it has no delivery tag"
    info = properties.get("delivery_info")
    if not isinstance(info, dict) or not all(
        isinstance(info.get(name), str) for name in ("exchange", "routing_key")
    ):
        return "it does not say where it was sent to"
    if not isinstance(headers, dict | None):
        return "its headers are not an object"
    headers = headers or {}
    return (
        _fault_of_fields(headers, _HEADERS)
        or _fault_of_fields(properties, _PROPERTIES)
        or _fault_of_fields(info, _DELIVERY)
        or _fault_of_task(headers)
        or _fault_of_content(envelope, properties, headers)
    )


def body_of(envelope: dict[str, Any]) -> Any:
    """The body of a message that can be delivered, as Kombu reads it."""
    return loads(_body(envelope, envelope["properties"]))


def _fault_of_fields(found: dict[str, Any], checks: dict[str, _Check]) -> str | None:
    for name, (is_right, expected) in checks.items():
        if name in found and not is_right(found[name]):
            return f"its {name} is not {expected}"
    try:
        json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, TypeError):
        return "it holds half a character, or what is not JSON"
    return None


def _fault_of_task(headers: dict[str, Any]) -> str | None:
    if headers.get("compression"):
        # a few bytes can be made of very many
        return "its body is compressed"
    if "task" not in headers:
        return None
    if not isinstance(headers["task"], str) or not headers["task"]:
        return "its task is not a text"
    if fault := fault_of_id(headers.get("id"), MAX_PART_LENGTH):
        return fault
    # Celery lays the body's over them, if it has any
    if found := [name for name in (*_FOLLOWING, "chord") if name in headers]:
        return f"it has a header {found[0]}"
    # Celery reads each of these as a header
    stamped = headers.get("stamped_headers") or []
    if any(name in _HEADERS or name in ("task", "id") for name in stamped):
        return "its stamps have the names of headers"
    return None


def _fault_of_content(
    envelope: dict[str, Any], properties: dict[str, Any], headers: dict[str, Any]
) -> str | None:
    if envelope.get("content-type") != "application/json":
        return "its body is not JSON"
    encoding = envelope.get("content-encoding")
    if not isinstance(encoding, str) or encoding.lower() not in _ENCODINGS:
        return "its content-encoding is not UTF-8"
    try:
        # as Kombu reads it, which makes dates and ids of some objects
        body = loads(_body(envelope, properties))
    except Exception:  # noqa: BLE001 -- whatever is in it: it is a stranger's
        return "its body cannot be read"
    return _fault_of_body(body, is_task="task" in headers)


def _body(envelope: dict[str, Any], properties: dict[str, Any]) -> str:
    body = envelope.get("body", "")
    if properties.get("body_encoding") == "base64":
        return b64decode(body, validate=True).decode()
    if properties.get("body_encoding") is not None or not isinstance(body, str):
        raise ValueError("another encoding")
    return body


def _fault_of_body(body: Any, *, is_task: bool) -> str | None:
    if not is_task:
        # Celery's older protocol, which has no headers; this package never spoke it
        return "it has no headers of a task"
    if not isinstance(body, list) or len(body) != 3:
        return "its body is not a list of arguments, named ones, and what follows"
    args, kwargs, embed = body
    if not isinstance(args, list) or not isinstance(kwargs, dict) or not isinstance(embed, dict):
        return "its arguments are not a list and an object"
    following = [] if embed.get("chord") is None else [embed["chord"]]
    for name in _FOLLOWING:
        tasks = embed.get(name) or []
        if not isinstance(tasks, list):
            return f"its {name} is not a list"
        following += tasks
    if not all(is_signature(each) for each in following):
        return "what follows it is not a task"
    return None


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:_SHOWN]
