"""Messages that were to be begun before a time (Celery's `expires`).

Celery's worker throws such a message away by its own clock, and leaves neither an answer nor a
callback. Here the task ends in an answer, and the time is Redis's: one host whose clock is wrong
must not end what all others would do.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from redis.exceptions import RedisError

from spacer_tasks.exceptions import TaskCancelledError
from spacer_tasks.execution.connection import worker_redis

logger = logging.getLogger(__name__)


def check_expiry(request: Any) -> None:
    """Raise if the task of a Celery request was to be begun before now.

    Raises
    ------
    TaskCancelledError
        It was; the text names the time.
    """
    if not isinstance(request.expires, str):
        # most have none; one that is called in this process has no message
        return
    from celery.utils.time import maybe_iso8601, maybe_make_aware

    # it was looked at where the message came in
    time_of: Any = maybe_iso8601
    before: Any = maybe_make_aware(time_of(request.expires))
    if before.timestamp() < _now():
        raise TaskCancelledError(
            f"the task {request.id} expired: it was to be begun before {before.isoformat()}"
        )


def _now() -> float:
    try:
        seconds, micros = worker_redis().time()
    except (RedisError, OSError) as error:
        logger.warning("Redis does not tell the time, this worker's clock does: %s", error)
        return time.time()
    return seconds + micros / 1e6
