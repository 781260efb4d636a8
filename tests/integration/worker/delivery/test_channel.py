"""A worker loses Redis with messages in hand: no error, and nothing lost or run twice."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from celery.worker import state
from kombu import Connection, Queue
from kombu import transport as kombu_transports
from kombu.transport import TRANSPORT_ALIASES
from redis import Redis

from spacer_tasks.broker import refused
from spacer_tasks.broker.whereabouts import Keys
from spacer_tasks.exceptions import MessageError
from spacer_tasks.execution import connection as as_known
from spacer_tasks.worker.delivery import intake, qos, transport, unacked
from spacer_tasks.worker.delivery.channel import Taking
from tests.support.redis.celery_parts import channel_of
from tests.support.redis.commands import execute
from tests.support.redis.durable import DurableRedis, durable_redis

#: a worker that asks for a message and dies before it reads the answer
ASKS_AND_DIES = """
import os, sys
from kombu import Connection, Queue
from spacer_tasks.worker.delivery import transport
if sys.argv[2] == "ours":
    transport.use(None)
connection = Connection(sys.argv[1], transport_options={"unacked_key": "unacked"})
consumer = connection.Consumer(Queue("q"), on_message=print)
consumer.consume()
connection.transport.cycle.on_poll_start()
print("asked", flush=True)
sys.stdin.readline()
os._exit(9)
"""


@dataclass(frozen=True)
class Running:
    """Of a request that the pool works on, what is asked for."""

    message: Any


@pytest.fixture(autouse=True)
def nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "active_requests", set())


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[DurableRedis]:
    with durable_redis(tmp_path) as running:
        yield running


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch) -> None:
    # put back at the end
    monkeypatch.setattr(kombu_transports, "TRANSPORT_ALIASES", {**TRANSPORT_ALIASES})
    monkeypatch.setattr(kombu_transports, "_transport_cache", {})
    monkeypatch.setattr(Taking, "gate", None)
    for name, empty in (("_LATER", {}), ("_KNOWN", set()), ("_UNRECORDED", set())):
        monkeypatch.setattr(qos, name, empty)
    transport.use(None)


def lose_redis(redis: DurableRedis, count: int = 1, polls: bool = True, stop: bool = True) -> Any:
    """Take messages, lose Redis, and close as Celery's consumer does then. The messages; the first
    one's task is running, if there are several.
    """
    connection = Connection(redis.url)
    for number in range(count):
        connection.SimpleQueue("q").put({"number": number})
    taken: list[Any] = []
    consumer = connection.Consumer(Queue("q"), on_message=taken.append)
    consumer.consume()
    while len(taken) < count:
        connection.drain_events(timeout=5)
    if count > 1:
        state.active_requests.add(Running(taken[0]))
    if polls:
        # asks for the next one and waits
        with pytest.raises(TimeoutError):
            connection.drain_events(timeout=0.1)
    if stop:
        redis.stop()
    with suppress(*connection.connection_errors):
        connection.collect()
    connection.close()
    return taken


def reconnect(redis: DurableRedis) -> None:
    """What a worker does within ten seconds of its new connection."""
    with Connection(redis.url) as connection:
        channel_of(connection).qos.restore_visible()


def left(redis: DurableRedis) -> tuple[int, int]:
    """Messages in the queue, and messages taken."""
    client = Redis.from_url(redis.url)
    return int(client.llen("q")), int(client.hlen("unacked"))


@pytest.mark.usefixtures("ours")
@pytest.mark.parametrize("polls", [False, True])
def test_what_nobody_works_on_is_put_back_when_redis_is_there(
    redis: DurableRedis, polls: bool
) -> None:
    lose_redis(redis, polls=polls)
    redis.start()
    assert left(redis) == (0, 1)
    reconnect(redis)
    assert left(redis) == (1, 0)


@pytest.mark.usefixtures("ours")
@pytest.mark.parametrize("stop", [False, True])
def test_a_running_task_is_not_put_back_and_acknowledged_when_it_ends(
    redis: DurableRedis, stop: bool
) -> None:
    running, _ = lose_redis(redis, count=2, stop=stop)
    if stop:
        redis.start()
    reconnect(redis)
    assert left(redis) == (1, 1)
    running.ack()
    reconnect(redis)
    assert left(redis) == (1, 0)


@pytest.mark.usefixtures("ours")
def test_an_acknowledgement_that_redis_does_not_take_is_made_again(redis: DurableRedis) -> None:
    with Connection(redis.url) as connection:
        connection.SimpleQueue("q").put({})
        message = channel_of(connection).basic_get("q")
        assert message is not None
        redis.stop()
        message.ack()
    redis.start()
    reconnect(redis)
    assert left(redis) == (0, 0)


@pytest.mark.usefixtures("ours")
def test_a_worker_that_stops_puts_back_what_it_has_taken(
    redis: DurableRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "should_stop", 0)
    lose_redis(redis, count=2, stop=False)
    assert left(redis) == (2, 0)


@pytest.mark.parametrize("whose", ["kombu", "ours"])
def test_a_worker_killed_between_taking_and_noting_a_message(
    redis: DurableRedis, whose: str
) -> None:
    client = Redis.from_url(redis.url)
    with Connection(redis.url) as connection:
        connection.SimpleQueue("q").put({"number": 1})
    with subprocess.Popen(
        [sys.executable, "-c", ASKS_AND_DIES, redis.url, whose],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "asked\n"
        end = time.monotonic() + 30
        while client.llen("q") and time.monotonic() < end:
            time.sleep(0.02)
        worker.kill()
    # Kombu's is nowhere any more
    assert left(redis) == ((0, 0) if whose == "kombu" else (0, 1))
    if whose == "ours":
        keys = Keys("unacked", "unacked_index")
        ((tag, holder),) = unacked.holders(client, keys).items()
        assert unacked.give_back(client, keys, [tag], holder) == [tag]
        # and no second time
        assert unacked.give_back(client, keys, [tag], holder) == []
        assert left(redis) == (1, 0)


@pytest.mark.usefixtures("ours")
def test_what_nobody_acknowledges_is_not_noted(redis: DurableRedis) -> None:
    # such as other workers' answers to a worker that starts
    taken: list[Any] = []
    with Connection(redis.url) as connection:
        connection.SimpleQueue("q").put({"number": 1})
        with connection.Consumer(Queue("q"), on_message=taken.append, no_ack=True):
            while not taken:
                connection.drain_events(timeout=5)
        assert left(redis) == (0, 0)
        assert not qos.known_tags()
        # and what the same channel takes afterwards is: a worker's is the same
        connection.SimpleQueue("q").put({"number": 2})
        with connection.Consumer(Queue("r"), on_message=taken.append):
            connection.SimpleQueue("r").put({"number": 3})
            while len(taken) < 2:
                connection.drain_events(timeout=5)
            holders = unacked.holders(Redis.from_url(redis.url), Keys("unacked", "unacked_index"))
            assert list(holders) == [taken[1].delivery_tag]


@pytest.mark.usefixtures("ours")
def test_what_is_no_message_is_put_aside(redis: DurableRedis) -> None:
    client = Redis.from_url(redis.url)
    nonsense = [b"no JSON", b"[]", b"{}", b'{"properties": []}', b'{"properties": {}}']
    # the oldest is taken first
    client.lpush("q", *nonsense)
    taken: list[Any] = []
    with Connection(redis.url) as connection:
        connection.SimpleQueue("q").put({"number": 1})
        with connection.Consumer(Queue("q"), on_message=taken.append):
            while not taken:
                connection.drain_events(timeout=5)
    assert taken[0].payload == {"number": 1}
    kept = refused.listed(client)
    assert [each.raw for each in kept] == nonsense
    assert {each.reason for each in kept} == {refused.Reason.UNREADABLE}
    assert refused.counts(client) == {"unreadable": len(nonsense)}


@pytest.mark.usefixtures("ours")
def test_a_redis_that_is_full_keeps_its_messages_until_it_has_room(redis: DurableRedis) -> None:
    client = Redis.from_url(redis.url)
    taken: list[Any] = []
    with (
        Connection(redis.url) as connection,
        connection.Consumer(Queue("q"), on_message=taken.append),
    ):
        connection.SimpleQueue("q").put({"number": 1})
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", "1")
        for _ in range(2):
            with pytest.raises(TimeoutError):
                connection.drain_events(timeout=1.5)
        assert client.llen("q") == 1
        client.config_set("maxmemory", "0")
        while not taken:
            with suppress(TimeoutError):
                connection.drain_events(timeout=5)


@pytest.mark.usefixtures("ours")
@pytest.mark.parametrize("closed", [False, True])
def test_a_redis_that_refuses_all_that_writes_is_not_asked_without_a_pause(
    redis: DurableRedis, closed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "_CLOSED", {"test": "of a test"} if closed else {})
    client = redis.client()
    taken: list[Any] = []
    with (
        Connection(redis.url) as connection,
        connection.Consumer(Queue("q"), on_message=taken.append),
    ):
        connection.SimpleQueue("q").put({"number": 1})
        client.config_set("min-replicas-to-write", 1)
        client.config_resetstat()
        # each look of the worker's loop, of which there are many a second where there is work
        for _ in range(100):
            with suppress(TimeoutError):
                connection.drain_events(timeout=0.01)
        stats: dict[str, Any] = client.info("commandstats")
        questions = [stats.get(f"cmdstat_{name}", {}) for name in ("eval", "blmove", "brpop")]
        refusals = ("rejected_calls", "failed_calls")
        assert 1 <= sum(each.get(how, 0) for each in questions for how in refusals) <= 50
        assert not taken
        client.config_set("min-replicas-to-write", 0)
        monkeypatch.setattr(intake, "_CLOSED", {})
        while not taken:
            with suppress(TimeoutError):
                connection.drain_events(timeout=5)


@pytest.mark.usefixtures("ours")
def test_what_was_refused_is_bounded_by_its_bytes_too(
    redis: DurableRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, keys = redis.client(), Keys("unacked", "unacked_index")

    def refuse(*raw: bytes) -> list[bytes]:
        client.lpush("q", *raw)
        execute(client, *unacked.take_command(keys, ["q"]))
        return [each.raw for each in refused.listed(client)]

    assert refuse(b"one", b"two") == [b"one", b"two"]
    held = sum(map(len, client.lrange(refused.LIST, 0, -1)))
    assert int(client.get(refused.BYTES) or 0) == held
    # as if the first were as long as all may be
    client.incrby(refused.BYTES, refused.KEPT_BYTES - held)
    assert refuse(b"three") == [b"three"]
    # one that is too long is cut, and does not push out others
    monkeypatch.setattr(refused, "LONGEST", 100)
    monkeypatch.setattr(refused, "CUT_TO", 10)
    assert refuse(b"x" * 101) == [b"three", b"x" * 10]
    first, last = refused.listed(client)
    with pytest.raises(MessageError, match="of its 101 bytes the first 10 are kept"):
        refused.requeue(client, last)
    assert refused.requeue(client, first)
    assert client.lrange("q", 0, -1) == [b"three"]
    assert int(client.get(refused.BYTES) or 0) == len(last.entry)
    assert refused.drop(client, last)
    # what older versions put there was not counted
    client.lpush(refused.LIST, b"of an older version", b"and another")
    for each in refused.listed(client):
        assert refused.drop(client, each)
    assert not client.exists(refused.BYTES)
    assert refuse(b"four")[-1] == b"four"
    assert int(client.get(refused.BYTES) or 0) > 0


@pytest.mark.usefixtures("ours")
@pytest.mark.parametrize("requeue", [False, True])
@pytest.mark.parametrize("refuses", ["full", "read-only"])
def test_what_a_redis_refuses_to_settle_is_settled_when_it_takes_it(
    redis: DurableRedis, refuses: str, requeue: bool
) -> None:
    client = redis.client()
    with Connection(redis.url) as connection:
        connection.SimpleQueue("q").put({})
        message = channel_of(connection).basic_get("q")
        assert message is not None
        of_channel: Any = channel_of(connection).qos
        if refuses == "full":
            client.config_set("maxmemory", "1")
        else:
            client.replicaof("127.0.0.1", "1")
        # Celery would take an error for a lost connection, and the task for one that runs
        message.reject(requeue=requeue)
        of_channel._settle()
        client.config_set("maxmemory", "0")
        client.replicaof("NO", "ONE")
        of_channel._settle()
    assert left(redis) == (int(requeue), 0)


@pytest.mark.usefixtures("ours")
def test_a_late_acknowledgement_leaves_alone_what_another_worker_holds(
    redis: DurableRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, keys = Redis.from_url(redis.url), Keys("unacked", "unacked_index")
    taken: list[Any] = []
    with Connection(redis.url) as connection:
        connection.SimpleQueue("q").put({"number": 1})
        with connection.Consumer(Queue("q"), on_message=taken.append):
            while not taken:
                connection.drain_events(timeout=5)
            tag = taken[0].delivery_tag
            # as when it was silent for a while, and another one took the message
            unacked.give_back(client, keys, [tag])
            with monkeypatch.context() as other:
                other.setattr(as_known, "_me", "other")
                execute(client, *unacked.take_command(keys, ["q"]))
            taken[0].ack()
            assert left(redis) == (0, 1)
            assert unacked.holders(client, keys) == {tag: "other"}


@pytest.mark.usefixtures("ours")
@pytest.mark.parametrize("by", ["reject", "later", "visibility"])
def test_a_late_give_back_leaves_alone_what_another_worker_holds(
    redis: DurableRedis, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    client, keys = redis.client(), Keys("unacked", "unacked_index")
    taken: list[Any] = []
    with Connection(redis.url) as connection:
        connection.SimpleQueue("q").put({"number": 1})
        with connection.Consumer(Queue("q"), on_message=taken.append):
            while not taken:
                connection.drain_events(timeout=5)
            tag = taken[0].delivery_tag
            unacked.give_back(client, keys, [tag])
            with monkeypatch.context() as other:
                other.setattr(as_known, "_me", "other")
                execute(client, *unacked.take_command(keys, ["q"]))
            of_channel: Any = channel_of(connection).qos
            if by == "reject":
                taken[0].reject(requeue=True)
            elif by == "later":
                qos.settle_later(tag, put_back=True)
                of_channel._settle()
            else:
                # as when Kombu listed it before the other took it
                of_channel.restore_by_tag(tag)
            assert left(redis) == (0, 1)
            assert unacked.holders(client, keys) == {tag: "other"}


def test_kombu_alone_puts_a_running_task_back(redis: DurableRedis) -> None:
    lose_redis(redis, count=2, stop=False)
    assert left(redis) == (2, 0)


def test_kombu_alone_gives_out_a_message_again_while_its_task_runs(redis: DurableRedis) -> None:
    # which is why a second delivery finds a lock: see execution/test_lock.py
    taken: list[Any] = []
    with Connection(redis.url, transport_options={"visibility_timeout": 0.1}) as connection:
        connection.SimpleQueue("q").put({"number": 1})
        with connection.Consumer(Queue("q"), on_message=taken.append):
            while not taken:
                connection.drain_events(timeout=5)
            assert left(redis) == (0, 1)
            time.sleep(0.2)
            channel_of(connection).qos.restore_visible(interval=1)
            assert left(redis) == (1, 0)
