"""A task runs once at a time, and its deliveries are counted.

Redis can deliver a task while it runs: its worker was cut off for a while, or took longer than the
visibility timeout. Whoever runs it holds a lock, renewed by a thread while the task runs; a second
delivery finds it and stands aside. When the worker dies, the lock lapses after
SPACER_WORKER_SILENT_S.

A worker may only have been suspended. When it wakes, it asks for its task before it stores
anything: a task that another began since, or finished, is not its own any more. The mark of the
end is the stored answer, which lasts longer than anything sleeps.

Each start is noted until the task is answered, so that a task which ends its worker each time can
be told from one that was delivered again by chance. A task that was never begun has no answer, and
none is looked for: so that a start has ended is noted too, for longer than a message can come back.

Of the tasks that have one start left, a process runs one at a time: a task that ends its worker
would otherwise take the same others with it each time, and they would be given up as it is.
"""

from __future__ import annotations

import json
import logging
import math
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, cast

from redis import Redis
from redis.exceptions import RedisError

from spacer_tasks import results, retries
from spacer_tasks.config.settings import get_settings
from spacer_tasks.exceptions import (
    AnswerDamagedError,
    RunningElsewhere,
    StorageError,
    StorageUnavailableError,
    TaskCancelledError,
)
from spacer_tasks.execution.connection import me, worker_redis
from spacer_tasks.execution.lock_renewal import RENEWALS, keeper
from spacer_tasks.results import StoredAnswer

logger = logging.getLogger(__name__)

PREFIX = "spacer-task:"
#: seconds that the starts of a task without an answer are remembered
STARTS_KEPT_S = 7 * 24 * 3600
#: seconds that a task which may have an answer is told from one that was never begun; twice the
#: longest visibility timeout, after which a message comes back
ENDED_KEPT_S = 2 * 24 * 3600
#: seconds after a renewal in which a lock is not asked for again: it cannot have lapsed
FRESH_S = 1.0

#: what is asked before a task: whether it, or its batch, was cancelled; who holds it; and, once it
#: is held here, whether it may have an answer, and all starts so far
BEGIN = """
for i = 5, #KEYS do
    if redis.call('EXISTS', KEYS[i]) == 1 then
        return {'cancelled', tostring(i - 5)}
    end
end
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
    return {'held', holder}
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('RPUSH', KEYS[2], ARGV[3])
redis.call('EXPIRE', KEYS[2], ARGV[4])
local ended = tostring(redis.call('EXISTS', KEYS[4]))
return {'begun', ended, unpack(redis.call('LRANGE', KEYS[2], 0, -1))}
"""
#: a lock that lapsed is taken again where the task's last start is still this one. Where another
#: came after it, the task is another's; where none is noted, another may have ended it meanwhile
RENEW = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
    return 'lost'
end
if not holder then
    local last = redis.call('LINDEX', KEYS[2], -1)
    if not last then
        return 'unknown'
    end
    if not string.find(last, ARGV[3], 1, true) then
        return 'lost'
    end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 'held'
"""
RELEASE = """
if ARGV[2] == '1' then
    redis.call('SET', KEYS[4], '1', 'EX', ARGV[3])
end
if redis.call('GET', KEYS[1]) == ARGV[1] then
    redis.call('DEL', KEYS[1])
    if ARGV[2] == '1' then
        redis.call('DEL', KEYS[2], KEYS[3])
    end
