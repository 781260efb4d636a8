"""Tasks that follow a task: callbacks, a chain, a chord, and what these are made of.

Celery (5.7) makes and sends them when the task has run. Where it fails over one, its task was
answered already, and the message is neither finished nor given back: it holds its place at the
worker. So each is looked at before, as far down as it goes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spacer_tasks.data_classes.task_ids import MAX_PART_LENGTH, fault_of_id
from spacer_tasks.worker.delivery.fields import (
    are_texts,
    is_count,
    is_flag,
    is_object,
    is_seconds,
    is_text,
    is_time,
)

#: tasks that follow one that follows, and so on
_DEEPEST = 20


def _due(value: Any) -> bool:
    return is_seconds(value) or is_time(value)


def _policy(value: Any) -> bool:
    return value is None or (isinstance(value, dict) and all(map(is_seconds, value.values())))


#: options of a task that follows; one of another name could be an argument of Celery's functions
_OPTIONS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(
        ("queue", "exchange", "exchange_type", "routing_key", "root_id", "parent_id", "group_id",
         "reply_to", "correlation_id", "shadow", "argsrepr", "kwargsrepr", "route_name", "type",
         "message_id", "user_id", "app_id"),
        is_text,
    ),
    **dict.fromkeys(
        ("priority", "retries", "group_index", "delivery_mode", "replaced_task_nesting"), is_count
    ),
    **dict.fromkeys(("countdown", "time_limit", "soft_time_limit", "expiration"), is_seconds),
    **dict.fromkeys(("eta", "expires"), _due),
    **dict.fromkeys(
        ("ignore_result", "retry", "add_to_parent", "mandatory", "immediate", "immutable"), is_flag
    ),
    "retry_policy": _policy,
    "serializer": lambda value: value in (None, "json"),
    "compression": lambda value: value is None,
    "headers": is_object,
    "stamps": is_object,
    "stamped_headers": are_texts,
}  # fmt: skip
#: options that are tasks
_OF_TASKS = ("link", "link_error", "chord", "chain")


def is_signature(value: Any, depth: int = 0) -> bool:
    return (
        depth < _DEEPEST
        and isinstance(value, dict)
        and isinstance(value.get("task"), str)
        # Celery writes all three, and fails over one that is not there
        and all(
            isinstance(value.get(name), kind)
            for name, kind in (("args", list), ("kwargs", dict), ("options", dict))
        )
        and is_flag(value.get("immutable"))
        and _is_made_of_tasks(_kind(value), value["kwargs"], depth + 1)
        and _are_options(value["options"], depth + 1)
    )


def _kind(value: dict[str, Any]) -> Any:
    """What it says that it is made of; Celery's own tasks say it by their names, too."""
    kind = value.get("subtask_type")
    if kind in (None, ""):
        return value["task"] if value["task"].startswith("celery.") else None
    return kind


def are_signatures(value: Any, depth: int) -> bool:
    return isinstance(value, list) and all(is_signature(each, depth) for each in value)


def _is_made_of_tasks(kind: Any, kwargs: dict[str, Any], depth: int) -> bool:
    """Whether a group, chain, chord, map or chunks has the tasks that Celery makes it of."""
    match kind:
        case None:
            return True
        case "group" | "chain":
            return bool(kwargs.get("tasks")) and are_signatures(kwargs["tasks"], depth)
        case "chord":
            header = kwargs.get("header")
            return (
                bool(header)
                and (is_signature(header, depth) or are_signatures(header, depth))
                and is_signature(kwargs.get("body"), depth)
            )
        case "celery.map" | "celery.starmap" | "celery.chunks":
            return (
                is_signature(kwargs.get("task"), depth)
                and isinstance(kwargs.get("it"), list)
                and (kind != "celery.chunks" or (bool(kwargs.get("n")) and is_count(kwargs["n"])))
            )
    return False


def _are_options(options: dict[str, Any], depth: int) -> bool:
    """Whether what follows can be sent with these; Celery hands them on unread."""
    stamps = options.get("stamped_headers")
    if not are_texts(stamps):
        return False
    for name, value in options.items():
        if name in _OF_TASKS:
            is_right = value is None or (
                are_signatures(value, depth)
                if isinstance(value, list) and name != "chord"
                else name != "chain" and is_signature(value, depth)
            )
        elif name == "task_id":
            is_right = value is None or not fault_of_id(value, MAX_PART_LENGTH)
        elif name in _OPTIONS:
            is_right = _OPTIONS[name](value)
        else:
            is_right = name in (stamps or [])
        if not is_right:
            return False
    return True
