"""A worker's sign of life, and what others left behind when theirs ended.

A thread of each worker says every few seconds that the worker is alive, and gives back the
messages of workers that have been silent for SPACER_WORKER_SILENT_S. A worker that is only cut off
goes on with its tasks: their locks (`execution/lock.py`) and stored answers see to it that none is
answered twice.

Silence is measured by who listens, by its own clock and only while it hears Redis itself: after
Redis was away, all have the whole time again to be heard.
"""

from __future__ import annotations

import logging
import threading
import time

from redis import Redis
from redis.exceptions import RedisError

from spacer_tasks.broker.whereabouts import Keys
from spacer_tasks.config.settings import get_settings
from spacer_tasks.execution.connection import me, worker_redis
from spacer_tasks.worker.delivery import qos, unacked

logger = logging.getLogger(__name__)

#: signs of life before a worker counts as silent: some may come late
BEATS = 4


class Pulse:
    """The thread. `keys` are those of the worker's pool."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._ended = threading.Event()
        #: last beat of each worker, and since when it is the last
        self._heard: dict[str, tuple[float, float]] = {}
        self._looked_at = 0.0
        #: messages that Redis says are here, and nobody here knows of
        self._strange: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self) -> None:
        """The worker has ended its tasks: what it has not is given back."""
        self._ended.set()
        try:
            leave_nothing(worker_redis(), self._keys)
        except (RedisError, OSError) as error:
            logger.warning("others will notice that this worker ended, Redis is away: %s", error)

    def _run(self) -> None:
        while not self._ended.wait(get_settings().worker_silent_s / BEATS):
            try:
                self.look(worker_redis())
            except (RedisError, OSError) as error:
                self._heard.clear()
                logger.warning("Redis does not answer: %s", error)
            except Exception:
                logger.exception("looking after other workers failed")

    def look(self, redis: Redis) -> None:
        """Beat once, and look at what the others do."""
        look = unacked.look(redis, self._keys)
        self._give_back_of_silent(redis, look)
        self._give_back_strange(redis, look.mine)

    def _give_back_of_silent(self, redis: Redis, look: unacked.Look) -> None:
        now, silent_s = time.monotonic(), get_settings().worker_silent_s
        if now - self._looked_at > silent_s / 2:
            # not heard is not the same as silent
            self._heard.clear()
        self._looked_at = now
        self._heard = {
            worker: seen if (seen := self._heard.get(worker)) and seen[0] == beat else (beat, now)
            for worker, beat in look.beats.items()
        }
        for worker, (_, since) in self._heard.items():
            if worker == me() or now - since < silent_s:
                continue
            if worker in look.noted:
                tags = unacked.held_by(redis, self._keys, worker)
            else:
                # of a version that did not note what it holds
                everything = unacked.holders(redis, self._keys)
                tags = [tag for tag, holder in everything.items() if holder == worker]
            given = unacked.give_back(redis, self._keys, tags, worker)
            unacked.leave(redis, self._keys, worker)
            logger.warning("%s fell silent: %d task(s) of it given back", worker, len(given))

    def _give_back_strange(self, redis: Redis, mine: frozenset[str]) -> None:
        """What this worker was given by an answer of Redis that never came."""
        strange = set(mine - qos.known_tags())
        # twice, because the answer may be on its way
        given = unacked.give_back(redis, self._keys, strange & self._strange, me())
        if given:
            logger.warning("%d message(s) were lost on the way here: given back", len(given))
        self._strange = strange - set(given)


def leave_nothing(redis: Redis, keys: Keys) -> list[str]:
    """Give back all that this worker holds, and be known to nobody."""
    mine = unacked.held_by(redis, keys, me())
    given = unacked.give_back(redis, keys, mine, me())
    unacked.leave(redis, keys, me())
    return given
