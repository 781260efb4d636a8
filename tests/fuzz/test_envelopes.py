"""Malformed messages against a real worker: none ends it, and each good one behind is answered.

`make fuzz` sends 100,000 of them. TEST_FUZZ_SEED makes a run again.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from redis import Redis

from spacer_tasks.broker import refused
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.demo.processes import process
from spacer_tasks.demo.services import redis_server
from tests.support.checkout import CHECKOUT
from tests.support.messages.envelopes import envelope, malformed
from tests.support.waiting import until, wait_until
from tests.support.workers import START_S

#: malformed messages, and how many are in the queue at once
COUNT, AT_ONCE = int(os.environ.get("TEST_FUZZ_ENVELOPES", "1500")), 250
#: seconds for these and the good ones between, on a busy machine
ANSWERS_S = 240
TASK = "spacer_tasks.extract_features"


@pytest.fixture
def redis() -> Iterator[Redis]:
    with redis_server() as server:
        client: Redis = Redis.from_url(server.url)
        client.config_set("maxmemory-policy", "noeviction")
        yield client


@pytest.fixture
def message(tmp_path: Path) -> dict[str, Any]:
    """An extraction in the test's folder."""
    Image.new("RGB", (16, 16)).save(tmp_path / "image.png")
    at = {name: DataLocation.parse(str(tmp_path / name)) for name in ("image.png", "f.npz")}
    return {
        "job_token": "1",
        "extractor": {"class_path": "dummy", "feature_dim": 2},
        "rowcols": [[1, 1]],
        "image_loc": at["image.png"].model_dump(),
        "feature_loc": at["f.npz"].model_dump(),
    }


def test_no_message_ends_a_worker(redis: Redis, message: dict[str, Any], tmp_path: Path) -> None:
    seed = int(os.environ.get("TEST_FUZZ_SEED", random.SystemRandom().randrange(2**32)))
    print(f"TEST_FUZZ_SEED={seed}")
    chance = random.Random(seed)
    at = redis.connection_pool.connection_kwargs
    url = f"redis://:{at['password']}@127.0.0.1:{at['port']}/{at.get('db', 0)}"
    env = {
        **os.environ,
        "SPACER_BROKER_URL": url,
        "SPACER_RESULTS_PREFIX": str(tmp_path / "results"),
        # whatever the messages name
        "SPACER_ALLOWED_ROOTS": str(tmp_path),
        "SPACER_ALLOWED_URLS": "none",
        "SPACER_ALLOWED_S3": "none",
        "SPACER_LOG_LEVEL": "CRITICAL",
        "SPACER_DEVICE": "cpu",
    }
    command = [sys.executable, "-m", "workers.feature_worker", "--concurrency=4"]
    with ExitStack() as stack:
        worker = stack.enter_context(
            process(
                command,
                env=env,
                cwd=CHECKOUT,
                log_path=tmp_path / "worker.log",
                ready=lambda: bool(redis.pubsub_channels("*pidbox*") or redis.pubsub_numpat()),
                ready_timeout_s=START_S,
                name="worker",
            )
        )
        for start in range(0, COUNT, AT_ONCE):
            good = [f"good-{number}" for number in range(start, min(start + AT_ONCE, COUNT))]
            _send(redis, message, good, chance)
            keys = [f"celery-task-meta-{task_id}" for task_id in good]

            def all_answered(keys: list[str] = keys) -> bool:
                assert worker.running, f"the worker ended; TEST_FUZZ_SEED={seed}"
                return redis.exists(*keys) == len(keys)

            wait_until(all_answered, ANSWERS_S, f"not all were answered; TEST_FUZZ_SEED={seed}")
            states = [json.loads(state or b"")["status"] for state in redis.mget(keys)]
            assert set(states) <= {"SUCCESS", "STARTED"}
        wait_until(lambda: redis.llen("features") == 0, ANSWERS_S, "some stay in the queue")
        try:
            until(lambda: not _held(redis), "some stay taken")
        except AssertionError:
            pytest.fail(f"these stay taken; TEST_FUZZ_SEED={seed}: {_held(redis)[:5]}")
        log = worker.log_path.read_text()
        assert worker.running
        assert "Unrecoverable error" not in log
        assert "made an error on its way" not in log
    # most are refused; a few are good all the same, or end in an answer that is an error
    assert refused.counts(redis)["unreadable"] > COUNT / 4
    assert 0 < refused.kept(redis) <= refused.KEPT


def _send(redis: Redis, message: dict[str, Any], good: list[str], chance: random.Random) -> None:
    with redis.pipeline(transaction=False) as pipe:
        for task_id in good:
            base = envelope(TASK, f"wrong-{task_id}", message, "features")
            pipe.lpush("features", malformed(base, chance))
            pipe.lpush("features", json.dumps(envelope(TASK, task_id, message, "features")))
        pipe.execute()


def _held(redis: Redis) -> list[Any]:
    """Messages that a worker has taken, but for those that wait for their time."""
    held: list[Any] = []
    for value in redis.hvals("unacked.features"):
        eta = str((json.loads(value)[0].get("headers") or {}).get("eta") or "")
        if eta < time.strftime("%Y"):
            held.append(value)
    return held
