"""How fast one process of CoralNet's hands jobs in and takes answers out.

A private Redis and S3 server and one feature worker, on this machine. The extractor is the one
without a network: what is measured is the client.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image

SUBMITTED = 1000
SLICE = 100
REPEATS = 3
#: seconds; the worker needs some for a thousand jobs
FINISHED_S = 300


def section() -> str:
    """The figures as a section of docs/benchmarks.md."""
    submit, collect = measure()
    return (
        "## The queue\n\n"
        "`CeleryQueue` of `spacer_tasks.coralnet`, one process, with a private Redis and S3 server"
        " and one worker beside it on the same machine (`python -m benchmarks.queue`).\n\n"
        "| work | median | from | to |\n|---|---|---|---|\n"
        f"| submit {SUBMITTED:,} extraction jobs | {_row(submit)} |\n"
        f"| collect {SLICE} finished jobs | {_row(collect)} |\n"
    )


def _row(seconds: list[float]) -> str:
    return " | ".join(f"{value:.2f} s" for value in (median(seconds), min(seconds), max(seconds)))


def measure() -> tuple[list[float], list[float]]:
    """Seconds of each submission of a thousand jobs, and of each collection of a hundred."""
    from spacer_tasks.demo.processes import process
    from spacer_tasks.demo.services import redis_server, s3_server

    with ExitStack() as stack:
        redis, s3 = stack.enter_context(redis_server()), stack.enter_context(s3_server())
        s3.create_bucket("bench")
        os.environ |= {
            "SPACER_BROKER_URL": redis.url,
            "SPACER_S3_ENDPOINT_URL": s3.endpoint_url,
            "SPACER_AWS_ACCESS_KEY_ID": s3.access_key,
            "SPACER_AWS_SECRET_ACCESS_KEY": s3.secret_key,
            "SPACER_RESULTS_PREFIX": "s3://bench/results",
        }
        # only now: the settings are read from the environment once
        from spacer_tasks.app import app
        from spacer_tasks.coralnet import CeleryQueue

        log = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "worker.log"
        stack.enter_context(
            process(
                [sys.executable, "-m", "workers.feature_worker", "--hostname=bench@test"],
                log_path=log,
                cwd=Path(__file__).parents[1],
                ready=lambda: bool(app.control.ping(["bench@test"], timeout=0.5)),
                ready_timeout_s=90,
            )
        )
        job = _job()
        submit, collect = [], []
        for _ in range(REPEATS):
            start = time.perf_counter()
            for number in range(SUBMITTED):
                CeleryQueue().submit_job(job, number, "medium")
            submit.append(time.perf_counter() - start)
            _wait_until_finished()
            waiting = CeleryQueue().get_collectable_jobs()
            for first in range(0, SUBMITTED, SLICE):
                start = time.perf_counter()
                returned, _ = CeleryQueue().collect_jobs(waiting[first : first + SLICE])
                collect.append(time.perf_counter() - start)
                assert len(returned) == SLICE
        return submit, collect


def _wait_until_finished() -> None:
    from spacer_tasks.coralnet import CeleryQueue
    from spacer_tasks.data_classes.job_state import JobState
    from spacer_tasks.jobs.states import look

    waiting = CeleryQueue().get_collectable_jobs()
    end = time.monotonic() + FINISHED_S
    while {each.state for each in look(waiting, time.time())} != {JobState.SUCCEEDED}:
        if time.monotonic() > end:
            raise SystemExit("the worker did not finish its jobs")
        time.sleep(0.5)


def _job() -> dict[str, Any]:
    from spacer_tasks import storage
    from spacer_tasks.data_classes.locations import DataLocation

    stream = BytesIO()
    pixels = np.random.default_rng(1).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, "JPEG")
    image = DataLocation.parse("s3://bench/a.jpg")
    storage.store(image, stream.getvalue())
    rowcols = [[3 * number, 2 * number] for number in range(25)]
    message = {
        "job_token": "1",
        "extractor": {"class_path": "dummy", "feature_dim": 8},
        "rowcols": rowcols,
        "image_loc": image.model_dump(),
        "feature_loc": DataLocation.parse("s3://bench/a.npz").model_dump(),
    }
    return {"task_name": "extract_features", "tasks": [message]}


if __name__ == "__main__":
    print(section())
