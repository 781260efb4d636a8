"""Whether a worker can do its work: asked before it says that it is ready.

One host with a wrong setting must not take the tasks of all. What is refused ends the worker with
one line; what does not answer may be an outage, which a worker that takes nothing sits out.
"""

from __future__ import annotations

import logging

from redis.exceptions import RedisError

from spacer_tasks.broker.server_kind import check_redis
from spacer_tasks.config.settings import get_settings
from spacer_tasks.exceptions import ConfigError, StorageError, StorageUnavailableError
from spacer_tasks.execution.storage_away import StorageAway
from spacer_tasks.results import results_location
from spacer_tasks.storage.probe import probe_writing
from spacer_tasks.worker.storage_watch import WATCH

logger = logging.getLogger(__name__)


def check_results() -> None:
    """Write, read and remove a probe under the results prefix. A storage that is away is waited for
    by the worker, which takes nothing meanwhile.

    Raises
    ------
    ConfigError
        It is refused: wrong credentials, no such bucket, a folder that cannot be written, no
        location at all.
    """
    try:
        prefix = results_location()
    except ValueError as error:
        raise ConfigError(
            f"SPACER_RESULTS_PREFIX is {get_settings().results_prefix!r}, expected s3://bucket/prefix"
            " or a folder"
        ) from error
    try:
        probe_writing(prefix)
    except StorageError as error:
        raise ConfigError(
            f"SPACER_RESULTS_PREFIX: answers cannot be kept there: {error}"
        ) from error
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
