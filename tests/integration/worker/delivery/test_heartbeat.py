"""What a silent worker holds is given to others; one that is only not heard keeps its own.

The time that passes is the tests' own: on a busy machine a pause is longer than it says, and one
that is too long counts as an outage.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from redis import Redis

from spacer_tasks.broker.whereabouts import Keys
from spacer_tasks.execution import connection
from spacer_tasks.worker.delivery import heartbeat, qos, unacked
from spacer_tasks.worker.delivery.heartbeat import Pulse, leave_nothing
from tests.support.redis.commands import execute

KEYS = Keys("pulse.unacked", "pulse.unacked_index")
SILENT_S = 0.4


class Clock:
    """A clock that stands still until it is set forward."""

    def __init__(self) -> None:
        self._now = 1000.0

    def monotonic(self) -> float:
        """Seconds."""
        return self._now

    def forward(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """What a pulse reads."""
    found = Clock()
    monkeypatch.setattr(heartbeat, "time", found)
    return found


@pytest.fixture
def redis(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]
) -> Iterator[Redis]:
    monkeypatch.setenv("SPACER_WORKER_SILENT_S", str(SILENT_S))
    settings_changed()
    monkeypatch.setattr(qos, "_KNOWN", set())
    client = Redis.from_url(redis_url)
    yield client
    client.delete(*KEYS.all(), "pulse")


def taken_by(worker: str, redis: Redis, monkeypatch: pytest.MonkeyPatch, tag: str) -> None:
    """A worker takes a message."""
    message = {
        "body": "e30=",
        "headers": {"id": tag, "stamped_headers": [], "note": 'a "]," in it'},
        "properties": {
            "delivery_tag": tag,
            "delivery_info": {"exchange": "pulse", "routing_key": "pulse"},
        },
    }
    redis.lpush("pulse", json.dumps(message))
    with monkeypatch.context() as other:
        other.setattr(connection, "_me", worker)
        assert execute(redis, *unacked.take_command(KEYS, ["pulse"]))


def watch(
    pulse: Pulse, redis: Redis, clock: Clock, looks: int, pause: float = SILENT_S / 4
) -> None:
    for _ in range(looks):
        pulse.look(redis)
        clock.forward(pause)


def test_what_a_silent_worker_holds_is_given_back_as_it_was(
    redis: Redis, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken_by("dead", redis, monkeypatch, "a")
    raw = json.loads(redis.hget(KEYS.unacked, "a") or "")[0]
    watch(Pulse(KEYS), redis, clock, 8)
    assert [json.loads(each) for each in redis.lrange("pulse", 0, -1)] == [raw]
    assert redis.hlen(KEYS.unacked) == redis.zcard(KEYS.index) == redis.hlen(KEYS.holders) == 0
    assert redis.zscore(KEYS.alive, "dead") is None


def test_who_is_heard_keeps_its_tasks(
    redis: Redis, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken_by("alive", redis, monkeypatch, "a")
    pulse = Pulse(KEYS)
    for beat in range(8):
        redis.zadd(KEYS.alive, {"alive": beat})
        watch(pulse, redis, clock, 1)
    assert redis.llen("pulse") == 0


def test_after_an_outage_all_have_time_to_be_heard(
    redis: Redis, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken_by("alive", redis, monkeypatch, "a")
    pulse = Pulse(KEYS)
    pulse.look(redis)
    # nobody reached Redis, this one neither
    clock.forward(3 * SILENT_S)
    pulse.look(redis)
    assert redis.llen("pulse") == 0
    watch(pulse, redis, clock, 8)
    assert redis.llen("pulse") == 1


def test_two_who_see_it_give_it_back_once(
    redis: Redis, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken_by("dead", redis, monkeypatch, "a")
    one, other = Pulse(KEYS), Pulse(KEYS)
    for _ in range(8):
        watch(one, redis, clock, 1, 0)
        watch(other, redis, clock, 1)
    assert redis.llen("pulse") == 1


def test_what_this_worker_was_given_and_never_heard_of_is_given_back(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = connection.me()
    taken_by(me, redis, monkeypatch, "known")
    taken_by(me, redis, monkeypatch, "strange")
    monkeypatch.setattr(qos, "_KNOWN", {"known"})
    pulse = Pulse(KEYS)
    pulse.look(redis)
    # its answer may be on its way
    assert redis.llen("pulse") == 0
    pulse.look(redis)
    assert redis.llen("pulse") == 1
    assert unacked.holders(redis, KEYS) == {"known": me}


def test_a_worker_that_leaves_gives_back_what_is_its_own_only(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken_by(connection.me(), redis, monkeypatch, "mine")
    taken_by("other", redis, monkeypatch, "its")
    assert leave_nothing(redis, KEYS) == ["mine"]
    assert unacked.holders(redis, KEYS) == {"its": "other"}
    assert redis.zscore(KEYS.alive, connection.me()) is None


def calls(redis: Redis, command: str) -> int:
    """How often Redis was asked for it."""
    stats = redis.info("commandstats")
    return int(stats.get(f"cmdstat_{command}", {}).get("calls", 0))


def test_a_look_does_not_read_what_living_workers_hold(
    redis: Redis, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(300):
        taken_by("alive", redis, monkeypatch, f"of-alive-{number}")
    taken_by("dead", redis, monkeypatch, "of-dead")
    look = unacked.look(redis, KEYS)
    assert set(look.beats) == {"alive", "dead", connection.me()}
    assert look.mine == frozenset()
    before = calls(redis, "hgetall"), calls(redis, "hget")
    pulse = Pulse(KEYS)
    for beat in range(8):
        redis.zadd(KEYS.alive, {"alive": beat})
        watch(pulse, redis, clock, 1)
    assert redis.llen("pulse") == 1
    # one message was looked at: whose it is, and what it is
    assert (calls(redis, "hgetall"), calls(redis, "hget")) == (before[0], before[1] + 2)


def test_what_a_silent_worker_of_an_older_version_holds_is_given_back(
    redis: Redis, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken_by("older", redis, monkeypatch, "a")
    taken_by("alive", redis, monkeypatch, "b")
    # it notes holder and beat, and nothing else
    redis.zremrangebylex(KEYS.held, "[older\n", "(older\n\x7f")
    pulse = Pulse(KEYS)
    for beat in range(8):
        redis.zadd(KEYS.alive, {"alive": beat})
        watch(pulse, redis, clock, 1)
    assert redis.llen("pulse") == 1
    assert unacked.holders(redis, KEYS) == {"b": "alive"}
    assert redis.zscore(KEYS.alive, "older") is None


def test_a_worker_in_no_list_that_holds_something_is_not_forgotten(
    redis: Redis, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken_by("dead", redis, monkeypatch, "a")
    redis.delete(KEYS.alive)
    watch(Pulse(KEYS), redis, clock, 8)
    assert redis.llen("pulse") == 1
    assert redis.zrange(KEYS.held, 0, -1) == [f"{connection.me()}\n".encode()]


def test_who_took_something_since_is_not_forgotten(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken_by("late", redis, monkeypatch, "a")
    unacked.leave(redis, KEYS, "late")
    assert redis.zscore(KEYS.alive, "late") is not None
    assert unacked.held_by(redis, KEYS, "late") == ["a"]


def test_what_an_older_version_gave_back_is_noted_no_more(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = connection.me()
    taken_by(me, redis, monkeypatch, "a")
    for key in (KEYS.unacked, KEYS.holders):
        redis.hdel(key, "a")
    redis.zrem(KEYS.index, "a")
    pulse = Pulse(KEYS)
    pulse.look(redis)
    pulse.look(redis)
    assert unacked.held_by(redis, KEYS, me) == []
    assert redis.llen("pulse") == 0


def test_one_worker_s_name_may_begin_with_another_s(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    for worker in ("w", "w1", "w/1", "w-"):
        taken_by(worker, redis, monkeypatch, f"of.{worker}".replace("/", "_"))
    assert unacked.look(redis, KEYS).noted == {"w", "w1", "w/1", "w-", connection.me()}
    assert unacked.held_by(redis, KEYS, "w") == ["of.w"]
    assert unacked.held_by(redis, KEYS, "w/1") == ["of.w_1"]
