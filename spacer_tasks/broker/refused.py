"""Messages that workers refused: kept with the reason, so that they can be looked at and put back.

Refusing is one worker's judgement, and may be its own mistake: another key, a clock that is wrong,
an older version. So nothing is destroyed by it. The newest `KEPT` are kept, in a list: an entry is
a line of JSON that says why, and then the message as it was.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, cast

from spacer_tasks.exceptions import MessageError

if TYPE_CHECKING:
    from redis import Redis

#: the list, and a hash: how many were ever refused, by reason
LIST, COUNTS = "spacer-unreadable", "spacer-refused:counts"
#: entries. A message is mostly 2 KB, and 90 KB at most
KEPT = 5000
#: hexadecimal digits by which an entry is named; of a hash of the message, so that what comes back
#: unchanged has the same name
REF_LENGTH = 12


class Reason(str, Enum):
    """Why messages are refused: what is counted, and what a worker must not meet often in a row."""

    #: it cannot be a task's message, whoever looks at it
    UNREADABLE = "unreadable"
    #: it has no signature, and this worker requires one
    UNSIGNED = "unsigned"
    #: it is signed with none of this worker's keys, or was changed
    SIGNATURE = "signature"
    #: its signature is older than this worker takes, by its clock
    AGE = "age"
    #: this worker does not know the task
    UNKNOWN_TASK = "unknown-task"
    #: of older versions, which did not say
    NOT_SAID = "not-said"

    @property
    def of_the_message(self) -> bool:
        """Whether every worker would refuse it: one that meets many of them may go on."""
        return self is Reason.UNREADABLE


#: put a message that this worker holds into the list, unless it was given to another meanwhile
REFUSE = """
redis.call('ZREM', KEYS[5], ARGV[1] .. '\\n' .. ARGV[2])
local holder = redis.call('HGET', KEYS[3], ARGV[2])
if not holder or string.sub(holder, 1, #ARGV[1] + 1) ~= ARGV[1] .. '\\n' then
    return 0
end
redis.call('LPUSH', KEYS[6], ARGV[3])
redis.call('LTRIM', KEYS[6], 0, ARGV[4] - 1)
redis.call('HINCRBY', KEYS[7], ARGV[5], 1)
redis.call('ZREM', KEYS[2], ARGV[2])
redis.call('HDEL', KEYS[1], ARGV[2])
redis.call('HDEL', KEYS[3], ARGV[2])
return 1
"""
#: move an entry's message behind all others of its queue
REQUEUE = """
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 1 then
    redis.call('LPUSH', KEYS[2], ARGV[2])
    return 1
end
return 0
"""


@dataclass(frozen=True)
class Refused:
    """One message that was refused.

    Attributes
    ----------
    ref
        Its name in the list.
    why
        What was wrong, in words.
    queue
        The list of Redis that it was taken from; empty where that is not known.
    worker
        Who refused it; empty where it was Redis's own script, which could not read it.
    at
        Seconds since 1970, by the clock of whoever refused it.
    raw
        The message.
    entry
        As it is in Redis.
    """

    ref: str
    reason: Reason
    why: str
    queue: str
    worker: str
    at: float
    raw: bytes
    entry: bytes

    @property
    def headers(self) -> dict[str, Any]:
        """The headers of the message, as far as they can be read."""
        try:
            headers = json.loads(self.raw)["headers"]
        except (ValueError, TypeError, LookupError, RecursionError):
            return {}
        return headers if isinstance(headers, dict) else {}


def ref_of(raw: bytes) -> str:
    """The name of a message in the list."""
    # as Redis's `sha1hex`: a name, nothing is protected by it
    return hashlib.sha1(raw, usedforsecurity=False).hexdigest()[:REF_LENGTH]


def entry_of(raw: bytes, reason: Reason, why: str, queue: str, worker: str, at: float) -> bytes:
    """What is kept of a message that is refused."""
    said = {
        "refused": ref_of(raw), "reason": reason.value, "why": why, "queue": queue,
        "worker": worker, "at": at,
    }  # fmt: skip
    return json.dumps(said).encode() + b"\n" + raw


def read_entry(entry: bytes) -> Refused:
    """An entry of the list; one of an older version is only the message."""
    head, _, raw = entry.partition(b"\n")
    try:
        said = json.loads(head)
        return Refused(
            str(said["refused"]), Reason(said["reason"]), str(said["why"]), str(said["queue"]),
            str(said["worker"]), float(said["at"]), raw, entry,
        )  # fmt: skip
    except (ValueError, TypeError, LookupError, RecursionError):
        why = "a worker of an older version set it aside and did not say why"
        return Refused(ref_of(entry), Reason.NOT_SAID, why, "", "", 0, entry, entry)


def listed(redis: Redis) -> list[Refused]:
    """All that are kept, the oldest first."""
    entries = cast("list[bytes]", redis.lrange(LIST, 0, -1))
    return [read_entry(entry) for entry in reversed(entries)]


def find(redis: Redis, refs: Iterable[str]) -> list[Refused]:
    """Those of these names.

    Raises
    ------
    MessageError
        There is none of one name.
    """
    entries = {each.ref: each for each in listed(redis)}
    found = []
    for ref in refs:
        if ref not in entries:
            raise MessageError(f"{ref} is not among the messages that were refused")
        found.append(entries[ref])
    return found


def requeue(redis: Redis, refused: Refused) -> bool:
    """Put a message back into its queue, as it was. False: it is not in the list any more.

    Raises
    ------
    MessageError
        It is not known which queue it came from.
    """
    if not refused.queue:
        raise MessageError(
            f"{refused.ref} cannot be put back: it is not known which queue it came from"
        )
    put = redis.eval(REQUEUE, 2, LIST, refused.queue, refused.entry, refused.raw)
    return bool(put)


def drop(redis: Redis, refused: Refused) -> bool:
    """Forget a message. False: it is not in the list any more."""
    return bool(redis.lrem(LIST, 1, cast("Any", refused.entry)))


def counts(redis: Redis) -> dict[str, int]:
    """How many messages were ever refused, by reason."""
    found = cast("dict[bytes, bytes]", redis.hgetall(COUNTS))
    return {reason.decode(): int(number) for reason, number in found.items()}


def kept(redis: Redis) -> int:
    """How many messages are in the list."""
    return int(redis.llen(LIST))
