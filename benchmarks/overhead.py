"""What the queue itself costs: a task over plain Celery, a chord over its tasks, a message.

A private Redis and S3 server and one worker with one process: `python -m benchmarks.overhead`;
`--tasks` and `--repeats` make it shorter.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.sides import ROOT

if TYPE_CHECKING:
    from celery import Celery

    from spacer_tasks.demo.services import S3Server

TASKS = 1000
REPEATS = 3
#: milliseconds that each task of a chord's header works; an extraction takes ten times as long
WORK_MS = 20
#: seconds for all tasks of a measurement
LIMIT_S = 300
BUCKET = "overhead"
#: writes of a measurement, and bytes of each: about what an answer of 25 points takes
WRITES, ANSWER_BYTES = 200, 2000

#: where the tasks of `benchmarks.noop_tasks` go
_QUEUES = {"bench.noop": "classify", "plain.noop": "plain"}

MESSAGE = {
    "job_token": "1",
    "feature_loc": {"storage_type": "s3", "key": "a.featurevector", "bucket_name": BUCKET},
    "classifier_loc": {"storage_type": "s3", "key": "a.model", "bucket_name": BUCKET},
}


def section(tasks: int = TASKS, repeats: int = REPEATS) -> str:
    """The costs as a section of docs/benchmarks.md: medians of so many repeats of so many tasks."""
    from benchmarks.servers import s3_environment
    from spacer_tasks.demo.services import redis_server, s3_server

    with ExitStack() as stack:
        redis, s3 = stack.enter_context(redis_server()), stack.enter_context(s3_server())
        s3.create_bucket(BUCKET)
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        env = {**os.environ, **s3_environment(s3), "SPACER_BROKER_URL": redis.url}
        size = (f"--tasks={tasks}", f"--repeats={repeats}")
        on_files = _measured({**env, "SPACER_RESULTS_PREFIX": f"{folder}/results"}, *size)
        on_s3 = _measured({**env, "SPACER_RESULTS_PREFIX": f"s3://{BUCKET}/results"}, *size)
        written, request = _file_ms(Path(folder) / "alone"), _request_ms(s3)
        chord = _measured(
            {
                **env,
                "SPACER_RESULTS_PREFIX": f"{folder}/chord",
                "BENCH_WORK_MS": str(WORK_MS),
            },
            "--chord",
            *size,
        )
    plain, wrapped, stored = on_files["plain_ms"], on_files["ours_ms"], on_s3["ours_ms"]
    alone, whole = chord["tasks_ms"], chord["chord_ms"]
    return (
        "## The queue's own cost\n\n"
        f"{tasks:,} tasks of next to no work, one worker with one process, medians of {repeats},"
        " alternately.\n\n"
        "| what | measured | goal |\n|---|---|---|\n"
        f"| a task of plain Celery | {plain:.2f} ms | |\n"
        f"| over it: checks, the answer kept as a file | **{wrapped - plain:.2f} ms**"
        f" | 1 ms (one write takes {written:.2f} ms) |\n"
        f"| over it: the answer kept on a local S3 server | {stored - plain:.2f} ms"
        f" | 4 ms (one write takes {request:.2f} ms) |\n"
        f"| a chord of {tasks:,} tasks of {WORK_MS} ms, over the same tasks alone"
        f" | **{(whole - alone) / alone:+.1%}** | 10 % |\n"
        f"| the message of a classification in Redis | {chord['message_bytes']:,.0f} bytes,"
        f" {chord['message_bytes'] - chord['plain_bytes']:+,.0f} over plain Celery's | |\n"
    )


def _measured(env: dict[str, str], *options: str) -> dict[str, float]:
    """The figures of a process of its own: settings are read once."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.overhead", "--measure", *options],
        env=env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _file_ms(folder: Path) -> float:
    """One write of an answer as a file, by this package's storage alone."""
    from spacer_tasks import storage
    from spacer_tasks.data_classes.locations import DataLocation

    def write(number: int) -> None:
        location = DataLocation(storage_type="filesystem", key=str(folder / str(number)))
        assert storage.store_once(location, b"x" * ANSWER_BYTES)

    return _median_ms(write)


