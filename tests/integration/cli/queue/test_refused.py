"""`spacer-tasks refused` on a real Redis."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from redis import Redis
from typer.testing import CliRunner

from spacer_tasks.app import app
from spacer_tasks.broker import refused
from spacer_tasks.broker.refused import COUNTS, LIST, Reason, entry_of
from spacer_tasks.cli.program import program
from spacer_tasks.console import NOT_DONE
from tests.support.messages.envelopes import envelope

QUEUES = ("features\x06\x163", "training")


@pytest.fixture
def redis(queue: None) -> Iterator[Redis]:
    client: Redis = Redis.from_url(str(app.conf.broker_url))
    client.delete(LIST, COUNTS, *QUEUES)
    yield client
    client.delete(LIST, COUNTS, *QUEUES)


@pytest.fixture
def kept(redis: Redis) -> list[bytes]:
    """Three: signed by another, nonsense that moves a cursor, kept by an older version."""
    signed = json.dumps(envelope("spacer_tasks.extract_features", "t-1", {}, "features")).encode()
    nonsense = b"\x1b[2J\xffno JSON"
    redis.lpush(LIST, entry_of(signed, Reason.SIGNATURE, "wrong key", QUEUES[0], "w", time.time()))
    redis.lpush(LIST, entry_of(nonsense, Reason.UNREADABLE, "it is not JSON", QUEUES[1], "", 1.0))
    redis.lpush(LIST, b"[1]")
    redis.hset(COUNTS, "signature", 7)
    return [signed, nonsense, b"[1]"]


def said(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(program, ["refused", *arguments])
    assert result.exit_code == code, result.output
    return result.output


def test_nothing_is_said_of_nothing(redis: Redis) -> None:
    assert "No message that was refused is kept" in said("list")


def test_they_are_listed_with_their_reasons(redis: Redis, kept: list[bytes]) -> None:
    text = said("list")
    for raw, why in zip(kept, ("wrong key", "it is not JSON", "an older version"), strict=True):
        (line,) = [line for line in text.splitlines() if refused.ref_of(raw) in line]
        assert why in line
    assert "spacer_tasks.extract_features" in text
    assert "signature 7" in text
    assert "\x1b[2J" not in text


def test_one_is_shown_as_it_was(redis: Redis, kept: list[bytes]) -> None:
    text = said("show", refused.ref_of(kept[0]))
    assert "t-1" in text
    assert "content-type" in text
    text = said("show", refused.ref_of(kept[1]))
    assert "no JSON" in text
    assert "\x1b[2J" not in text


def test_one_is_put_back_into_its_queue_as_it_was(redis: Redis, kept: list[bytes]) -> None:
    assert "1 message put back" in said("requeue", refused.ref_of(kept[0]))
    assert redis.lrange(QUEUES[0], 0, -1) == [kept[0]]
    assert redis.llen(LIST) == 2
    # and not twice
    assert "not among" in said("requeue", refused.ref_of(kept[0]), code=NOT_DONE)


def test_what_came_from_nobody_knows_where_is_not_put_back(redis: Redis, kept: list[bytes]) -> None:
    assert "which queue" in said("requeue", refused.ref_of(kept[2]), code=NOT_DONE)
    assert redis.llen(LIST) == 3


def test_those_of_one_reason_are_dropped(redis: Redis, kept: list[bytes]) -> None:
    assert "1 message dropped" in said("drop", "--reason", "unreadable")
    assert [each.raw for each in refused.listed(redis)] == [kept[0], kept[2]]
    assert "expected one of" in said("drop", "--reason", "x", code=NOT_DONE)


def test_all_are_dropped_only_if_it_is_said(redis: Redis, kept: list[bytes]) -> None:
    said("drop", code=NOT_DONE)
    said("drop", refused.ref_of(kept[0]), "--all", code=NOT_DONE)
    said("drop", refused.ref_of(kept[0]), "000000000000", code=NOT_DONE)
    assert redis.llen(LIST) == 3
    assert "3 messages dropped" in said("drop", "--all")
    assert redis.llen(LIST) == 0


def test_the_state_of_a_task_tells_that_its_message_was_refused(
    redis: Redis, kept: list[bytes]
) -> None:
    ref = refused.ref_of(kept[0])
    text = " ".join(CliRunner().invoke(program, ["status", "t-1"]).output.split())
    assert "its message was refused" in text
    assert f"1 message, because wrong key (signature); `spacer-tasks refused show {ref}`" in text
    # another's id begins with it
    assert "refused" not in CliRunner().invoke(program, ["status", "t"]).output


def test_the_state_of_a_batch_tells_of_the_parts_that_were_refused(redis: Redis) -> None:
    for number in range(4):
        part = envelope("spacer_tasks.batch.extract", f"b.extract.{number}", {}, "features")
        # the first is a task of its own, whose id looks like a part's
        part["headers"]["group"] = "b.extract.1f" if number else None
        raw = json.dumps(part).encode()
        redis.lpush(LIST, entry_of(raw, Reason.AGE, "too old", QUEUES[0], "w", time.time()))
    assert (
        "3 messages, because too old (age)" in CliRunner().invoke(program, ["status", "b"]).output
    )
    assert len(refused.of_task(redis, "b.extract.1")) == 1
