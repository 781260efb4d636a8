"""Which worker holds which message, in Redis; and which workers are alive.

Kombu records only when a message was taken, so a killed worker's messages come back when the
visibility timeout is over. Here each is recorded with its holder, in the step that takes it from
its queue, and each worker says every few seconds that it is alive. What belongs to one that fell
silent is given back by any other worker of the pool. Each step is a script, so none is lost, or
given back twice, between two commands.

Beside Kombu's `unacked.<pool>` there are `unacked.<pool>.holders` (a hash: delivery tag to worker
and queue), `unacked.<pool>.held` (a sorted set by name: worker and delivery tag, so that what one
worker holds is found without the rest) and `unacked.<pool>.alive` (a sorted set: worker by the time
of its last beat). Each worker has an entry without a tag in `.held`. Workers of older versions
write nothing there: what one of these holds is looked for in the whole hash, once it fell silent.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from redis import Redis

from spacer_tasks.broker import refused
from spacer_tasks.broker.whereabouts import Keys
from spacer_tasks.execution.connection import me

#: the oldest message of the first queue that has one, recorded as held. Answers the queue's place
#: among the keys, the message and its delivery tag. What cannot be a message of Kombu's, or could
#: not be put back as it was, goes to the messages that were refused (`broker/refused.py`); after a
#: hundred of these others have their turn at Redis. A message leaves its queue last: a script that
#: Redis ends half way, because the user may not do one of its commands, is not undone
TAKE = (
    refused.KEEP
    + """
redis.call('ZADD', KEYS[4], ARGV[2], ARGV[1])
redis.call('ZADD', KEYS[5], 0, ARGV[1] .. '\\n')
local function fault_of(sent)
    for _, value in ipairs({sent.exchange or 0, sent.routing_key or 0}) do
        if type(value) ~= 'string' or string.find(value, '[%c"\\\\]') then
            return 'it does not say where it was sent to'
        end
    end
end
local aside = 0
for i = 9, #KEYS do
    local raw = aside < 100 and redis.call('LINDEX', KEYS[i], -1)
    while raw do
        local why = 'it is not JSON, or nested too deep'
        local read, message = pcall(cjson.decode, raw)
        if read then
            local properties = type(message) == 'table' and message.properties
            local tag = type(properties) == 'table' and properties.delivery_tag
            local sent = type(properties) == 'table' and properties.delivery_info
            why = (type(tag) ~= 'string' or string.find(tag, '[^%w_.:-]'))
                and 'it has no delivery tag'
                or (type(sent) ~= 'table' and 'it does not say where it was sent to')
                or fault_of(sent)
            if not why then
                local tail = ',"' .. sent.exchange .. '","' .. sent.routing_key .. '"]'
                redis.call('HSET', KEYS[1], tag, '[' .. raw .. tail)
                redis.call('ZADD', KEYS[2], ARGV[2], tag)
                redis.call('HSET', KEYS[3], tag, ARGV[1] .. '\\n' .. KEYS[i])
                redis.call('ZADD', KEYS[5], 0, ARGV[1] .. '\\n' .. tag)
                redis.call('RPOP', KEYS[i])
                return {i - 9, raw, tag}
            end
        end
        local said = {
            refused = string.sub(redis.sha1hex(raw), 1, ARGV[3]), reason = ARGV[4], why = why,
            queue = KEYS[i], worker = '', at = tonumber(ARGV[2])
        }
        if #raw > tonumber(ARGV[5]) then
            said.cut = #raw
            raw = string.sub(raw, 1, ARGV[6])
        end
        keep(KEYS[6], KEYS[8], cjson.encode(said) .. '\\n' .. raw)
        redis.call('HINCRBY', KEYS[7], ARGV[4], 1)
        redis.call('RPOP', KEYS[i])
        aside = aside + 1
        raw = aside < 100 and redis.call('LINDEX', KEYS[i], -1)
    end
