"""A Redis that loses all while a task ends: the answer stays, and the worker goes on."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest
from celery import signature
from redis import Redis

import spacer_tasks
from spacer_tasks import storage
from spacer_tasks.app import app
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.results import find_answer
from spacer_tasks.tasks import extract_features
from tests.support.killing import Start, doomed_workers
from tests.support.photos import DUMMY, photo
from tests.support.waiting import wait_until

SOON_S = 60
#: where the callback waits for who is told
TOLD = "told"
#: commands of a task from its start to its acknowledgement, at least
COMMANDS = 5


@pytest.fixture
def start(queue: None, tmp_path: Path) -> Iterator[Start]:
    """Start a worker whose Redis is wiped before a command of the task."""
    with doomed_workers(tmp_path, task="") as started:
        yield started


def is_answered(task_id: str) -> bool:
    return find_answer(task_id) is not None


def waiting(redis: Redis) -> list[str]:
    """The callbacks that wait, each with the id that it is given."""
    return [str(b64decode(json.loads(each)["body"])) for each in redis.lrange(TOLD, 0, -1)]


def test_a_task_is_answered_wherever_redis_is_wiped_while_it_ends(
    start: Start, bucket: str, redis_url: str
) -> None:
    redis = Redis.from_url(redis_url)
    image = DataLocation.parse(f"s3://{bucket}/a.png")
    storage.store(image, photo("sand", 1))

    def send(task_id: str) -> None:
        message = {
            "job_token": task_id,
            "extractor": DUMMY.model_dump(),
            "rowcols": [[1, 2]],
            "image_loc": image.model_dump(),
            "feature_loc": DataLocation.parse(f"s3://{bucket}/{task_id}.npz").model_dump(),
        }
        tell = signature("told", queue=TOLD, app=app)
        extract_features.apply_async((message,), task_id=task_id, link=tell)

    commands: list[bytes] = []
    was_sent = False
    for wiped_at in range(1, 100):
        redis.delete(TOLD)
        task_id = f"wiped-at-{wiped_at}-{uuid4()}"
        send(task_id)
        victim = start(wiped_at, task=task_id, only=task_id, wipes=True)
        wait_until(partial(is_answered, task_id), SOON_S, f"wiped at {wiped_at}: no answer")
        # who waits is told, by Redis or without it
        assert spacer_tasks.wait(task_id, SOON_S) is not None
        # the worker goes on
        send(after := f"after-{wiped_at}-{uuid4()}")
        assert spacer_tasks.wait(after, SOON_S) is not None

        def told_times(task_id: str = task_id) -> int:
            return sum(task_id in body for body in waiting(redis))

        if not was_sent or not victim.killed.exists():
            # it may come after the answer to the next task
            wait_until(lambda: told_times() > 0, SOON_S, f"wiped at {wiped_at}: no callback")
        told = told_times()
        victim.end()
        if not victim.killed.exists():
            assert told == 1
            break
        # a callback that was in Redis is gone with it, each other comes
        assert told == (not was_sent), f"wiped at {wiped_at}, after {commands}"
        commands.append(victim.killed.read_bytes())
        was_sent = was_sent or b"LPUSH" in commands[-1]
    assert len(commands) >= COMMANDS, commands
    assert was_sent
