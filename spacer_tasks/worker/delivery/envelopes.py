"""What lies in a queue and is no message of Celery's: thrown away before it does harm.

Kombu (5.7) and Celery (5.7) believe what they find in a queue: of an envelope of another form, a
header of another type or a body that is no list they make an exception in the worker's loop, which
ends the worker. The message stays taken, so the next worker gets it in its turn. Here the form of
an envelope is looked at first.
"""

from __future__ import annotations

import binascii
import json
import logging
from base64 import b64decode
from typing import Any

from kombu.transport import redis as redis_transport

logger = logging.getLogger(__name__)

#: lists of tasks in a task's body; where one is none, Celery fails after the task has run, and then
#: the message is neither finished nor given back, and holds its place at the worker for ever
_FOLLOWING = ("callbacks", "errbacks", "chain")
#: characters of a queue's name in the log
_SHOWN = 100


def fault_of(envelope: Any) -> str | None:
    """Why an envelope cannot be delivered, or None where its form is right."""
    if not isinstance(envelope, dict):
        return "it is no JSON object"
    properties, headers = envelope.get("properties"), envelope.get("headers")
    if not isinstance(properties, dict) or not isinstance(properties.get("delivery_tag"), str):
        return "it has no delivery tag"
    info = properties.get("delivery_info")
    if not isinstance(info, dict) or not all(
        isinstance(info.get(name), str) for name in ("exchange", "routing_key")
    ):
        return "it does not say where it was sent to"
    if not isinstance(headers, dict | None):
        return "its headers are no object"
    headers = headers or {}
    if headers.get("compression"):
        # a few bytes can be made of very many
        return "its body is compressed"
    if "task" in headers and not all(isinstance(headers.get(it), str) for it in ("task", "id")):
        return "its task or id is no text"
    limits = headers.get("timelimit")
    if limits is not None and not (
        isinstance(limits, list)
        and len(limits) == 2
        and all(isinstance(limit, int | float | None) for limit in limits)
    ):
        return "its time limits are no pair of numbers"
    if envelope.get("content-type") != "application/json":
        return "its body is not JSON"
    try:
        body = json.loads(_body(envelope, properties))
    except (ValueError, TypeError, RecursionError, binascii.Error):
        return "its body cannot be read"
    return _fault_of_body(body, is_task="task" in headers)


def _body(envelope: dict[str, Any], properties: dict[str, Any]) -> bytes | str:
    body = envelope.get("body", "")
    if properties.get("body_encoding") == "base64":
        return b64decode(body, validate=True)
    if properties.get("body_encoding") is not None or not isinstance(body, str):
        raise ValueError("another encoding")
    return body


def _fault_of_body(body: Any, *, is_task: bool) -> str | None:
    if not is_task:
        # Celery's older protocol, which has no headers; this package never spoke it
        if not isinstance(body, dict) or "task" in body:
            return "it has no headers of a task"
        return None
    if not isinstance(body, list) or len(body) != 3:
        return "its body is no list of arguments, named ones, and what follows"
    args, kwargs, embed = body
    if not isinstance(args, list) or not isinstance(kwargs, dict) or not isinstance(embed, dict):
        return "its arguments are no list and object"
    following = [embed.get("chord")]
    for name in _FOLLOWING:
        tasks = embed.get(name) or []
        if not isinstance(tasks, list):
            return f"its {name} is no list"
        following += tasks
    if not all(each is None or _is_signature(each) for each in following):
        return "what follows it is no task"
    return None


def _is_signature(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("task"), str)
        and all(
            isinstance(value.get(name), kind | None)
            for name, kind in (("args", list), ("kwargs", dict), ("options", dict))
        )
    )


def _loads(text: str) -> Any:
    """JSON, or None, which `fault_of` refuses, instead of an exception in the loop."""
    try:
        return _KOMBU_LOADS(text)
    except (ValueError, TypeError, RecursionError):
        return None


def throw_away() -> None:
    """Let this worker process throw away what is no message."""
    deliver = redis_transport.Transport._deliver

    def checked(self: Any, message: Any, queue: str | None) -> None:
        fault = fault_of(message)
        if fault is None:
            deliver(self, message, queue)
        else:
            logger.error("a message in %s was thrown away: %s", str(queue)[:_SHOWN], fault)

    redis_transport.Transport._deliver = checked  # type: ignore[method-assign]  # no hook here
    redis_transport.loads = _loads  # type: ignore[attr-defined]  # not in the stubs


_KOMBU_LOADS = redis_transport.loads  # type: ignore[attr-defined]  # not in the stubs
