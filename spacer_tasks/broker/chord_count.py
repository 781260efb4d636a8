"""The count of a chord's finished parts, in the Redis of the results, in Celery's keys.

A part counts once, however often it is delivered, and none after all have: whoever is given a part
of a complete chord sends its body, and reads the same results as any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spacer_tasks.broker.contract import WAITS_AT_MOST_S

if TYPE_CHECKING:
    from redis import Redis

#: what Celery, since 5.7, writes where a chord's body was sent; it outlives a part that is
#: delivered again
DONE = "done"
#: ends of Celery's keys of a group: results by place, more parts, size, who is counted, done
_ENDS = "jtsdc"

#: answers whether the body was sent, how many are counted, and of how many
COUNT = """
if redis.call('GET', KEYS[5]) == ARGV[5] then
    return {1, 0, 0}
end
local member = ARGV[1] .. ':' .. ARGV[3]
if redis.call('SADD', KEYS[4], member) == 1 then
    local put = redis.pcall('ZADD', KEYS[1], ARGV[3], ARGV[2])
    if type(put) == 'table' and put.err then
        -- counted without its result, it would never be complete; a script is not undone
        redis.call('SREM', KEYS[4], member)
        return redis.error_reply(put.err)
    end
end
for _, number in ipairs({1, 2, 3, 4, 6}) do
    redis.call('EXPIRE', KEYS[number], ARGV[4])
end
local size = redis.call('GET', KEYS[3])
local more = redis.call('GET', KEYS[2])
return {0, redis.call('ZCARD', KEYS[1]), size and tonumber(size) + tonumber(more or '0') or -1}
"""
#: not of a complete chord, whose results are being read for its body
TAKE_BACK = """
local size = redis.call('GET', KEYS[3])
if redis.call('GET', KEYS[5]) == ARGV[3] or not size then
    return 0
end
local more = redis.call('GET', KEYS[2])
if redis.call('ZCARD', KEYS[1]) >= tonumber(size) + tonumber(more or '0') then
    return 0
end
if redis.call('SREM', KEYS[4], ARGV[1] .. ':' .. ARGV[2]) == 1 then
    redis.call('ZREMRANGEBYSCORE', KEYS[1], ARGV[2], ARGV[2])
end
return 1
"""
#: in this order: no kill leaves a chord without results that is not done
CLEAN = """
redis.call('SET', KEYS[5], ARGV[1], 'EX', ARGV[2])
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
"""


def keys_of(backend: Any, group: str) -> list[Any]:
    """The keys of a group: one for each of the ends, and that of a group of groups."""
    ends = [backend.get_key_for_group(group, f".{end}") for end in _ENDS]
    return [*ends, backend.get_key_for_group(group)]


def count(
    redis: Redis, keys: list[Any], task_id: str, place: int | str, result: Any, kept_s: int
) -> tuple[int, int, int]:
    """Count a finished part: whether the body was sent, how many are counted, and of how many.

    Parameters
    ----------
    place
        Of the part in its group.
    kept_s
        Seconds for which the count is kept.
    """
    sent, counted, size = redis.eval(
        COUNT,
        len(keys),
        *keys,
        task_id,
        result,
        place,
        kept_s,
        DONE,
    )
    return int(sent), int(counted), int(size)


def take_back(redis: Redis, keys: list[Any], task_id: str, place: int) -> bool:
    """Let a part that was counted count again, with another result. False: the chord went on."""
    found = redis.eval(TAKE_BACK, len(keys), *keys, task_id, place, DONE)
    return bool(found)


def clean(redis: Redis, keys: list[Any]) -> None:
    """The body was sent."""
    redis.eval(CLEAN, len(keys), *keys, DONE, WAITS_AT_MOST_S)
