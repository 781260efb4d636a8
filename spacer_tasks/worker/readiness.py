"""Whether a worker can do its work: asked before it says that it is ready.

One host with a wrong setting must not take the tasks of all. What is refused ends the worker with
one line; what does not answer may be an outage, which a worker that takes nothing sits out.
"""

from __future__ import annotations

import logging

from redis.exceptions import RedisError

from spacer_tasks.broker.server_kind import check_redis
from spacer_tasks.exceptions import StorageUnavailableError
from spacer_tasks.execution.storage_away import StorageAway, check_results_prefix
from spacer_tasks.worker.storage_watch import WATCH

logger = logging.getLogger(__name__)


def check_results() -> None:
    """Write, read and remove a probe under the results prefix. A storage that is away is waited for
    by the worker, which takes nothing meanwhile.

    Raises
    ------
    ConfigError
        It is refused.
    """
    try:
        check_results_prefix()
    except StorageUnavailableError as error:
        WATCH.note(StorageAway(f"the results prefix does not answer: {error}"))


def redis_is_right() -> bool:
    """Whether the server has been asked, and is one that can be used. False: it does not answer.

    Raises
    ------
    ConfigError
        It cannot be used.
    """
    try:
        check_redis()
    except (RedisError, OSError) as error:
        logger.warning("Redis does not answer yet: %s", error)
        return False
    return True
