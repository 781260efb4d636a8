"""Where workers keep states and results: Celery's Redis backend, with more patience.

Celery tries again while Redis is away. But a Redis that refuses writes, because it is a replica or
out of memory, it takes for a bug, as it does one that goes away while a part of a chord is counted:
the task would be acknowledged and its callers, or the chord's body, would wait for ever.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from redis.exceptions import OutOfMemoryError, ReadOnlyError, ResponseError

from spacer_tasks.broker.result_backend import Redis, Sentinel
from spacer_tasks.retries import CHORD_COUNT

logger = logging.getLogger(__name__)


class _Patient:
    """What both backends below add."""

    # of the backends
    connection_errors: tuple[type[BaseException], ...]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.connection_errors = (*self.connection_errors, ReadOnlyError, OutOfMemoryError)

    def on_chord_part_return(self, *args: Any, **kwargs: Any) -> Any:
        """Count a finished part of a chord, and send the body after the last. A part that is
        counted again counts once.
        """
        errors: tuple[type[BaseException], ...] = (*self.connection_errors, ResponseError)
        for wait in CHORD_COUNT.waits():
            try:
                return super().on_chord_part_return(*args, **kwargs)  # type: ignore[misc]
            except errors as error:
                # a script's error is of no class of its own
                refused = any(word in str(error) for word in ("READONLY", "OOM"))
                if not (refused or isinstance(error, self.connection_errors)):
                    raise
                logger.warning("a part of a batch is counted again in a moment: %s", error)
            time.sleep(wait)
        return super().on_chord_part_return(*args, **kwargs)  # type: ignore[misc]


class PatientRedis(_Patient, Redis):
    """For `redis://` and `rediss://`."""


class PatientSentinel(_Patient, Sentinel):
    """For `sentinel://`."""


#: Celery's `override_backends`
BACKENDS = {
    "redis": f"{__name__}:PatientRedis",
    "rediss": f"{__name__}:PatientRedis",
    "sentinel": f"{__name__}:PatientSentinel",
}
