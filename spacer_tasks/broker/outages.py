"""A Redis that is away: how to tell, and one error of this package for callers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from celery import Celery
from kombu.exceptions import OperationalError

from spacer_tasks.exceptions import BrokerUnavailableError

#: how redis-py begins the text of a time-out before there was a connection
_CONNECTING = "Timeout connecting"
#: how a Redis says that it takes no writes for now: a replica, full, its disk full, a script that
#: runs, too few replicas; or that its user lost a right, which is given back when somebody sees it.
#: An error of a script quotes it somewhere
REFUSES = re.compile(
    r"\b(READONLY|OOM|MISCONF|BUSY|NOREPLICAS|NOPERM)\b"
    # redis-py cuts the code off
    r"|\b[Nn]o permissions to |ACL failure in script|executing the script can't "
)


@contextmanager
def unavailable_broker(app: Celery) -> Iterator[None]:
    """Raise `BrokerUnavailableError` where sending a task fails because Redis is away.

    Inside a task of ours the errors stay Celery's, which knows what to do with them.
    """
    try:
        yield
    except Exception as error:
        running = app.current_worker_task
        if getattr(running, "app", None) is app or not redis_is_away(error):
            raise
        reason = error.__cause__ or error
        sent = (
            "it is not known whether the task was sent"
            if _waited_for_an_answer(error)
            else "the task was not sent"
        )
        raise BrokerUnavailableError(f"Redis cannot be reached, so {sent}: {reason}") from error


def _met_a_closed_channel(error: AttributeError) -> bool:
    """Whether Kombu (5.7) published by a channel whose connection was just closed: it looks for
    the connection's client, and finds None.
    """
    where = error.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    module = where.tb_frame.f_globals.get("__name__", "") if where else ""
    return error.obj is None and error.name == "client" and module.startswith("kombu.")


def _waited_for_an_answer(error: Exception) -> bool:
    """Whether Redis may have taken the task before it hung: some connection was there.

    redis-py has one class for both, and tells them apart in its text only.
    """
    from redis.exceptions import TimeoutError as RedisTimeoutError

    reason: BaseException | None = error
    # an earlier send's error, while this one is a second try, says nothing about this one
    while reason is not None and not isinstance(reason, BrokerUnavailableError):
        if isinstance(reason, RedisTimeoutError) and not str(reason).startswith(_CONNECTING):
            return True
        reason = reason.__cause__ or reason.__context__
    return False


def redis_is_away(error: Exception) -> bool:
    """Whether an error of Celery, Kombu or redis-py means that Redis did not answer, or takes no
    writes for now.
    """
    # imported here: whoever sends has it loaded by now, whoever imports the tasks has not
    from redis import exceptions
    from redis.exceptions import ConnectionError as RedisConnectionError
    from redis.exceptions import TimeoutError as RedisTimeoutError

    away = (
        OperationalError,
        RedisConnectionError,
        RedisTimeoutError,
        exceptions.ReadOnlyError,
        # redis-py has a class for it since its version 5
        getattr(exceptions, "OutOfMemoryError", exceptions.ReadOnlyError),
        OSError,
    )
    if isinstance(error, AttributeError):
        return _met_a_closed_channel(error)
    # Celery's result backend asks for a restart of the process; it goes on once Redis is back
    return isinstance(error, away) or (
        isinstance(error, RuntimeError) and isinstance(error.__cause__, away)
    )


def refuses_for_now(error: Exception) -> bool:
    """Whether an error of Celery, Kombu or redis-py says that Redis is away, or refuses a worker's
    command for now. What a worker has to keep there is kept later: the task is no worse for it.
    """
    return redis_is_away(error) or bool(REFUSES.search(str(error)))