end
"""
#: the process that ran the task at this worker is no more: nobody need wait for its lock to lapse
LET_GO = """
local holder = redis.call('GET', KEYS[1])
if holder and string.sub(holder, 1, #ARGV[1]) == ARGV[1] then
    redis.call('DEL', KEYS[1])
end
"""
#: a start that ended because its worker was told to stop is not held against the task; it may have
#: stored the answer
TAKE_BACK = """
local holder = redis.call('GET', KEYS[1])
if holder and string.sub(holder, 1, #ARGV[1]) == ARGV[1] then
    redis.call('DEL', KEYS[1])
    redis.call('RPOP', KEYS[2])
    redis.call('SET', KEYS[3], '1', 'EX', ARGV[2])
end
"""

#: held by the one task with one start left that this process runs
_LAST_START = threading.Lock()


@dataclass
class Running:
    """A task that runs here.

    Attributes
    ----------
    starts
        When and where it was begun and not answered, this start included.
    first
        Whether it was never begun before, as far as Redis knows: it has no answer.
    answer
        Its answer, where it has one: it is not to be run.
    last_start
        Whether it is given up if its worker ends once more: one of these runs at a time.
    doubtful
        Whether the lock and the start are gone: the task may have been finished elsewhere.
    renewed_at
        On `_now()`, when it was last known to be held here.
    """

    task_id: str
    token: str
    starts: list[dict[str, Any]] = field(default_factory=list)
    first: bool = False
    answer: StoredAnswer | None = None
    lost: bool = False
    doubtful: bool = False
    last_start: bool = False
    ended: bool = False
    #: held while it is renewed: a renewal that came after the release would take it again
    renewing: threading.Lock = field(default_factory=threading.Lock, repr=False)
    renewed_at: float = -math.inf

    def check(self) -> bool:
        """Whether the task is still this worker's without a doubt. False: it was not held for a
        while, and no other worker has finished it.

        To be asked before each output is stored: a worker may have been suspended for hours.

        Raises
        ------
        RunningElsewhere
            Another worker took the task over, or finished it: nothing may be stored.
        StorageError, StorageUnavailableError
            It cannot be told, because the stored answer cannot be read.
        """
        since = _now() - self.renewed_at
        if not self.lost and (self.doubtful or since > _fresh_s()):
            try:
                self.renew(worker_redis())
            except (RedisError, OSError) as error:
                logger.warning("%s: its lock cannot be renewed now: %s", self.task_id, error)
                # while Redis is away, nobody else is given the task. But before, somebody was, if
                # this worker was away itself
                self.doubtful = self.doubtful or since * 1000 > _lapse_ms()
        if self.doubtful and not self.lost:
            if _is_answered(self.task_id):
                self.lost = True
            else:
                self._begin_again()
                return False
        if self.lost:
            raise RunningElsewhere(f"{self.task_id} was taken over by another worker")
        return True

    def _begin_again(self) -> None:
        try:
            _begin(self)
        except (RedisError, OSError) as error:
            logger.warning("%s runs without a lock, Redis is away: %s", self.task_id, error)
        except RunningElsewhere:
            self.lost = True
            raise
        else:
            self.doubtful = False

    def progressed(self) -> None:
        """The task has come further than ever: what ended its workers before does not count."""
        try:
            worker_redis().ltrim(keys_of(self.task_id)[1], -1, -1)
        except (RedisError, OSError) as error:
            logger.warning("%s: its progress is not noted: %s", self.task_id, error)

    def renew(self, redis: Redis) -> None:
        """Say that the task still runs; notice if it is another's by now."""
        with self.renewing:
            if self.ended:
                return
            asked_at = _now()
            found = redis.eval(
                RENEW, 2, *keys_of(self.task_id)[:2], self.token, _lapse_ms(), self.run
            )
            if found == b"held":
                self.renewed_at, self.doubtful = asked_at, False
            elif found == b"unknown":
                self.doubtful = True
            else:
                self.lost = True

    @property
    def run(self) -> str:
        """What tells this start from others."""
        return self.token.rpartition("/")[2]


_current: ContextVar[Running | None] = ContextVar("running", default=None)


def current() -> Running | None:
    """The task that this thread runs, if it has a lock."""
    return _current.get()


@contextmanager
def running(
    task_id: str,
    marks: Sequence[str] = (),
    find_answer: Callable[[], StoredAnswer | None] = lambda: None,
) -> Iterator[Running]:
    """Hold the lock of a task. Its starts are forgotten at the end, unless the block raises what
    ends a worker.

    Where Redis is away, the task runs all the same: nobody else is given it then.

    Parameters
    ----------
    marks
        Keys in the same Redis by which a task of these is cancelled.
    find_answer
        Looks for the task's answer; asked where there can be one.

    Raises
    ------
    TaskCancelledError
        One of the marks is there.
    RunningElsewhere
        Another worker holds it, and it has no answer; or it has one start left, and another such
        task takes long here.
    """
    lock = Running(task_id, f"{me()}/{os.getpid()}/{secrets.token_hex(4)}")
    before = _current.set(lock)
    ended = True
    try:
        try:
            _begin(lock, marks)
        except (RedisError, OSError) as error:
            logger.warning("%s runs without a lock, Redis is away: %s", task_id, error)
        except RunningElsewhere as found:
            # whoever finished it may have been killed with the lock
            lock.answer = _found_beside(found, find_answer)
            if lock.answer is None:
                raise
        if lock.answer is None and not lock.first:
            lock.answer = find_answer()
        if lock.answer is None:
            try:
                _take_turn(lock)
            except (RedisError, OSError) as error:
                logger.warning("%s runs without a lock, Redis is away: %s", task_id, error)
            keeper().add(lock)
        yield lock
    except Exception:
        raise
    except BaseException:
        ended = False
        raise
    finally:
        _current.reset(before)
        keeper().remove(lock)
        with lock.renewing:
            lock.ended = True
        if lock.last_start:
            _LAST_START.release()
        try:
            worker_redis().eval(RELEASE, 4, *keys_of(task_id), lock.token, int(ended), ENDED_KEPT_S)
        except (RedisError, OSError) as error:
            logger.warning("%s: its lock lapses by itself, Redis is away: %s", task_id, error)


def _found_beside(
    found: RunningElsewhere, find_answer: Callable[[], StoredAnswer | None]
) -> StoredAnswer | None:
    """The answer of a task that is another's, if there is one already."""
    try:
        return find_answer()
    except (StorageError, StorageUnavailableError) as error:
        logger.warning("%s; whether it has an answer is not known: %s", found, error)
        return None


def _begin(lock: Running, marks: Sequence[str] = ()) -> None:
    asked_at = _now()
    start = {"at": round(time.time(), 3), "worker": me(), "run": lock.run}
    keys = [*keys_of(lock.task_id), *marks]
    found = worker_redis().eval(
        BEGIN,
        len(keys),
        *keys,
        lock.token,
        _lapse_ms(),
        json.dumps(start),
        STARTS_KEPT_S,
    )
    said, *rest = cast("list[bytes]", found)
    if said == b"cancelled":
        raise TaskCancelledError(f"the task {lock.task_id} was cancelled")
    if said == b"held":
        raise RunningElsewhere(f"{lock.task_id} runs at {rest[0].decode()}")
    ended, *starts = rest
    lock.renewed_at = asked_at
    lock.starts = [json.loads(each) for each in starts]
    lock.first = ended == b"0" and len(starts) == 1


def _take_turn(lock: Running) -> None:
    """Of the tasks that have one start left, be the one that runs; while it waits, it is not begun.

    A task that ends its worker has no more starts left than those that it took with it. So with its
    last one it takes none that would be given up.
    """
    allowed = get_settings().max_deliveries
    if allowed == 1 or len(lock.starts) != allowed:
        return
    lock.last_start = _LAST_START.acquire(blocking=False)
    if lock.last_start:
        return
    take_back(worker_redis(), [lock.task_id])
    lock.last_start = _LAST_START.acquire(timeout=retries.TURN_S)
    if not lock.last_start:
        raise RunningElsewhere(
            f"{lock.task_id} has one start left, as another task that runs at {me()}"
        )
    _begin(lock)


def _is_answered(task_id: str) -> bool:
    """Whether the task has a stored answer: the mark of its end, which lasts."""
    try:
        return results.find_answer(task_id) is not None
    except AnswerDamagedError:
        return False


def forget_starts(task_id: str) -> None:
    """The task is sent anew, and has no answer."""
    worker_redis().delete(*keys_of(task_id)[1:])


def take_back(redis: Redis, task_ids: Iterable[str]) -> None:
    """These run at this worker, which is about to end: others may begin them at once, and it is
    not held against them.
    """
    for task_id in task_ids:
        lock, starts, _, ended = keys_of(task_id)
        redis.eval(TAKE_BACK, 3, lock, starts, ended, me(), ENDED_KEPT_S)


def let_go(redis: Redis, task_id: str) -> None:
    """The process that ran the task at this worker is no more."""
    redis.eval(LET_GO, 1, keys_of(task_id)[0], me())


def note_loss(redis: Redis, task_id: str, text: str) -> None:
    """Keep what ended the process that ran the task."""
    redis.set(keys_of(task_id)[2], text, ex=STARTS_KEPT_S)


def noted_loss(task_id: str) -> str | None:
    """What ended the process that ran the task last, where it is known."""
    found = cast("bytes | None", worker_redis().get(keys_of(task_id)[2]))
    return found.decode() if found else None


def keys_of(task_id: str) -> list[str]:
    """The keys of a task's lock, its starts, what ended its process, and that a start ended."""
    return [f"{PREFIX}{task_id}:{name}" for name in ("lock", "starts", "loss", "ended")]


def _fresh_s() -> float:
    return min(FRESH_S, get_settings().worker_silent_s / RENEWALS)


def _now() -> float:
    """Seconds that pass while the machine is suspended, too: Redis counts them."""
    if hasattr(time, "CLOCK_BOOTTIME"):  # Linux
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


def _lapse_ms() -> int:
    return round(get_settings().worker_silent_s * 1000)


def _after_fork() -> None:
    global _LAST_START
    _LAST_START = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
