"""Which tasks are not done with: what they have stored must stay, however old it is.

A task is not done with while a message of it waits, is held by a worker, was refused, or is a dead
letter; while its start is noted and it has no answer; while a batch of it waits for its parts; and
while CoralNet's queue class or a mailman has not handed out its answer.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, cast

from redis import Redis

from spacer_tasks import results
from spacer_tasks.app import app
from spacer_tasks.broker import refused
from spacer_tasks.broker.client import broker_client, results_client
from spacer_tasks.broker.contract import QUEUES
from spacer_tasks.broker.queue_depths import lists_of
from spacer_tasks.broker.whereabouts import PAGE, POOL_OF, Keys, pages
from spacer_tasks.execution import dead_letters, lock
from spacer_tasks.jobs.redis_records import COLLECTED, WAITING
from spacer_tasks.jobs.sent import MAILMAN

#: keys that Redis is asked for at once
SCANNED = 1000
#: headers of a message that name tasks
_NAMING = ("id", "root_id", "parent_id")
#: the id of a batch's part: the batch, what the part does, its number
_PART = re.compile(r"(.+)\.[a-z_]+\.\d+")
#: what a message may say of objects under the results prefix: `answers/5f1c….json`
_OBJECT = re.compile(rb"(?:answers|messages|batches|checkpoints)/([A-Za-z0-9_.-]+)")
#: of the keys in which Celery keeps a chord while it waits for its parts
_CHORD = re.compile(rb"(.+)\.[a-z_]+\.[0-9a-f]*\.[jst]")


def batch_of(task_id: str) -> str | None:
    """The batch that a task is a part of, by its id; None where it is none."""
    found = _PART.fullmatch(task_id)
    return found and found.group(1)


class Needed:
    """The ids of tasks that are not done with."""

    def __init__(self, task_ids: Iterable[str]) -> None:
        self._ids: set[str] = set()
        for task_id in task_ids:
            self._ids.add(task_id)
            # the rest of the batch waits for it
            if batch := batch_of(task_id):
                self._ids.add(batch)
        # the file of a long id has its beginning, and a hash of the rest
        self._beginnings = {each[: results.BEGINNING] for each in self._ids}

    def __contains__(self, task_id: str) -> bool:
        beginning, hashed, _ = task_id.partition("~")
        if hashed:
            return beginning in self._beginnings
        return task_id in self._ids or batch_of(task_id) in self._ids

    def __len__(self) -> int:
        return len(self._ids)


def needed_tasks() -> Needed:
    """Ask Redis which tasks are not done with. It is read page by page, never as a whole.

    Raises
    ------
    redis.exceptions.RedisError
        Redis does not answer: nothing can be told.
    """
    return Needed(_found(broker_client(), results_client()))


def _found(broker: Redis, backend: Redis) -> Iterator[str]:
    # a message moves from a queue to a worker, and may be given back meanwhile
    for look in (_waiting, _held, _waiting):
        for text in look(broker):
            yield from _named_in(text)
    for text in _kept(broker):
        yield from _named_in(text)
    for key in (dead_letters.TIMES, WAITING, COLLECTED):
        for member, _ in broker.zscan_iter(key, count=SCANNED):
            yield member.decode()
    yield from _in_keys(broker)
    if backend is not broker:
        yield from _in_keys(backend)


def _waiting(redis: Redis) -> Iterator[bytes]:
    for queue in QUEUES:
        for key in lists_of(queue):
            for page in pages(redis, key):
                yield from page


def _held(redis: Redis) -> Iterator[bytes]:
    for pool in dict.fromkeys(POOL_OF.values()):
        for _, value in redis.hscan_iter(Keys.of(pool).unacked, count=PAGE):
            yield value


def _kept(redis: Redis) -> Iterator[bytes]:
    """The messages that were refused: they may be put back."""
    for page in pages(redis, refused.LIST):
        for entry in page:
            yield refused.read_entry(entry).raw


def _in_keys(redis: Redis) -> Iterator[str]:
    chords: bytes = cast("Any", app.backend).group_keyprefix
    begun, sent = lock.PREFIX.encode(), MAILMAN.encode()
    for key in redis.scan_iter(count=SCANNED):
        if key.startswith(chords):
            if waits := _CHORD.fullmatch(key.removeprefix(chords)):
                yield waits.group(1).decode()
        elif key.startswith(begun):
            task_id, _, what = key.removeprefix(begun).decode().rpartition(":")
            if what in ("lock", "starts"):
                yield task_id
        elif key.startswith(sent):
            yield key.removeprefix(sent).decode()


def _named_in(message: bytes) -> Iterator[str]:
    """The tasks that a message is of, and those whose objects it speaks of."""
    try:
        envelope = json.loads(message)
        # a message that is held has its queue beside it
        envelope = envelope[0] if isinstance(envelope, list) else envelope
        headers = envelope["headers"]
        yield from (str(headers[name]) for name in _NAMING if headers.get(name))
        body = base64.b64decode(envelope["body"])
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        # no task's, or of another form: what it speaks of stays all the same
        body = message
    for found in _OBJECT.findall(body):
        # an answer's name has an ending, a batch's folder has none
        yield from {found.decode(), found.decode().removesuffix(".json")}
