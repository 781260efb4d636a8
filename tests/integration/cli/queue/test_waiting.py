"""`submit --wait` that does not get to see the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis

from spacer_tasks.demo.services import RedisServer, redis_server
from tests.support.survey import DUMMY, write_photos, write_points


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis for one test, where no worker looks."""
    with redis_server() as server:
        yield server


@contextmanager
def waiting(redis: RedisServer, folder: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A process that has sent one task and waits for it, and the task's id."""
    points = str(write_points(folder / "points.csv", write_photos(folder / "photos", 1)))
    options = ["--points", points, "--features", str(folder / "features"), *DUMMY, "--wait"]
    command = [sys.executable, "-m", "spacer_tasks.cli", "submit", "extract"]
    with subprocess.Popen(
        [*command, str(folder / "photos"), *options],
        # unbuffered: the id is read while the process runs
        env={**os.environ, "SPACER_BROKER_URL": redis.url, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as started:
        assert started.stdout is not None
        task_id = started.stdout.readline().split()[0]
        with Redis.from_url(redis.url) as client:
            # only looks for the task's state are GETs
            while client.info("commandstats").get("cmdstat_get", {}).get("calls", 0) < 2:
                assert started.poll() is None
        yield task_id, started


def test_whoever_stops_waiting_is_told_how_to_look(own_redis: RedisServer, tmp_path: Path) -> None:
    with waiting(own_redis, tmp_path) as (task_id, started):
        started.send_signal(signal.SIGINT)
        _, said = started.communicate(timeout=30)
    assert started.returncode == 130
    assert f"the workers go on, `spacer-tasks status {task_id}` shows how far" in said
    assert "Traceback" not in said


def test_a_redis_that_goes_away_is_waited_for(own_redis: RedisServer, tmp_path: Path) -> None:
    with waiting(own_redis, tmp_path) as (task_id, started):
        assert started.stderr is not None
        own_redis.process.popen.kill()
        said = ""
        while "waiting for it" not in " ".join(said.split()):
            line = started.stderr.readline()
            assert line, said
            said += line
        assert started.poll() is None
        started.send_signal(signal.SIGINT)
        _, rest = started.communicate(timeout=30)
    assert started.returncode == 130
    assert f"`spacer-tasks status {task_id}` shows how far" in " ".join(rest.split())
    assert "Traceback" not in said + rest
