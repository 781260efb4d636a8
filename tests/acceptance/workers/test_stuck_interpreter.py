"""Workers in which nothing of Python runs any more: ended from outside, their tasks answered.

What holds the interpreter's lock here is a regular expression: a loop in C.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from celery.result import AsyncResult
from redis import Redis

from spacer_tasks import storage
from spacer_tasks.app import app
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.demo.processes import Process, process
from spacer_tasks.exceptions import TaskAbandonedError
from spacer_tasks.execution import dead_letters
from spacer_tasks.tasks import extract_features
from spacer_tasks.worker.sentry import PROGRAM
from spacer_tasks.worker.sentry_program import HANGS
from tests.support.checkout import CHECKOUT
from tests.support.photos import photo
from tests.support.waiting import wait_until
from tests.support.workers import START_S, StartWorker, worker_starter

ENV = {
    "PYTHONPATH": f"{CHECKOUT}:{CHECKOUT / 'tests' / 'plugins'}",
    "SPACER_WORKER_SILENT_S": "2",
    # the default is 120
    "SPACER_STUCK_AFTER_S": "8",
}
#: bytes of the process beside a worker; it has 10 MB, 4 of its own
SMALL = 20 * 2**20
IN_A_CONTAINER = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")

Send = Callable[..., "AsyncResult[Any]"]


@pytest.fixture
def start_worker(queue: None, tmp_path: Path) -> Iterator[StartWorker]:
    """As for other tests, but a worker ends with its test."""
    with ExitStack() as stack:
        yield worker_starter(stack, tmp_path / "logs")


@pytest.fixture
def send(bucket: str, queue: None, starts: Path) -> Send:
    """Send an extraction whose first `times` starts do what `fault` says, for ever."""
    app.control.purge()
    image = DataLocation.parse(f"s3://{bucket}/a.png")
    storage.store(image, photo("sand", 1))

    def sent(times: int, fault: str = "hold") -> AsyncResult[Any]:
        extractor = {"class_path": "faulty", "fault": fault, "times": times, "folder": str(starts)}
        return extract_features.delay(
            {
                "job_token": "1",
                "extractor": extractor,
                "rowcols": [[1, 1]],
                "image_loc": image.model_dump(),
                "feature_loc": DataLocation.parse(f"s3://{bucket}/hold.npz").model_dump(),
            }
        )

    return sent


def sentries() -> dict[int, int]:
    """The processes beside workers, and who their parents are."""
    found = {}
    for folder in Path("/proc").iterdir():
        try:
            if str(PROGRAM).encode() in (folder / "cmdline").read_bytes():
                stat = (folder / "stat").read_text().rpartition(")")[2].split()
                if stat[0] != "Z":
                    found[int(folder.name)] = int(stat[1])
        except (OSError, ValueError):
            continue
    return found


def test_a_feature_worker_that_cannot_run_is_ended_and_its_task_goes_to_others(
    start_worker: StartWorker, send: Send, starts: Path, tmp_path: Path
) -> None:
    worker = start_worker("feature", "--concurrency=2", name="stuck", **ENV)
    (sentry,) = (each for each, parent in sentries().items() if parent == worker.popen.pid)
    resident = int(Path(f"/proc/{sentry}/statm").read_text().split()[1])
    assert resident * os.sysconf("SC_PAGE_SIZE") < SMALL
    sent = send(times=1)
    wait_until(lambda: len(list(starts.iterdir())) == 1, 120, "the task did not begin")
    # which nobody is there to handle
    worker.popen.send_signal(signal.SIGTERM)
    assert worker.popen.wait(180) == -signal.SIGKILL
    wait_until(lambda: sentry not in sentries(), 120, "the process beside it is left")
    log = (tmp_path / "logs" / "stuck.log").read_text()
    assert f"the interpreter of process {worker.popen.pid} has not run" in log
    # where its threads were
    assert "faulty_tasks.py" in log
    start_worker("feature", "--concurrency=1", name="heir", **ENV)
    assert sent.get(timeout=180)["summary"]["runtime"] >= 0


def test_a_task_that_stops_each_interpreter_is_given_up(
    start_worker: StartWorker, send: Send, starts: Path, redis_url: str
) -> None:
    env = {**ENV, "SPACER_MAX_DELIVERIES": "1"}
    worker = start_worker("feature", "--concurrency=1", name="first", **env)
    sent = send(times=99)
    assert worker.popen.wait(180) == -signal.SIGKILL
    start_worker("feature", "--concurrency=1", name="second", **env)
    with pytest.raises(TaskAbandonedError, match="begun 1 time "):
        sent.get(timeout=180)
    assert sent.id in {each.task_id for each in dead_letters.listed(Redis.from_url(redis_url))}
    assert len(list(starts.iterdir())) == 1


def test_an_image_that_is_decoded_for_ever_is_given_up(
    start_worker: StartWorker, send: Send, starts: Path, tmp_path: Path
) -> None:
    env = {**ENV, "SPACER_MAX_DELIVERIES": "1"}
    worker = start_worker("feature", "--concurrency=2", name="decodes", **env)
    sent = send(times=99, fault="decode")
    assert worker.popen.wait(180) == -signal.SIGKILL
    assert "one image has been decoded for" in (tmp_path / "logs" / "decodes.log").read_text()
    start_worker("feature", "--concurrency=1", name="after", **env)
    with pytest.raises(TaskAbandonedError, match="begun 1 time "):
        sent.get(timeout=180)


def test_a_process_of_a_prefork_pool_is_ended_and_its_worker_goes_on(
    start_worker: StartWorker, send: Send, starts: Path
) -> None:
    worker = start_worker("feature", "--pool=prefork", name="forked", **ENV)
    sent = send(times=99)
    with pytest.raises(TaskAbandonedError, match="begun 3 times"):
        sent.get(timeout=240)
    assert len(list(starts.iterdir())) == 3
    assert worker.running
    # whoever is at work is not stuck
    assert send(times=3).get(timeout=180)["summary"]["runtime"] >= 0


@pytest.mark.parametrize("by", [signal.SIGTERM, None], ids=["told to stop", "stuck"])
def test_the_first_process_of_a_container_ends_too(
    send: Send, starts: Path, tmp_path: Path, by: signal.Signals | None
) -> None:
    if subprocess.run([*IN_A_CONTAINER, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this user may not make a namespace of processes (unshare --pid)")
    command = [*IN_A_CONTAINER, sys.executable, "-m", "workers.feature_worker"]
    log = tmp_path / "first.log"
    with process(
        [*command, "--concurrency=1", "--hostname=first@test"],
        env={**os.environ, **ENV},
        cwd=CHECKOUT,
        log_path=log,
        ready=lambda: bool(app.control.ping(destination=["first@test"], timeout=0.5)),
        ready_timeout_s=START_S,
    ) as container:
        first = _child_of(container)
        if by is None:
            sent = send(times=1)
            wait_until(lambda: len(list(starts.iterdir())) == 1, 120, "the task did not begin")
        else:
            os.kill(first, by)
        assert container.popen.wait(180) == (HANGS if by is None else 0), log.read_text()[-2000:]
        if by is None:
            assert not sent.ready()


def _child_of(container: Process) -> int:
    """The process that is the first one inside."""
    children = Path(f"/proc/{container.popen.pid}/task/{container.popen.pid}/children")
    return int(children.read_text().split()[0])
