"""How the queue behaves with more tasks and more workers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.inputs import extractor_spec, make_inputs
from benchmarks.sides import CACHE, ROOT
from benchmarks.training import file

QUEUED = (100, 1_000, 10_000, 100_000)
WORKERS = (1, 2)
IMAGES = 60
POINTS = 10
#: seconds for all images
LIMIT_S = 300


def queue_curves() -> list[dict[str, Any]]:
    """The curves, as fields of `growth.Curve`."""
    from benchmarks.servers import s3_environment
    from spacer_tasks.demo.services import redis_server, s3_server

    with ExitStack() as stack:
        redis, s3 = stack.enter_context(redis_server()), stack.enter_context(s3_server())
        s3.create_bucket("growth")
        env = {
            **os.environ,
            **s3_environment(s3),
            "SPACER_BROKER_URL": redis.url,
            "SPACER_RESULTS_PREFIX": "s3://growth/results",
        }
        # a process of its own: settings are read once
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.queue_growth"],
            env=env,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise SystemExit(done.stderr)
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure() -> list[dict[str, Any]]:
    """Share images among workers; then send more and more tasks that nobody takes."""
    # first: a Redis that frees a hundred thousand messages takes a core from them
    images_a_second = [_images_a_second(count) for count in WORKERS]
    sending, memory = [], []
    for count in QUEUED:
        each, bytes_each = _queued(count)
        sending.append(each)
        memory.append(bytes_each)
    return [
        {
            "title": "Tasks in the queue",
            "x_label": "tasks queued",
            "y_label": "µs; bytes",
            "x": QUEUED,
            "lines": {"time to send one": sending, "Redis's memory for one": memory},
        },
        {
            "title": "Workers",
            "x_label": "feature workers with a core each, 10 points an image",
            "y_label": "images/s",
            "x": WORKERS,
            "lines": {"": images_a_second},
        },
    ]


def _queued(count: int) -> tuple[float, float]:
    """Microseconds to send one of so many, and bytes that each takes in Redis."""
    from benchmarks.overhead import MESSAGE
    from spacer_tasks.broker.client import broker_client
    from spacer_tasks.tasks import classify_features

    redis = broker_client()
    redis.flushdb()
    before: int = redis.info("memory")["used_memory"]
    started = time.perf_counter()
    for _ in range(count):
        classify_features.delay(MESSAGE)
    seconds = time.perf_counter() - started
    after: int = redis.info("memory")["used_memory"]
    redis.flushdb()
    return seconds / count * 1e6, (after - before) / count


def _answers(worker: str) -> bool:
    from spacer_tasks.app import app

    return bool(app.control.ping([worker], timeout=0.5))


def _images_a_second(workers: int) -> float:
    from spacer_tasks.demo.processes import process
    from spacer_tasks.tasks import extract_features

    make_inputs(CACHE / "inputs")
    spec = extractor_spec(CACHE / "inputs")
    with ExitStack() as stack:
        logs = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        names = [f"grow{number}@bench" for number in range(workers)]
        for number, name in enumerate(names):
            stack.enter_context(
                process(
                    [
                        # a core each, as if each had a machine of its own
                        *("taskset", "--cpu-list", str(number % (os.cpu_count() or 1))),
                        *(sys.executable, "-m", "workers.feature_worker"),
                        *("--concurrency=1", f"--hostname={name}"),
                    ],
                    log_path=logs / f"{name}.log",
                    cwd=ROOT,
                    env={
                        **os.environ,
                        "SPACER_WARM_EXTRACTOR": json.dumps(spec),
                    },
                    ready=partial(_answers, name),
                    ready_timeout_s=90,
                )
            )
        message = {
            "job_token": "growth",
            "extractor": spec,
            "rowcols": [[100 * n + 200, 100 * n + 300] for n in range(POINTS)],
            "image_loc": file(CACHE / "inputs" / "photo.jpg"),
        }
        started = time.perf_counter()
        results = [
            extract_features.delay({**message, "feature_loc": file(logs / f"{n}.featurevector")})
            for n in range(IMAGES)
        ]
        for each in results:
            each.get(timeout=LIMIT_S)
        return IMAGES / (time.perf_counter() - started)


if __name__ == "__main__":
    print(json.dumps(measure()))
