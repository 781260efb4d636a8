"""One worker of a name: of two that start in the same second, one goes on.

A worker that runs answers to its name, but one that starts does not yet, for as long as it loads
its network. So each keeps a note in Redis while it lives. That of a worker whose process is gone is
taken over at once on its own host, and lapses elsewhere.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import Any, cast

from celery import signals
from redis.exceptions import RedisError

from spacer_tasks.app import app
from spacer_tasks.broker.outages import refuses_for_now
from spacer_tasks.exceptions import ConfigError
from spacer_tasks.execution.connection import me, worker_redis

logger = logging.getLogger(__name__)

PREFIX = "spacer-worker-name:"
#: seconds after its last renewal in which a note lapses; one that imports for long may be late
LAPSES_S = 20.0
#: seconds between two renewals, and between two looks at another's note
RENEWED_S = 2.0
#: seconds after which another's note is of one that lives: it would have lapsed
WAIT_S = LAPSES_S + 5
#: seconds in which a worker of the same name answers; one that is there takes some milliseconds
ANSWER_S = 1.0

#: take or renew a note that is nobody's, one's own, or that of one who is gone; else answer whose
#: it is
RENEW = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] and holder ~= ARGV[3] then
    return holder
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return false
"""
#: forget one's own
FORGET = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
    return redis.call('DEL', KEYS[1])
end
return 0
"""


def claim(hostname: str) -> None:
    """Take a name for the worker that starts in this process.

    Two of one name get each other's orders, answer `inspect` as one, and are one in Flower. Where
    Redis is away, nobody can tell, and the worker goes on.

    Raises
    ------
    ConfigError
        A worker of this name is there, or starts.
    """
    try:
        _wait_for(hostname)
    except ConfigError:
        raise
    except Exception as error:
        if not refuses_for_now(error):
            raise
        logger.warning("whether there is another worker %s cannot be asked: %s", hostname, error)
        return
    _keep(hostname)


def _wait_for(hostname: str) -> None:
    end = time.monotonic() + WAIT_S
    while not _is_taken(hostname):
        if time.monotonic() > end:
            raise _runs(hostname)
        time.sleep(RENEWED_S)


def _is_taken(hostname: str) -> bool:
    """Whether the name is this worker's now. False: another has a note of it."""
    if app.control.ping(destination=[hostname], timeout=ANSWER_S, limit=1):
        raise _runs(hostname)
    holder = _renewed(hostname)
    return not holder or (is_gone(holder) and not _renewed(hostname, holder))


def _runs(hostname: str) -> ConfigError:
    return ConfigError(
        f"a worker of the name {hostname} runs already; give this one another, such as"
        f" --hostname={hostname.partition('@')[0]}2@%h"
    )


def _renewed(hostname: str, gone: str = "") -> str:
    """Note this worker. Who has the name, where it is another."""
    key, lapses_ms = f"{PREFIX}{hostname}", round(LAPSES_S * 1000)
    holder = worker_redis().eval(RENEW, 1, key, me(), lapses_ms, gone)
    return cast("bytes", holder or b"").decode()


def is_gone(holder: str) -> bool:
    """Whether this worker, by its name among all that ever were, is of this host and its process
    is no more. A container that is started again has the host's name and the number of before.
    """
    host, _, rest = holder.partition("/")
    number = rest.partition("/")[0]
    if host != me().partition("/")[0] or not number.isdecimal():
        return False
    if int(number) == os.getpid():
        return True
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        # it is another user's
        return False
    return False


def _keep(hostname: str) -> None:
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(RENEWED_S):
            try:
                _renewed(hostname)
            except (RedisError, OSError) as error:
                logger.debug("the note of this worker's name is not renewed: %s", error)

    def end(**_: Any) -> None:
        ended.set()
        try:
            worker_redis().eval(FORGET, 1, f"{PREFIX}{hostname}", me())
        except (RedisError, OSError) as error:
            logger.debug("the note of this worker's name lapses by itself: %s", error)

    signals.worker_shutdown.connect(end, weak=False)
    threading.Thread(target=renew, name="name", daemon=True).start()
