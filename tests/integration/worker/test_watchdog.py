"""When the watchdog takes a worker for stuck, at a real Redis."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from redis import Redis

from spacer_tasks.app import app
from spacer_tasks.broker.whereabouts import Keys
from spacer_tasks.execution.connection import worker_redis
from spacer_tasks.worker import watchdog
from spacer_tasks.worker.delivery import channel
from spacer_tasks.worker.watchdog import HANGS, Watchdog

STUCK_S = 1.0


def test_the_time_after_an_outage_counts_from_when_redis_answers(
    queue: None,
    settings_env: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    settings_changed: Callable[[], None],
) -> None:
    monkeypatch.setenv("SPACER_STUCK_AFTER_S", str(STUCK_S))
    settings_changed()
    ends: list[int] = []
    monkeypatch.setattr(watchdog, "exit_at_once", lambda _worker, _keys, code: ends.append(code))
    monkeypatch.setattr(channel.Poll, "answered_at", 0.0)
    worker = SimpleNamespace(pool=SimpleNamespace(num_processes=1))
    consumer: Any = SimpleNamespace(controller=worker, hub=None)
    looking = Watchdog(consumer, Keys.of("features"), threads=True)
    redis: Redis = Redis.from_url(str(app.conf.broker_url))
    worker_redis().ping()

    looking._content_at = time.monotonic() - 10 * STUCK_S
    # as long as an outage: the watchdog's own question waits for its end
    redis.client_pause(int(2000 * STUCK_S), all=True)
    looking._watch_consumer()
    looking._watch_consumer()
    assert ends == []

    # and then it does end a worker that takes nothing
    time_over = time.monotonic() + STUCK_S
    while time.monotonic() < time_over:
        time.sleep(0.05)
    looking._watch_consumer()
    assert ends == [HANGS]