def _request_ms(s3: S3Server) -> float:
    """One write of an answer to S3, by the client alone."""
    client = s3.client()

    def write(number: int) -> None:
        client.put_object(Bucket=BUCKET, Key=f"x/{number}", Body=b"x" * ANSWER_BYTES)

    return _median_ms(write)


def _median_ms(write: Callable[[int], None]) -> float:
    seconds = []
    for number in range(WRITES):
        started = time.perf_counter()
        write(number)
        seconds.append(time.perf_counter() - started)
    return median(seconds) * 1000


def measure(tasks: int, repeats: int) -> dict[str, float]:
    """Milliseconds a task of each kind."""
    from benchmarks.noop_tasks import noop, plain_noop

    found: dict[str, list[float]] = {"plain_ms": [], "ours_ms": []}
    with _workers():
        for repeat in range(repeats + 1):
            for name, task in (("plain_ms", plain_noop), ("ours_ms", noop)):
                found[name] += [_tasks_ms(task, tasks)] * (repeat > 0)
    return {name: median(values) for name, values in found.items()}


def measure_chord(tasks: int, repeats: int) -> dict[str, float]:
    """Milliseconds a task of a chord and alone; bytes of a message."""
    from celery import chord

    from benchmarks.noop_tasks import PLAIN_QUEUE, body, noop, plain_noop
    from spacer_tasks.broker.contract import CLASSIFY

    found: dict[str, list[float]] = {"tasks_ms": [], "chord_ms": []}
    with _workers():
        for _ in range(repeats):
            found["tasks_ms"].append(_tasks_ms(noop, tasks))
            started = time.perf_counter()
            headers = [noop.s(MESSAGE) for _ in range(tasks)]
            assert chord(headers)(body.s().set(queue=CLASSIFY)).get(timeout=LIMIT_S) == tasks
            found["chord_ms"].append((time.perf_counter() - started) * 1000 / tasks)
    sizes = {}
    for name, task, queue in (
        ("message_bytes", noop, CLASSIFY),
        ("plain_bytes", plain_noop, PLAIN_QUEUE),
    ):
        task.apply_async((MESSAGE,), queue=queue)
        sizes[name] = _length(queue)
    return {name: median(values) for name, values in found.items()} | sizes


def _length(queue: str) -> int:
    from spacer_tasks.broker.client import broker_client

    (message,) = broker_client().lrange(queue, 0, -1)
    return len(message)


def _tasks_ms(task: Any, tasks: int) -> float:
    """Milliseconds a task, from the first send to the last answer."""
    started = time.perf_counter()
    results = [task.apply_async([MESSAGE], queue=_QUEUES[task.name]) for _ in range(tasks)]
    for each in results:
        each.get(timeout=LIMIT_S)
    return (time.perf_counter() - started) * 1000 / tasks


def _answers(app: Celery, worker: str) -> bool:
    return bool(app.control.ping([worker], timeout=0.5))


@contextmanager
def _workers() -> Iterator[None]:
    """One worker of each kind, with one process each."""
    from benchmarks.noop_tasks import PLAIN_QUEUE, plain
    from spacer_tasks.app import app
    from spacer_tasks.demo.processes import process

    start = [sys.executable, "-m"]
    ours = ["workers.classify_worker", "--include=benchmarks.noop_tasks", "--hostname=ours@bench"]
    theirs = ["celery", "-A", "benchmarks.noop_tasks:plain", "worker", f"--queues={PLAIN_QUEUE}"]
    with ExitStack() as stack:
        logs = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for name, command, of in (
            ("ours", [*start, *ours], app),
            ("plain", [*start, *theirs, "--hostname=plain@bench", "--loglevel=INFO"], plain),
        ):
            stack.enter_context(
                process(
                    [*command, "--concurrency=1"],
                    log_path=logs / f"{name}.log",
                    cwd=ROOT,
                    ready=partial(_answers, of, f"{name}@bench"),
                    ready_timeout_s=90,
                )
            )
        yield


def main() -> None:
    """Print the section, or of `--measure` the figures that it is made of."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overhead", description=__doc__)
    parser.add_argument("--tasks", type=int, default=TASKS, help="of one measurement")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--chord", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        figures = measure_chord if options.chord else measure
        print(json.dumps(figures(options.tasks, options.repeats)))
    else:
        print(section(options.tasks, options.repeats))


if __name__ == "__main__":
    main()
