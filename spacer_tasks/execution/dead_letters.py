"""Tasks that were given up: each ended its worker again and again.

A dead letter is kept in the queue's Redis with its whole message, so that what is sent again is
what was sent: priority, time limit, headers, callbacks, the batch that it is a part of.
"""

from __future__ import annotations

import base64
import time
from bisect import bisect
from typing import Any, cast
from uuid import uuid4

from kombu.utils import json
from pydantic import BaseModel, ConfigDict
from redis import Redis

from spacer_tasks import results, storage
from spacer_tasks.app import app
from spacer_tasks.broker import chord_count, signing
from spacer_tasks.broker.contract import PRIORITY_STEPS, RUN, SENT_AT
from spacer_tasks.broker.queue_depths import lists_of
from spacer_tasks.config.settings import get_settings
from spacer_tasks.exceptions import MessageError
from spacer_tasks.execution import lock, once

#: hash: task id to dead letter; sorted set: task ids by time
LETTERS, TIMES = "spacer-dead", "spacer-dead:times"
#: the newest are kept, so many and so many bytes of them. A message is mostly 2 KB, and 90 KB at
#: most; only that of a batch's body holds what all parts answered, some MB for ten thousand
KEPT, KEPT_BYTES = 10_000, 256 * 2**20

#: counted anew each time: some milliseconds for ten thousand, and few tasks are given up
KEEP = """
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
local number, bytes = 0, 0
for _, id in ipairs(redis.call('ZREVRANGE', KEYS[2], 0, -1)) do
    number = number + 1
    bytes = bytes + redis.call('HSTRLEN', KEYS[1], id)
    if number > 1 and (number > tonumber(ARGV[4]) or bytes > tonumber(ARGV[5])) then
        redis.call('HDEL', KEYS[1], id)
        redis.call('ZREM', KEYS[2], id)
    end
end
"""
#: push its message and forget it, in one step: who is cut off between the two would send it twice
SEND = """
if not redis.call('HGET', KEYS[1], ARGV[1]) then
    return 0
end
-- first: a script that Redis ends half way is not undone
redis.call('LPUSH', KEYS[3], ARGV[2])
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
return 1
"""
#: headers of Celery's that a message may have; others are a caller's or this package's
_CELERYS = (
    "lang", "task", "id", "shadow", "eta", "expires", "group", "group_index", "retries",
    "timelimit", "root_id", "parent_id", "argsrepr", "kwargsrepr", "origin", "ignore_result",
    "replaced_task_nesting", "stamped_headers", "stamps",
)  # fmt: skip
#: what follows a task, in its body
_FOLLOWING = ("callbacks", "errbacks", "chain", "chord")


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
    named, following, headers, properties
        The rest of its message; None of a letter of an older version.
    """

    # a body is signed with what is not a number in it, too
    model_config = ConfigDict(ser_json_inf_nan="constants")

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
    named: dict[str, Any] = {}
    following: dict[str, Any] = {}
    headers: dict[str, Any] | None = None
    properties: dict[str, Any] = {}


def keep(redis: Redis, request: Any, starts: list[dict[str, Any]], error: str) -> None:
    """Keep the task of a Celery request."""
    found = vars(request)
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
        named=dict(request.kwargs or {}),
        following={name: found[name] for name in _FOLLOWING if name in found},
        headers={
            **{name: found[name] for name in _CELERYS if name in found},
            **(request.headers or {}),
        },
        properties=dict(request.properties or {}),
    )
    text, when = letter.model_dump_json(), letter.given_up_at
    redis.eval(KEEP, 2, LETTERS, TIMES, letter.task_id, text, when, KEPT, KEPT_BYTES)


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
    """Send the task of a dead letter as it was sent, as if it was never begun.

    Its answer, which says that it was given up, is removed, so that it is computed. A part of a
    batch that still waits for others counts again; where the batch went on, it runs by itself.

    With `SPACER_SIGNING_KEYS` the message is signed anew. Without, a signed one keeps its
    signature, and with it its tries and the time after which it expires.

    Raises
    ------
    MessageError
        There is no dead letter of this task.
    StorageError, StorageUnavailableError
        The stored answer cannot be removed.
    """
    letter = find(redis, task_id)
    app.loader.import_default_modules()
    _count_again(letter)
    storage.delete(results.answer_location(task_id))
    lock.forget_starts(task_id)
    once.forget_run(task_id)
    app.AsyncResult(task_id).forget()
    if letter.headers is None:
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
    text = json.dumps(_message(letter, letter.headers))
    redis.eval(SEND, 3, LETTERS, TIMES, _list_of(letter), task_id, text)
    return letter


def _count_again(letter: DeadLetter) -> None:
    """A part that was counted as failed is taken back, if its batch waits for others."""
    headers = letter.headers or {}
    group, place = headers.get("group"), headers.get("group_index")
    if group and isinstance(place, int):
        backend: Any = app.backend  # its type stubs are those of the general class
        keys = chord_count.keys_of(backend, group)
        chord_count.take_back(backend.client, keys, letter.task_id, place)


def _message(letter: DeadLetter, headers: dict[str, Any]) -> dict[str, Any]:
    """What is pushed, in Kombu's form."""
    body = [letter.args, letter.named, letter.following]
    headers = {**headers, SENT_AT: time.time()}
    if RUN in headers:
        # the parts that it sent before were counted, and would not be sent again
        headers[RUN] = uuid4().hex[:12]
    if signing.HEADER not in headers or get_settings().signing_keys:
        headers |= {"retries": 0, "eta": None, "expires": None}
        signing.sign(letter.task_name, body, headers)
    # the one that was given up may still be held under its own tag
    properties = {**letter.properties, "delivery_tag": str(uuid4()), "body_encoding": "base64"}
    return {
        "body": base64.b64encode(json.dumps(body).encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": headers,
        "properties": properties,
    }


def _list_of(letter: DeadLetter) -> str:
    """The list of its queue and priority."""
    priority = max(0, int(letter.properties.get("priority") or 0))
    return lists_of(letter.queue)[bisect(PRIORITY_STEPS, priority) - 1]


def drop(redis: Redis, task_id: str) -> None:
    """Forget a dead letter; its answer stays."""
    redis.hdel(LETTERS, task_id)
    redis.zrem(TIMES, task_id)
