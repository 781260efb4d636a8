"""One worker of a name: of two that start in the same second, one goes on.

A worker that runs answers to its name. One that starts does not yet, for as long as it loads its
network, so it keeps a note in Redis until it is ready. The note of one that was killed meanwhile
lapses.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any, cast

from celery import signals
from redis.exceptions import RedisError

from spacer_tasks.app import app
from spacer_tasks.broker.outages import redis_is_away
from spacer_tasks.exceptions import ConfigError
from spacer_tasks.execution.connection import me, worker_redis

logger = logging.getLogger(__name__)

PREFIX = "spacer-worker-name:"
#: seconds after its last renewal in which the note of a worker that starts lapses
LAPSES_S = 10.0
#: seconds between two renewals, and between two looks at another's note
RENEWED_S = 2.0
#: seconds in which a worker of the same name answers; one that is there takes some milliseconds
ANSWER_S = 1.0

#: to forget a note only while it is one's own
FORGET = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
    return redis.call('DEL', KEYS[1])
end
return 0
"""
#: and to renew it: 0 where another has it
RENEW = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
    return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""


def claim(hostname: str) -> None:
    """Take a name for the worker that starts in this process; the note is kept until it is ready.

    Two of one name get each other's orders, answer `inspect` as one, and are one in Flower. Where
    Redis is away, nobody can tell, and the worker goes on.

    Raises
    ------
    ConfigError
        A worker of this name is there, or starts.
    """
    try:
        while not _taken(hostname):
            # it is ready and answers, or it was killed and its note lapses
            time.sleep(RENEWED_S)
    except ConfigError:
        raise
    except Exception as error:
        if not redis_is_away(error):
            raise
        logger.warning("whether there is another worker %s cannot be asked: %s", hostname, error)
        return
    _keep(hostname)


def _taken(hostname: str) -> bool:
    """Whether the name is this worker's now. False: another starts under it."""
    if app.control.ping(destination=[hostname], timeout=ANSWER_S, limit=1):
        raise ConfigError(
            f"a worker of the name {hostname} runs already; give this one another, such as"
            f" --hostname={hostname.partition('@')[0]}2@%h"
        )
    return _renewed(hostname)


def _renewed(hostname: str) -> bool:
    key, lapses_ms = f"{PREFIX}{hostname}", round(LAPSES_S * 1000)
    return bool(cast("int", worker_redis().eval(RENEW, 1, key, me(), lapses_ms)))


def _keep(hostname: str) -> None:
    ready = threading.Event()

    def renew() -> None:
        while not ready.wait(RENEWED_S):
            try:
                _renewed(hostname)
            except (RedisError, OSError) as error:
                logger.warning("the note of a worker that starts is not renewed: %s", error)
        try:
            # it answers to its name from here on
            worker_redis().eval(FORGET, 1, f"{PREFIX}{hostname}", me())
        except (RedisError, OSError) as error:
            logger.warning("the note of a worker that starts lapses by itself: %s", error)

    def end(**_: Any) -> None:
        ready.set()

    signals.worker_ready.connect(end, weak=False)
    threading.Thread(target=renew, name="name", daemon=True).start()
