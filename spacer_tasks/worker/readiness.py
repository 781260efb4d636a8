"""Whether a worker can do its work: asked before it says that it is ready.

One host with a wrong setting must not take the tasks of all. What is refused ends the worker with
one line; what does not answer may be an outage, which a worker that takes nothing sits out.
"""

from __future__ import annotations

import logging

from redis.exceptions import RedisError

from spacer_tasks.app import app
from spacer_tasks.broker.outages import redis_is_away
from spacer_tasks.broker.server_kind import check_redis
from spacer_tasks.exceptions import ConfigError, StorageUnavailableError
from spacer_tasks.execution.storage_away import StorageAway, check_results_prefix
from spacer_tasks.worker.storage_watch import WATCH

logger = logging.getLogger(__name__)

#: seconds in which a worker of the same name answers; one that is there takes some milliseconds
NAME_S = 1.0


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


def check_name(hostname: str) -> None:
    """Ask whether a worker of this name is there. Two of one name get each other's orders, answer
    `inspect` as one, and are one in Flower.

    Raises
    ------
    ConfigError
        There is one.
    """
    try:
        found = app.control.ping(destination=[hostname], timeout=NAME_S, limit=1)
    except Exception as error:
        if not redis_is_away(error):
            raise
        logger.warning("whether there is another worker %s cannot be asked: %s", hostname, error)
        return
    if found:
        raise ConfigError(
            f"a worker of the name {hostname} runs already; give this one another, such as"
            f" --hostname={hostname.partition('@')[0]}2@%h"
        )
