"""Which of two workers of one name goes on, at a real Redis."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from spacer_tasks.app import app
from spacer_tasks.exceptions import ConfigError
from spacer_tasks.execution.connection import me, worker_redis
from spacer_tasks.worker import name_claim

NAME = "features@host"
NOTE = f"{name_claim.PREFIX}{NAME}"


@pytest.fixture
def redis(redis_url: str, queue: None, monkeypatch: pytest.MonkeyPatch) -> Redis:
    """Whose note is taken away: none is kept beside this test."""
    client: Redis = Redis.from_url(redis_url)
    client.delete(NOTE)
    monkeypatch.setattr(name_claim, "_keep", lambda _: None)
    monkeypatch.setattr(name_claim, "RENEWED_S", 0.05)
    return client


def answers(monkeypatch: pytest.MonkeyPatch, said: Any) -> None:
    """What workers of the name answer."""

    def ping(**_: Any) -> Any:
        if isinstance(said, Exception):
            raise said
        return said

    monkeypatch.setattr(app.control, "ping", ping)


def test_a_name_that_answers_is_taken(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, [{NAME: {"ok": "pong"}}])
    with pytest.raises(ConfigError, match=r"features@host runs already.*--hostname=features2@%h"):
        name_claim.claim(NAME)
    assert not redis.exists(NOTE)


def test_a_name_that_nobody_has_is_noted_and_the_note_lapses(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, [])
    name_claim.claim(NAME)
    assert redis.get(NOTE) == me().encode()
    assert 0 < redis.pttl(NOTE) <= name_claim.LAPSES_S * 1000


def test_the_second_of_two_that_start_is_refused_once_the_first_answers(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis.set(NOTE, "another/1/x")
    asked: list[int] = []

    def ping(**_: Any) -> list[dict[str, Any]]:
        asked.append(1)
        return [{NAME: {"ok": "pong"}}] if len(asked) > 2 else []

    monkeypatch.setattr(app.control, "ping", ping)
    with pytest.raises(ConfigError, match="runs already"):
        name_claim.claim(NAME)
    assert len(asked) == 3
    assert redis.get(NOTE) == b"another/1/x"


def test_the_second_is_refused_too_where_the_first_answers_late(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis.set(NOTE, "another/1/x")
    answers(monkeypatch, [])
    monkeypatch.setattr(name_claim, "WAIT_S", 0.2)
    with pytest.raises(ConfigError, match="runs already"):
        name_claim.claim(NAME)


def test_the_note_of_one_that_ended_elsewhere_lapses(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis.set(NOTE, "another/1/x", px=300)
    answers(monkeypatch, [])
    name_claim.claim(NAME)
    assert redis.get(NOTE) == me().encode()


def test_the_note_of_one_that_was_killed_here_is_taken_over_at_once(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = me().partition("/")[0]
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    answers(monkeypatch, [])
    monkeypatch.setattr(name_claim, "WAIT_S", 0)
    # the second is of a container that was started again: its process has the number of before
    for number in (ended.pid, os.getpid()):
        redis.set(NOTE, f"{host}/{number}/before")
        name_claim.claim(NAME)
        assert redis.get(NOTE) == me().encode()
    # and one that lives is not gone
    assert not name_claim.is_gone(f"{host}/{os.getppid()}/x")
    assert not name_claim.is_gone(f"elsewhere/{ended.pid}/x")


def test_only_its_own_note_is_forgotten(redis: Redis) -> None:
    redis.set(NOTE, "another/1/x")
    assert worker_redis().eval(name_claim.FORGET, 1, NOTE, me()) == 0
    assert worker_redis().eval(name_claim.FORGET, 1, NOTE, "another/1/x") == 1


def test_where_redis_is_away_the_worker_goes_on(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, RedisConnectionError("refused"))
    name_claim.claim(NAME)
    assert redis.get(NOTE) is None
