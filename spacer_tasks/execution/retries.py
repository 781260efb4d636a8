"""How long a task waits between two tries."""

from __future__ import annotations

from celery.utils.time import get_exponential_backoff_interval

#: seconds; the longest wait between two tries, well under every pool's visibility timeout
RETRY_BACKOFF_MAX = 60


def wait_s(retries: int) -> float:
    """Seconds before the next try of a task that was tried again so many times."""
    return get_exponential_backoff_interval(
        factor=1, retries=retries, maximum=RETRY_BACKOFF_MAX, full_jitter=True
    )
