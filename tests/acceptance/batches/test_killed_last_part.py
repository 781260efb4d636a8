"""A batch goes on, and nothing of it is sent twice, wherever a worker of it is killed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from spacer_tasks import storage
from spacer_tasks.app import app
from spacer_tasks.broker.queue_depths import queue_depths
from spacer_tasks.broker.whereabouts import Keys
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.execution.once import PUSH
from spacer_tasks.workflows import train_from_images
from tests.support.killing import ACKNOWLEDGEMENT, Doomed, Start, doomed_workers
from tests.support.photos import photo
from tests.support.waiting import wait_until

#: seconds in which the body must be there; a silent worker is noticed after one
SOON_S = 60
IMAGES = 2
#: of a batch whose worker is killed while it sends its parts; the real size is 10,000
MANY = int(os.environ.get("TEST_BATCH_IMAGES", "60"))
#: of the last part
LAST = f".extract.{IMAGES - 1}"
#: a worker is killed before one in so many of the commands of a part; 1 is the whole test
EVERY = int(os.environ.get("TEST_KILL_EVERY", "8"))
#: each pool's first: the two together look at twice as many places
FIRST = {"threads": 1, "prefork": 1 + EVERY // 2}
#: commands of a part, at least
COMMANDS = 8


@pytest.fixture
def start(queue: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start a worker that is killed before a command of the last part; 0 is never."""
    monkeypatch.setenv("SPACER_WORKER_SILENT_S", "1")
    app.control.purge()
    with doomed_workers(tmp_path, task=LAST) as started:
        yield started


def batch(bucket: str, name: str, images: int = IMAGES) -> dict[str, Any]:
    def at(key: str) -> dict[str, Any]:
        return DataLocation.parse(f"s3://{bucket}/{name}/{key}").model_dump()

    return {
        "job_token": "1",
        "extractor": {"class_path": "dummy", "feature_dim": 4},
        "images": [
            {
                "image_loc": DataLocation.parse(f"s3://{bucket}/a.png").model_dump(),
                "feature_loc": at(f"{index}.npz"),
                "annotations": [[3, 4, "a"], [5, 6, "b"]],
            }
            for index in range(images)
        ],
        "nbr_epochs": 1,
        "model_loc": at("model"),
        "valresult_loc": at("valresult.json"),
    }


def bodies(redis: Redis) -> int:
    return queue_depths(redis)["training"].waiting


def all_settled(redis: Redis) -> bool:
    """Whether no part waits or is held."""
    waiting = queue_depths(redis)["features"].waiting
    return not waiting and not redis.hlen(Keys.of("features").unacked)


def sent_body(redis: Redis) -> bool:
    return bodies(redis) > 0


def met(victim: Doomed, redis: Redis) -> bool:
    return victim.killed.exists() or sent_body(redis)


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_the_body_is_sent_once_wherever_the_worker_of_the_last_part_is_killed(
    start: Start, bucket: str, redis_url: str, pool: str
) -> None:
    redis = Redis.from_url(redis_url)
    storage.store(DataLocation.parse(f"s3://{bucket}/a.png"), photo("sand", 1))
    found = []
    for kill_at in (ACKNOWLEDGEMENT, *range(FIRST[pool], 100, EVERY)):
        redis.delete("training")
        train_from_images.apply_async((batch(bucket, str(kill_at)),), queue="features")
        victim = start(kill_at, f"--pool={pool}")
        wait_until(partial(met, victim, redis), SOON_S, f"{kill_at}: no part ran")
        heir = start(0, f"--pool={pool}")
        wait_until(partial(sent_body, redis), SOON_S, f"killed at {kill_at}: no body")
        wait_until(partial(all_settled, redis), SOON_S, f"killed at {kill_at}: a part is left")
        assert bodies(redis) == 1, f"killed at {kill_at}"
        for worker in (victim, heir):
            worker.end()
        if not victim.killed.exists():
            break
        found.append(victim.killed.read_bytes())
    assert len(found) >= COMMANDS // EVERY, found


@pytest.mark.parametrize("share", [0.02, 0.5, 1])
def test_a_batch_that_is_killed_while_it_sends_its_parts_goes_on_from_there(
    start: Start, bucket: str, redis_url: str, share: float
) -> None:
    redis = Redis.from_url(redis_url)
    for name in ("features", "training"):
        redis.delete(name)
    storage.store(DataLocation.parse(f"s3://{bucket}/a.png"), photo("sand", 1))
    sent = train_from_images.delay(batch(bucket, "many", MANY))
    arguments = {"pool": "classify", "task": sent.id, "only": PUSH}
    victim = start(int(MANY * share), "--pool=threads", **arguments)
    wait_until(victim.killed.exists, SOON_S + MANY / 50, "the batch was not killed")
    before = queue_depths(redis)["features"].waiting
    assert before == int(MANY * share) - 1
    heir = start(0, "--pool=threads", **arguments)
    wait_until(
        lambda: queue_depths(redis)["features"].waiting >= MANY,
        SOON_S + MANY / 50,
        "the batch did not go on",
    )
    wait_until(lambda: not redis.hlen(Keys.of("classify").unacked), SOON_S, "it is still held")
    ids = [json.loads(each)["headers"]["id"] for each in redis.lrange("features", 0, -1)]
    assert sorted(ids) == sorted(f"{sent.id}.extract.{index}" for index in range(MANY))
    heir.end()

    # and all of it is one chord: its body is sent
    start(0, "--concurrency=4")
    wait_until(partial(sent_body, redis), SOON_S + MANY / 20, "no body")
    wait_until(partial(all_settled, redis), SOON_S, "a part is left")
    assert bodies(redis) == 1
