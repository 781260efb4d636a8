"""A worker loses Redis with messages in hand: no error, and nothing lost or run twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from celery.worker import state
from kombu import Connection, Queue
from kombu.transport.redis import Channel
from redis import Redis

from spacer_tasks import taken_messages
from tests.acceptance.durable_redis import DurableRedis, durable_redis


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
    monkeypatch.setattr(Channel, "QoS", Channel.QoS)
    monkeypatch.setattr(taken_messages, "_LATER", {})
    taken_messages.survive_lost_connections()


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
        connection.default_channel.qos.restore_visible()


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
        message = connection.default_channel.basic_get("q")
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


def test_kombu_alone_puts_a_running_task_back(redis: DurableRedis) -> None:
    lose_redis(redis, count=2, stop=False)
    assert left(redis) == (2, 0)
