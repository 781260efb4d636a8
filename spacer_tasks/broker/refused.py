"""Messages that workers refused: kept with the reason, so that they can be looked at and put back.

Refusing is one worker's judgement, and may be its own mistake: another key, a clock that is wrong,
an older version. So nothing is destroyed by it. The newest are kept, in a list with a bound for
their number and one for their bytes: an entry is a line of JSON that says why, and then the message
as it was.
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

#: the list, its bytes, and a hash: how many were ever refused, by reason
LIST, BYTES, COUNTS = "spacer-unreadable", "spacer-refused:bytes", "spacer-refused:counts"
#: entries, and bytes of all. A message is mostly 2 KB, and 90 KB at most; only that of a batch's
#: next stage holds what all parts answered, some MB for ten thousand
KEPT, KEPT_BYTES = 5000, 256 * 2**20
#: bytes; of a longer message, which is none of this package's, so many are kept: it would push out
#: what others lost
LONGEST, CUT_TO = KEPT_BYTES // 4, 64 * 2**10
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


#: put an entry into the list, and let the oldest go that have no room in it
KEEP = f"""
local function keep(list, bytes, entry)
    redis.call('LPUSH', list, entry)
    local total = redis.call('INCRBY', bytes, #entry)
    local length = redis.call('LLEN', list)
    while length > {KEPT} or (total > {KEPT_BYTES} and length > 1) do
        total = redis.call('DECRBY', bytes, #redis.call('RPOP', list))
        length = length - 1
    end
    if length == 1 or total < #entry then
        -- some were put there, or taken, by an older version, which does not count
        redis.call('SET', bytes, #entry)
    end
end
"""
#: put a message that this worker holds into the list, unless it was given to another meanwhile
REFUSE = (
    KEEP
    + """
redis.call('ZREM', KEYS[7], ARGV[1] .. '\\n' .. ARGV[2])
local holder = redis.call('HGET', KEYS[3], ARGV[2])
if not holder or string.sub(holder, 1, #ARGV[1] + 1) ~= ARGV[1] .. '\\n' then
    return 0
end
keep(KEYS[4], KEYS[6], ARGV[3])
redis.call('HINCRBY', KEYS[5], ARGV[4], 1)
redis.call('ZREM', KEYS[2], ARGV[2])
redis.call('HDEL', KEYS[1], ARGV[2])
redis.call('HDEL', KEYS[3], ARGV[2])
return 1
"""
)
#: take an entry out of the list; where a queue is given, its message goes behind all others there.
#: That is first: a script that Redis ends half way is not undone
TAKE_OUT = """
if KEYS[3] then
    redis.call('LPUSH', KEYS[3], ARGV[2])
end
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then
    if KEYS[3] then
        -- it was not there any more
        redis.call('LREM', KEYS[3], 1, ARGV[2])
    end
    return 0
end
if redis.call('DECRBY', KEYS[2], #ARGV[1]) < 0 or redis.call('EXISTS', KEYS[1]) == 0 then
    redis.call('DEL', KEYS[2])
end
return 1
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
        The message; its beginning, where it was too long to be kept.
    cut
        How many bytes it had, where only its beginning is kept.
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
    cut: int | None = None

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
    said: dict[str, Any] = {
        "refused": ref_of(raw), "reason": reason.value, "why": why, "queue": queue,
        "worker": worker, "at": at,
    }  # fmt: skip
    if len(raw) > LONGEST:
        said["cut"] = len(raw)
        raw = raw[:CUT_TO]
    return json.dumps(said).encode() + b"\n" + raw


def read_entry(entry: bytes) -> Refused:
    """An entry of the list; one of an older version is only the message."""
    head, _, raw = entry.partition(b"\n")
    try:
        said = json.loads(head)
        return Refused(
            str(said["refused"]), Reason(said["reason"]), str(said["why"]), str(said["queue"]),
            str(said["worker"]), float(said["at"]), raw, entry, said.get("cut"),
        )  # fmt: skip
    except (ValueError, TypeError, LookupError, RecursionError):
        why = "a worker of an older version set it aside and did not say why"
        return Refused(ref_of(entry), Reason.NOT_SAID, why, "", "", 0, entry, entry)


def listed(redis: Redis) -> list[Refused]:
    """All that are kept, the oldest first."""
    entries = cast("list[bytes]", redis.lrange(LIST, 0, -1))
    return [read_entry(entry) for entry in reversed(entries)]


def of_task(redis: Redis, task_id: str) -> list[Refused]:
    """Those that were a task's, or of a batch its parts', the newest first."""
    # imported here: callers name the reasons alone, and need no client of Redis
    from spacer_tasks.broker.whereabouts import pages

    found: list[Refused] = []
    mark, of_batch = task_id.encode(), f"{task_id}."
    for page in pages(redis, LIST):
        for entry in page:
            if mark not in entry:
                continue
            each = read_entry(entry)
            named, group = str(each.headers.get("id")), str(each.headers.get("group"))
            # an id may begin with another's, a batch's group begins with the batch's
            if named == task_id or (named.startswith(of_batch) and group.startswith(of_batch)):
                found.append(each)
    return found


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
        It is not known which queue it came from, or it was too long to be kept whole.
    """
    if not refused.queue:
        raise MessageError(
            f"{refused.ref} cannot be put back: it is not known which queue it came from"
        )
    if refused.cut is not None:
        raise MessageError(
            f"{refused.ref} cannot be put back: of its {refused.cut:,} bytes the first"
            f" {len(refused.raw):,} are kept"
        )
    keys = (LIST, BYTES, refused.queue)
    return bool(redis.eval(TAKE_OUT, len(keys), *keys, refused.entry, refused.raw))


def drop(redis: Redis, refused: Refused) -> bool:
    """Forget a message. False: it is not in the list any more."""
    return bool(redis.eval(TAKE_OUT, 2, LIST, BYTES, cast("Any", refused.entry)))


def counts(redis: Redis) -> dict[str, int]:
    """How many messages were ever refused, by reason."""
    found = cast("dict[bytes, bytes]", redis.hgetall(COUNTS))
    return {reason.decode(): int(number) for reason, number in found.items()}


def kept(redis: Redis) -> int:
    """How many messages are in the list."""
    return int(redis.llen(LIST))
