"""Types of the fields of a message, as Celery and Kombu read them; none is there as well."""

from __future__ import annotations

import math
from datetime import timezone
from typing import Any

from celery.utils.time import maybe_iso8601, maybe_make_aware

#: what a count, a time limit or a time can be at most: 30 years of seconds
_LARGEST = 10**9


def is_text(value: Any) -> bool:
    return value is None or isinstance(value, str)


def is_flag(value: Any) -> bool:
    return value is None or isinstance(value, bool)


def is_count(value: Any) -> bool:
    return value is None or (
        isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST
    )


def is_seconds(value: Any) -> bool:
    return value is None or (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and (isinstance(value, int) or math.isfinite(value))
        and 0 <= value <= 10 * _LARGEST
    )


def are_limits(value: Any) -> bool:
    return value is None or (
        isinstance(value, list)
        and len(value) == 2
        and all(is_seconds(limit) and (limit or 0) <= _LARGEST for limit in value)
    )


def is_time(value: Any) -> bool:
    if value is None:
        return True
    if not isinstance(value, str):
        return False
    try:
        # as Celery reads it, which takes an empty one for none and fails over that
        found = maybe_iso8601(value)
        return found is not None and math.isfinite(
            maybe_make_aware(found).astimezone(timezone.utc).timestamp()
        )
    except Exception:  # noqa: BLE001 -- a stranger's text
        return False


def are_texts(value: Any) -> bool:
    return value is None or (
        isinstance(value, list) and all(isinstance(each, str) for each in value)
    )


def is_object(value: Any) -> bool:
    return value is None or isinstance(value, dict)
