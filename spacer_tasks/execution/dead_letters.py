"""Tasks that were given up: each ended its worker again and again.

A dead letter is kept in the queue's Redis with all that is needed to send it again.
"""

from __future__ import annotations

import time
from typing import Any, cast

from pydantic import BaseModel
from redis import Redis

from spacer_tasks import results, storage
from spacer_tasks.app import app
from spacer_tasks.exceptions import MessageError
from spacer_tasks.execution import lock

#: hash: task id to dead letter; sorted set: task ids by time
LETTERS, TIMES = "spacer-dead", "spacer-dead:times"
#: the newest are kept: a message is 64 KiB at most, so these are 640 MB at most, mostly 20
KEPT = 10_000

KEEP = """
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
local over = redis.call('ZCARD', KEYS[2]) - ARGV[4]
if over > 0 then
    for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, over - 1)) do
        redis.call('HDEL', KEYS[1], id)
        redis.call('ZREM', KEYS[2], id)
    end
end
"""


class DeadLetter(BaseModel):
    """One task that was given up.

    Attributes
    ----------
    queue
        Where it came from.
    starts
        When (seconds since 1970) and at which worker it was begun.
    error
        What it was answered with.
    last_loss
        What ended its process the last time, where the worker could tell.
    args, link, link_error
        What was sent; a message over 64 KiB by its location.
    """

    task_id: str
    task_name: str
    queue: str
    given_up_at: float
    starts: list[dict[str, Any]]
    error: str
    last_loss: str | None
    args: list[Any]
    link: list[Any] | None = None
    link_error: list[Any] | None = None


def keep(redis: Redis, request: Any, starts: list[dict[str, Any]], error: str) -> None:
    """Keep the task of a Celery request."""
    delivery = request.delivery_info or {}
    letter = DeadLetter(
        task_id=request.id,
        task_name=request.task,
        queue=delivery.get("routing_key") or "",
        given_up_at=time.time(),
        starts=starts,
        error=error,
        last_loss=lock.noted_loss(request.id),
        args=list(request.args or ()),
        link=request.callbacks,
        link_error=request.errbacks,
    )
    text, when = letter.model_dump_json(), letter.given_up_at
    redis.eval(KEEP, 2, LETTERS, TIMES, letter.task_id, text, when, KEPT)


def listed(redis: Redis) -> list[DeadLetter]:
    """All dead letters, the oldest first."""
    task_ids = cast("list[bytes]", redis.zrange(TIMES, 0, -1))
    if not task_ids:
        return []
    found = cast("list[bytes | None]", redis.hmget(LETTERS, cast("list[Any]", task_ids)))
    return [DeadLetter.model_validate_json(text) for text in found if text is not None]


def find(redis: Redis, task_id: str) -> DeadLetter:
    """One dead letter.

    Raises
    ------
    MessageError
        There is none of this task.
    """
    text = cast("bytes | None", redis.hget(LETTERS, task_id))
    if text is None:
        raise MessageError(f"{task_id} is not among the tasks that were given up")
    return DeadLetter.model_validate_json(text)


def send_again(redis: Redis, task_id: str) -> DeadLetter:
    """Send the task of a dead letter under its id, as if it was never begun.

    Its answer, which says that it was given up, is removed, so that it is computed. A part of a
    batch runs by itself: the batch went on without it.

    Raises
    ------
    MessageError
        There is no dead letter of this task.
    StorageError, StorageUnavailableError
        The stored answer cannot be removed.
    """
    letter = find(redis, task_id)
    storage.delete(results.answer_location(task_id))
    lock.forget_starts(task_id)
    app.AsyncResult(task_id).forget()
    app.loader.import_default_modules()
    options: dict[str, Any] = {"queue": letter.queue} if letter.queue else {}
    app.tasks[letter.task_name].apply_async(
        tuple(letter.args),
        task_id=task_id,
        link=letter.link,
        link_error=letter.link_error,
        **options,
    )
    drop(redis, task_id)
    return letter


def drop(redis: Redis, task_id: str) -> None:
    """Forget a dead letter; its answer stays."""
    redis.hdel(LETTERS, task_id)
    redis.zrem(TIMES, task_id)