end
return false
"""
)
#: forget a message, unless another worker holds it by now
FORGET = """
redis.call('ZREM', KEYS[4], ARGV[1] .. '\\n' .. ARGV[2])
local holder = redis.call('HGET', KEYS[3], ARGV[2])
if holder and string.sub(holder, 1, #ARGV[1] + 1) ~= ARGV[1] .. '\\n' then
    return 0
end
redis.call('ZREM', KEYS[2], ARGV[2])
redis.call('HDEL', KEYS[1], ARGV[2])
redis.call('HDEL', KEYS[3], ARGV[2])
return 1
"""
#: put messages back into their queues, if the worker (any, where none is given) still holds them,
#: and has since before a time, where one is given
GIVE_BACK = (
    refused.KEEP
    + """
local given = {}
for i = 4, #ARGV do
    local tag = ARGV[i]
    local holder = redis.call('HGET', KEYS[3], tag)
    local worker, queue = string.match(holder or '', '^([^\\n]*)\\n(.*)$')
    if ARGV[1] ~= '' and ARGV[1] ~= worker then
        redis.call('ZREM', KEYS[6], ARGV[1] .. '\\n' .. tag)
    end
    local since = tonumber(redis.call('ZSCORE', KEYS[2], tag) or '0')
    if worker and (ARGV[1] == '' or ARGV[1] == worker)
        and (ARGV[3] == '' or since <= tonumber(ARGV[3])) then
        local value = redis.call('HGET', KEYS[1], tag)
        local raw = value and string.match(value, '^%[(.*),%s*"[^"]*",%s*"[^"]*"%]$')
        if raw then
            redis.call(ARGV[2], queue, raw)
        elseif value then
            -- recorded by a worker of an older version: kept where an operator sees it
            keep(KEYS[4], KEYS[5], value)
        end
        redis.call('ZREM', KEYS[6], worker .. '\\n' .. tag)
        redis.call('ZREM', KEYS[2], tag)
        redis.call('HDEL', KEYS[1], tag)
        redis.call('HDEL', KEYS[3], tag)
        given[#given + 1] = tag
    end
end
return given
"""
)
#: say that this worker is alive. Answers all workers of the pool with their last beats; those that
#: may hold something, one step for each; and what this one holds
LOOK = """
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
redis.call('ZADD', KEYS[2], 0, ARGV[1] .. '\\n')
local noted, from = {}, '-'
while true do
    local entry = redis.call('ZRANGEBYLEX', KEYS[2], from, '+', 'LIMIT', 0, 1)[1]
    if not entry then
        break
    end
    local worker = string.match(entry, '^[^\\n]*')
    noted[#noted + 1] = worker
    from = '(' .. worker .. '\\n\\255'
end
local first, last = '(' .. ARGV[1] .. '\\n', '(' .. ARGV[1] .. '\\n\\255'
local mine = redis.call('ZRANGEBYLEX', KEYS[2], first, last)
return {redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES'), noted, mine}
"""
#: forget a worker, unless it has taken something since
LEAVE = """
local first, last = '(' .. ARGV[1] .. '\\n', '(' .. ARGV[1] .. '\\n\\255'
if redis.call('ZLEXCOUNT', KEYS[2], first, last) > 0 then
    return 0
end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1] .. '\\n')
return 1
"""


@dataclass(frozen=True)
class Look:
    """What a worker sees of its pool.

    Attributes
    ----------
    beats
        When each worker was last heard of, by its own clock; 0 where only what it holds is known.
    noted
        Workers whose messages are found by `held_by` without the rest.
    mine
        The delivery tags of what this worker holds.
    """

    beats: dict[str, float]
    noted: frozenset[str]
    mine: frozenset[str]


def take_command(keys: Keys, queues: Sequence[str]) -> tuple[Any, ...]:
    """The command that takes a message, for who sends it and reads the answer later."""
    named = [*keys.all(), refused.LIST, refused.COUNTS, refused.BYTES, *queues]
    unreadable = refused.Reason.UNREADABLE.value
    said = (refused.REF_LENGTH, unreadable, refused.LONGEST, refused.CUT_TO)
    return ("EVAL", TAKE, len(named), *named, me(), time.time(), *said)


def refuse(redis: Redis, keys: Keys, tag: str, entry: bytes, reason: refused.Reason) -> bool:
    """Keep a message of this worker's as refused. False: another worker holds it by now."""
    named = [*keys.all()[:3], refused.LIST, refused.COUNTS, refused.BYTES, keys.held]
    kept = redis.eval(
        refused.REFUSE,
        len(named),
        *named,
        me(),
        tag,
        cast("Any", entry),
        reason.value,
    )
    return bool(kept)


def forget(redis: Redis, keys: Keys, tag: str) -> None:
    """Let Redis forget a message of this worker's; one that was given back meanwhile stays."""
    redis.eval(FORGET, 4, *keys.all()[:3], keys.held, me(), tag)


def give_back(
    redis: Redis,
    keys: Keys,
    tags: Iterable[str],
    holder: str = "",
    *,
    before: float | None = None,
    last: bool = False,
) -> list[str]:
    """Put messages back into their queues; those that were.

    Parameters
    ----------
    holder
        Only what this worker holds; whoever does, where empty.
    before
        Only what was taken before then, in seconds since 1970.
    last
        Behind all others; before them, where not.
    """
    listed = list(tags)
    if not listed:
        return []
    push = "LPUSH" if last else "RPUSH"
    named = [*keys.all()[:3], refused.LIST, refused.BYTES, keys.held]
    since = "" if before is None else before
    given = redis.eval(GIVE_BACK, len(named), *named, holder, push, since, *listed)
    return [tag.decode() for tag in cast("list[bytes]", given)]


def look(redis: Redis, keys: Keys) -> Look:
    """Say that this worker is alive, and see who else is. One round trip."""
    said = redis.eval(LOOK, 2, keys.alive, keys.held, me(), time.time())
    scores, noted, mine = cast("list[list[bytes]]", said)
    names = frozenset(worker.decode() for worker in noted)
    beats = dict.fromkeys(names, 0.0)
    beats |= {
        worker.decode(): float(score)
        for worker, score in zip(scores[::2], scores[1::2], strict=True)
    }
    return Look(beats, names, frozenset(_tag(entry) for entry in mine))


def held_by(redis: Redis, keys: Keys, worker: str) -> list[str]:
    """The delivery tags of what a worker holds, as it noted them itself."""
    first, last = f"({worker}\n".encode(), f"({worker}\n".encode() + b"\xff"
    found = redis.zrangebylex(keys.held, cast("Any", first), cast("Any", last))
    return [_tag(entry) for entry in cast("list[bytes]", found)]


def _tag(entry: bytes) -> str:
    return entry.partition(b"\n")[2].decode()


def holders(redis: Redis, keys: Keys) -> dict[str, str]:
    """The worker of each message that is held; all of them, which may be many."""
    found = cast("dict[bytes, bytes]", redis.hgetall(keys.holders))
    return {tag.decode(): value.decode().partition("\n")[0] for tag, value in found.items()}


def leave(redis: Redis, keys: Keys, worker: str) -> None:
    """Forget a worker that is no more, and holds nothing."""
    redis.eval(LEAVE, 2, keys.alive, keys.held, worker)
