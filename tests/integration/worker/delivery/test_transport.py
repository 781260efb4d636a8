"""Whose transport a worker's connections have, and what happens to a message without a record."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kombu import Connection, Queue
from kombu import transport as kombu_transports
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport.redis import Channel as RedisChannel
from redis import Redis

from spacer_tasks.broker import refused
from spacer_tasks.broker.whereabouts import Keys
from spacer_tasks.worker import watchdog
from spacer_tasks.worker.delivery import intake, qos, transport
from spacer_tasks.worker.delivery.channel import Channel, SentinelChannel, Taking
from spacer_tasks.worker.delivery.gate import IN_A_ROW, Gate
from spacer_tasks.worker.watchdog import HANGS, Watchdog
from tests.support.checkout import CHECKOUT
from tests.support.messages.envelopes import envelope
from tests.support.redis.celery_parts import channel_of
from tests.support.redis.durable import DurableRedis, durable_redis

#: in a process of its own: the transport is for the whole process
SENDS = """
from spacer_tasks.app import app
from spacer_tasks.worker.delivery import transport

app.control.ping(timeout=0.1)
transport.use(None)
app.control.ping(timeout=0.1)
for _ in range(2):
    with app.producer_or_acquire() as producer, app.connection_or_acquire() as connection:
        print(type(producer.channel).__module__, type(connection.default_channel).__module__)
"""


@pytest.fixture
def redis(tmp_path: Path) -> Any:
    with durable_redis(tmp_path) as running:
        yield running


@pytest.fixture(autouse=True)
def ours(monkeypatch: pytest.MonkeyPatch) -> None:
    # put back at the end
    monkeypatch.setattr(kombu_transports, "TRANSPORT_ALIASES", {**TRANSPORT_ALIASES})
    monkeypatch.setattr(kombu_transports, "_transport_cache", {})
    monkeypatch.setattr(Taking, "gate", None)
    monkeypatch.setattr(intake, "_CLOSED", {})
    empty: list[tuple[str, Any]] = [("_LATER", {}), ("_KNOWN", set()), ("_UNRECORDED", set())]
    for name, value in empty:
        monkeypatch.setattr(qos, name, value)
    transport.use(None)


@pytest.mark.parametrize("scheme", ["redis", "rediss", "sentinel"])
def test_every_scheme_has_a_transport_of_this_package(scheme: str) -> None:
    channel = SentinelChannel if scheme == "sentinel" else Channel

    def channel_in(connection: Connection) -> Any:
        found: Any = connection.get_transport_cls()
        return found.Channel

    assert channel_in(Connection(f"{scheme}://h/0")) is channel
    # also where Kombu goes on to the next of several
    several = Connection(f"{scheme}://h/0;{scheme}://other/0")
    several.maybe_switch_next()
    assert several.hostname == "other"
    assert channel_in(several) is channel


def test_kombu_s_own_channel_stays_as_it_was() -> None:
    kombus: Any = RedisChannel
    assert kombus.QoS is not qos.QoS
    assert kombus._brpop_start is not Taking._brpop_start


def test_a_rediss_url_is_spoken_with_tls() -> None:
    assert Connection("rediss://h/0").ssl


def test_a_message_without_a_record_of_its_holder_ends_the_worker(
    redis: DurableRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: list[int] = []
    monkeypatch.setattr(watchdog, "exit_at_once", lambda _worker, _keys, code: ends.append(code))
    consumer: Any = SimpleNamespace(controller=None, hub=None)
    looking = Watchdog(consumer, Keys.of("features"), threads=True)
    with Connection(redis.url) as connection:
        connection.SimpleQueue("q").put({})
        looking._watch_records()
        assert ends == []
        # by a command of Kombu's own, which is not ours
        assert channel_of(connection).basic_get("q") is not None
        looking._watch_records()
    assert ends == [HANGS]


def test_what_the_gate_refuses_is_kept_and_what_is_behind_it_is_taken(redis: DurableRedis) -> None:
    transport.use(Gate(["known"], signed=False))
    client: Redis = redis.client()
    taken: list[Any] = []
    wrong = [b"{", b"[" * 990, b'{"x": ' + b"1" * 5000 + b"}"]
    with Connection(redis.url) as connection:
        queue = Queue("q")
        with connection.Consumer(queue, on_message=taken.append, accept=["json"]):
            for raw in (*wrong, _message("unknown"), _message("known")):
                client.lpush("q", raw)
            while not taken:
                connection.drain_events(timeout=5)
    kept = refused.listed(client)
    assert [each.raw for each in kept][:3] == wrong
    assert kept[3].headers["task"] == "unknown"
    assert [each.reason.value for each in kept] == ["unreadable"] * 3 + ["unknown-task"]
    assert client.hlen("unacked") == int(taken[0].acknowledged is False)


def test_a_worker_that_refused_too_many_leaves_the_rest_where_it_is(redis: DurableRedis) -> None:
    transport.use(Gate(["known"], signed=False))
    client: Redis = redis.client()
    for _ in range(2 * IN_A_ROW):
        client.lpush("q", _message("unknown"))
    with (
        Connection(redis.url) as connection,
        connection.Consumer(Queue("q"), on_message=lambda message: None),
    ):
        for _ in range(3 * IN_A_ROW):
            try:
                connection.drain_events(timeout=0.3)
            except TimeoutError:
                break
    assert intake.closed()
    assert client.llen("q") == IN_A_ROW
    assert refused.kept(client) == IN_A_ROW


def _message(task: str) -> bytes:
    return json.dumps(envelope(task, "1", {}, "q")).encode()


def test_a_channel_makes_one_client_for_all_that_it_sends(
    redis: DurableRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Connection(redis.url) as connection:
        channel = channel_of(connection)
        made: list[Any] = []
        make = channel.Client

        def counted(*args: Any, **options: Any) -> Any:
            made.append(make(*args, **options))
            return made[-1]

        monkeypatch.setattr(channel, "Client", counted)
        queue = Queue("q", channel=channel)
        queue.declare()
        with connection.Producer(channel=channel) as producer:
            for number in range(5):
                producer.publish({"n": number}, routing_key="q")
        assert len(made) == 1
        assert made[0].llen("q") == 5
        # a channel that connects again has other connections, and a client of theirs
        channel._disconnect_pools()  # type: ignore[attr-defined]  # not in Kombu's stubs
        with channel.conn_or_acquire() as client:
            assert client.llen("q") == 5
            assert client is not made[0]
        assert len(made) == 2


@pytest.mark.usefixtures("queue")
def test_what_was_opened_before_sends_nothing_past_the_transport() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SENDS],
        env=dict(os.environ),
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert set(done.stdout.split()) == {"spacer_tasks.worker.delivery.channel"}
