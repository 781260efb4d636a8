"""Whether a Redis is one that carries tasks without losing them: asked before work begins.

A Redis that evicts keys when its memory is full drops messages that were accepted; a cluster splits
keys that one script must see together; an older one does not know what workers ask of it.
"""

from __future__ import annotations

import logging
from typing import Any

from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, ResponseError

from spacer_tasks.broker.client import BROKER, RESULTS, broker_client, results_client
from spacer_tasks.config.settings import get_settings
from spacer_tasks.exceptions import ConfigError

logger = logging.getLogger(__name__)

#: the first with BLMOVE, by which an idle worker waits
OLDEST = (6, 2)


def check_redis() -> None:
    """Ask the Redis of the tasks, and that of the results where it is another.

    Raises
    ------
    ConfigError
        A URL is of no kind that is spoken here, or the server is not one that can be used.
    redis.exceptions.RedisError, OSError
        It cannot be reached.
    """
    settings = get_settings()
    broker = broker_client()
    results = results_client() if settings.result_backend_url else None
    _check(BROKER, broker)
    if results is not None and settings.result_backend != settings.broker_url.get_secret_value():
        _check(RESULTS, results)


def _check(setting: str, redis: Redis) -> None:
    try:
        about: dict[str, Any] = redis.info()
    except NoPermissionError as error:
        logger.warning("%s: what kind of Redis this is cannot be asked: %s", setting, error)
        return
    except (AuthenticationError, ResponseError) as error:
        raise ConfigError(f"{setting}: Redis refuses: {error}") from error
    if fault := fault_of(about):
        raise ConfigError(f"{setting}: {fault}")


def fault_of(about: dict[str, Any]) -> str | None:
    """Why a Redis cannot be used, by its answer to INFO; None where it can."""
    version = str(about.get("redis_version", ""))
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if numbers and numbers < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        return f"this Redis is {version}, expected {oldest} or newer"
    if about.get("redis_mode") == "cluster" or about.get("cluster_enabled") in (1, "1"):
        return "this Redis is part of a cluster, expected a single server or one behind Sentinel"
    policy = about.get("maxmemory_policy")
    if policy not in (None, "noeviction"):
        return (
            f"this Redis has maxmemory-policy {policy} and drops tasks when its memory is full,"
            " expected noeviction; `CONFIG SET maxmemory-policy noeviction` and the same in"
            " redis.conf"
        )
    return None
