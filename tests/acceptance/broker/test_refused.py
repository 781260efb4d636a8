"""A worker whose key or clock is wrong drains no queue: it stops, says why, and nothing is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from spacer_tasks import storage
from spacer_tasks.app import app
from spacer_tasks.broker import refused
from spacer_tasks.broker.refused import COUNTS, LIST, Reason
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.demo.processes import Process, process
from spacer_tasks.tasks import extract_features
from spacer_tasks.worker.delivery.gate import IN_A_ROW
from tests.support.checkout import CHECKOUT
from tests.support.photos import DUMMY, photo
from tests.support.settings import forget_settings
from tests.support.waiting import until
from tests.support.workers import START_S

SENT = 3 * IN_A_ROW
KEY, ANOTHER = "the-key-of-the-site", "the-key-of-last-year"
#: a worker whose clock is eight days ahead, where it is told so
PROGRAM = """
import sys, time
ahead, now = float(sys.argv.pop(1)), time.time
time.time = lambda: now() + ahead
from spacer_tasks.worker.start import main
main("features", sys.argv[1:])
"""


@pytest.fixture
def redis(queue: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Redis]:
    monkeypatch.setenv("SPACER_SIGNING_KEYS", KEY)
    forget_settings()
    client: Redis = Redis.from_url(str(app.conf.broker_url))
    client.delete(LIST, COUNTS)
    yield client
    client.delete(LIST, COUNTS)
    forget_settings()


def start(stack: ExitStack, name: str, logs: Path, ahead_s: float, key: str) -> Process:
    return stack.enter_context(
        process(
            [sys.executable, "-c", PROGRAM, str(ahead_s), f"--hostname={name}@refusing"],
            env={**os.environ, "SPACER_REQUIRE_SIGNED": "1", "SPACER_SIGNING_KEYS": key},
            cwd=CHECKOUT,
            log_path=logs / f"{name}.log",
            ready=lambda: bool(app.control.ping(destination=[f"{name}@refusing"], timeout=0.5)),
            ready_timeout_s=START_S,
            name=name,
        )
    )


def command(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "spacer_tasks.cli", *arguments],
        cwd=CHECKOUT, capture_output=True, text=True, timeout=START_S, check=True,
    )  # fmt: skip
    return done.stdout + done.stderr


def health() -> subprocess.CompletedProcess[str]:
    code = (
        "import runpy, socket; socket.gethostname = lambda: 'refusing';"
        "runpy.run_path('deploy/healthcheck.py', run_name='__main__')"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=CHECKOUT, capture_output=True, text=True, timeout=START_S, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("ahead_s", "key", "reason", "why"),
    [
        (0, ANOTHER, Reason.SIGNATURE, "none of the keys"),
        (8 * 86400, KEY, Reason.AGE, "older than SPACER_SIGNATURE_MAX_AGE_S"),
    ],
    ids=["key", "clock"],
)
def test_a_wrong_key_or_clock_stops_its_worker_and_loses_nothing(
    redis: Redis, bucket: str, tmp_path: Path, ahead_s: float, key: str, reason: Reason, why: str
) -> None:
    image = DataLocation.parse(f"s3://{bucket}/image.png")
    storage.store(image, photo("sand", 1))
    message: dict[str, Any] = {
        "job_token": "1",
        "extractor": DUMMY.model_dump(mode="json"),
        "rowcols": [[3, 4]],
        "image_loc": image.model_dump(),
        "feature_loc": DataLocation.parse(f"s3://{bucket}/f.npz").model_dump(),
    }
    sent = [extract_features.delay(message) for _ in range(SENT)]
    with ExitStack() as stack:
        worker = start(stack, "wrong", tmp_path, ahead_s, key)
        until(lambda: "takes no tasks" in worker.log_path.read_text(), "it does not stop")
        assert why in health().stderr
        assert (redis.llen("features"), refused.kept(redis)) == (SENT - IN_A_ROW, IN_A_ROW)
        assert worker.running
    assert refused.counts(redis) == {reason.value: IN_A_ROW}
    assert why in command("refused", "list")
    assert f"{IN_A_ROW} messages refused" in command("status")
    assert f"{IN_A_ROW} messages put back" in command(
        "refused", "requeue", "--reason", reason.value
    )
    with ExitStack() as stack:
        start(stack, "right", tmp_path, 0, KEY)
        for task in sent:
            assert task.get(timeout=START_S)
        assert health().returncode == 0
    assert refused.kept(redis) == 0
