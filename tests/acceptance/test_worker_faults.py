"""Feature workers that are killed, told to stop, hang or grow: every task is answered, once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from celery.result import AsyncResult

from spacer_tasks import storage
from spacer_tasks.app import app
from spacer_tasks.data_classes import DataLocation
from spacer_tasks.tasks import extract_features
from tests.acceptance.conftest import CHECKOUT, StartWorker, wait_until
from tests.acceptance.photos import photo

#: a worker of these tests counts as silent after this; the default is 20
SILENT_S = "2"
FAULTY = {
    "PYTHONPATH": f"{CHECKOUT}:{CHECKOUT / 'tests' / 'plugins'}",
    "SPACER_WORKER_SILENT_S": SILENT_S,
}

Send = Callable[..., "AsyncResult[Any]"]


@pytest.fixture
def starts(tmp_path: Path) -> Path:
    """A file for each start of a task."""
    folder = tmp_path / "starts"
    folder.mkdir()
    return folder


@pytest.fixture
def send(bucket: str, queue: None, starts: Path) -> Send:
    """Send an extraction that misbehaves in its first `times` starts."""
    app.control.purge()
    image = DataLocation.parse(f"s3://{bucket}/a.png")
    storage.store(image, photo("sand", 1))

    def sent(fault: str, times: int = 1, **options: Any) -> AsyncResult[Any]:
        message = {
            "job_token": "1",
            "extractor": {
                "class_path": "faulty",
                "fault": fault,
                "times": times,
                "folder": str(starts),
            },
            "rowcols": [[1, 1]],
            "image_loc": image.model_dump(),
            "feature_loc": DataLocation.parse(f"s3://{bucket}/{fault}.npz").model_dump(),
        }
        return extract_features.apply_async((message,), **options)

    return sent


def begun(starts: Path, count: int) -> Callable[[], bool]:
    return lambda: len(list(starts.iterdir())) == count


def test_the_tasks_of_a_killed_worker_run_again_soon(
    start_worker: StartWorker, send: Send, starts: Path
) -> None:
    worker = start_worker("feature", "--concurrency=2", name="killed", **FAULTY)
    sent = [send("sleep 600", times=2) for _ in range(3)]
    wait_until(begun(starts, 2), 30, "two tasks did not begin")
    worker.popen.kill()
    start_worker("feature", "--concurrency=1", name="heir", **FAULTY)
    for each in sent:
        assert each.get(timeout=60)["summary"]["runtime"] < 600
    # the third had not begun
    assert begun(starts, 5)()
