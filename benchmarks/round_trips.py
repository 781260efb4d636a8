"""What a task costs its worker in round trips to Redis and requests to storage.

A private Redis and S3 server and workers with one process or thread, which reach both through doors
that count: `python -m benchmarks.round_trips`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

from benchmarks.sides import ROOT

TASKS = 200
#: sent before, for connections and whatever is loaded once
WARM_UP = 5
LIMIT_S = 300
BUCKET = "trips"
#: so that nothing but tasks is counted: no signs of life of the worker's or of Celery's
QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat", "--concurrency=1")
SILENT_S = "86400"
POINTS = [[10, 10], [30, 30]]
#: HTTP methods whose requests are counted
METHODS = ("GET", "HEAD", "PUT", "DELETE", "POST")


def section() -> str:
    """The costs as a table of docs/benchmarks.md."""
    found = measured()
    plain = found["a task of plain Celery"]["trips"]
    rows = [
        f"| {name} | {each['trips']:.1f} | {each['trips'] - plain:+.1f} | {_requests(each)} |"
        for name, each in found.items()
    ]
    return "\n".join(
        [
            "| task | round trips to Redis | over plain Celery | requests to storage |",
            "|---|---|---|---|",
            *rows,
        ]
    )


def _requests(found: dict[str, float]) -> str:
    shown = [f"{found[name]:.1f} {name}" for name in METHODS if found[name] >= 0.05]
    return f"{sum(found[name] for name in METHODS):.1f} ({', '.join(shown)})" if shown else "none"


def measured() -> dict[str, dict[str, float]]:
    """Per task, by its kind: `trips`, and requests by method."""
    from benchmarks.counting import counted
    from benchmarks.servers import s3_environment
    from spacer_tasks.demo.services import redis_server, s3_server

    with ExitStack() as stack:
        redis, s3 = stack.enter_context(redis_server()), stack.enter_context(s3_server())
        s3.create_bucket(BUCKET)
        to_redis = stack.enter_context(counted(redis.port))
        s3_port = int(s3.endpoint_url.rpartition(":")[2])
        to_s3 = stack.enter_context(counted(s3_port))
        env = {
            **os.environ,
            **s3_environment(s3),
            "SPACER_BROKER_URL": redis.url,
            "SPACER_RESULTS_PREFIX": f"s3://{BUCKET}/results",
            "SPACER_WORKER_SILENT_S": SILENT_S,
            "TRIPS_REDIS": redis.url.replace(f":{redis.port}/", f":{to_redis.port}/"),
            "TRIPS_S3": f"http://127.0.0.1:{to_s3.port}",
        }
        # a process of its own: settings are read once. It says when to begin to count, and to stop
        child = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-m", "benchmarks.round_trips", "--send"],
                env=env,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        assert child.stdout is not None
        assert child.stdin is not None
        found = {}
        for line in child.stdout:
            if not line.startswith("{"):
                continue
            said = json.loads(line)
            if said["now"] == "begins":
                to_redis.reset()
                to_s3.reset()
            else:
                tasks = said["tasks"]
                requests = {name: to_s3.requests[name] / tasks for name in METHODS}
                found[said["kind"]] = {"trips": to_redis.trips / tasks, **requests}
            child.stdin.write("\n")
            child.stdin.flush()
        if child.wait():
            raise SystemExit("the measurement failed")
    return found


def _tell(**said: Any) -> None:
    print(json.dumps(said), flush=True)
    sys.stdin.readline()


def send() -> None:
    """Send tasks of each kind to a worker, and say when to count."""
    from benchmarks.noop_tasks import PLAIN_QUEUE, noop, plain, plain_noop
    from benchmarks.overhead import MESSAGE
    from spacer_tasks.app import app
    from spacer_tasks.tasks import classify_features, extract_features
    from spacer_tasks.workflows import train_from_images

    made = _Inputs()
    ours = ["workers.classify_worker", "--include=benchmarks.noop_tasks"]
    theirs = ["celery", "-A", "benchmarks.noop_tasks:plain", "worker", f"--queues={PLAIN_QUEUE}"]
    sending = {
        "a task of plain Celery": (
            plain, [*theirs, "--loglevel=INFO"], "plain",
            lambda _: plain_noop.apply_async((MESSAGE,), queue=PLAIN_QUEUE),
        ),
        "a task that does nothing": (
            app, ours, "ours", lambda _: noop.apply_async((MESSAGE,), queue="classify"),
        ),
        "classify the points of a feature file": (
            app, ours, "ours", lambda _: classify_features.delay(made.classification()),
        ),
        "extract one image": (
            app, ["workers.feature_worker"], "features",
            lambda n: extract_features.delay(made.extraction(f"one-{n}")),
        ),
    }  # fmt: skip
    for kind, (of, command, name, start) in sending.items():
        with _worker(of, command, name):
            _count(kind, start)
    with _worker(app, ["workers.feature_worker"], "features"):
        batch = partial(made.batch, "batch")
        with _worker(app, ["workers.classify_worker"], "others", counted=False):
            for each in [extract_features.delay(made.extraction(f"w-{n}")) for n in range(WARM_UP)]:
                each.get(timeout=LIMIT_S)
            _until_settled()
            _tell(now="begins")
            train_from_images.delay(batch(TASKS))
            _until(lambda: _length("training") == 1)
            _until_settled()
        _tell(now="done", kind="extract one image as a part of a batch", tasks=TASKS)


class _Inputs:
    """Small ones: the queue, not the computing, is what is counted."""

    def __init__(self) -> None:
        import numpy as np

        from benchmarks.inputs import photo
        from spacer_tasks import operations, storage
        from spacer_tasks.data_classes.features import ImageFeatures
        from spacer_tasks.data_classes.labels import ImageLabels
        from spacer_tasks.messages.tasks import TrainClassifierMsg, TrainingTaskLabels

        self._image = self._at("photo.jpg")
        stream = BytesIO()
        photo((640, 480)).save(stream, "JPEG")
        storage.store(self._image, stream.getvalue())
        self._features = self._at("labels.npz")
        classes = np.arange(90) % 2
        vectors = np.random.default_rng(0).normal(classes[:, None], 0.3, (90, 32))
        points = [(i, i) for i in range(90)]
        storage.store(
            self._features, ImageFeatures.of_points(points, vectors.astype(np.float32)).to_bytes()
        )
        labels = ImageLabels({self._features: [(i, i, "ab"[i % 2]) for i in range(90)]})
        self._classifier = self._at("classifier.safetensors")
        operations.train_classifier(
            TrainClassifierMsg(
                job_token="1", trainer="minibatch", nbr_epochs=1, clf_type="LR",
                labels=TrainingTaskLabels(train=labels, ref=labels, val=labels),
                model_loc=self._classifier, valresult_loc=self._at("val.json"),
            )
        )  # fmt: skip

    def _at(self, key: str) -> Any:
        from spacer_tasks.data_classes.locations import DataLocation

        return DataLocation.parse(f"s3://{BUCKET}/{key}")

    def classification(self) -> dict[str, Any]:
        """All points of the feature file."""
        return {
            "job_token": "1",
            "feature_loc": self._features.model_dump(),
            "classifier_loc": self._classifier.model_dump(),
        }

    def extraction(self, name: str) -> dict[str, Any]:
        """Two points of the photo."""
        return {
            "job_token": "1",
            "extractor": {"class_path": "dummy", "feature_dim": 32},
            "rowcols": POINTS,
            "image_loc": self._image.model_dump(),
            "feature_loc": self._at(f"features/{name}.npz").model_dump(),
        }

    def batch(self, name: str, images: int) -> dict[str, Any]:
        """So many images, of whose features a classifier is to be trained."""
        return {
            "job_token": "1",
            "extractor": {"class_path": "dummy", "feature_dim": 32},
            "images": [
                {
                    "image_loc": self._image.model_dump(),
                    "feature_loc": self._at(f"features/{name}-{number}.npz").model_dump(),
                    "annotations": [[*point, "ab"[number % 2]] for point in POINTS],
                }
                for number in range(images)
            ],
            "nbr_epochs": 1,
            "clf_type": "LR",
            "model_loc": self._at("batch.safetensors").model_dump(),
            "valresult_loc": self._at("batch.json").model_dump(),
        }


def _count(kind: str, start: Callable[[int], Any]) -> None:
    for number in range(WARM_UP):
        start(-number - 1).get(timeout=LIMIT_S)
    _until_settled()
    _tell(now="begins")
    for each in [start(number) for number in range(TASKS)]:
        each.get(timeout=LIMIT_S)
    _until_settled()
    _tell(now="done", kind=kind, tasks=TASKS)


def _worker(of: Any, command: list[str], name: str, *, counted: bool = True) -> Any:
    from spacer_tasks.demo.processes import process

    env = dict(os.environ)
    if counted:
        env |= {
            "SPACER_BROKER_URL": env["TRIPS_REDIS"],
            "SPACER_S3_ENDPOINT_URL": env["TRIPS_S3"],
            "AWS_ENDPOINT_URL_S3": env["TRIPS_S3"],
        }
    return process(
        [sys.executable, "-m", *command, *QUIET, f"--hostname={name}@trips"],
        log_path=Path(tempfile.gettempdir()) / f"trips-{os.getpid()}-{name}.log",
        cwd=ROOT,
        env=env,
        ready=lambda: bool(of.control.ping([f"{name}@trips"], timeout=0.5)),
        ready_timeout_s=90,
    )


def _length(queue: str) -> int:
    from spacer_tasks.broker.client import broker_client

    return int(broker_client().llen(queue))


def _until_settled() -> None:
    """Until no worker holds a message."""
    from spacer_tasks.broker.client import broker_client

    keys = ["unacked", "unacked.features", "unacked.classify"]
    _until(lambda: not any(broker_client().hlen(key) for key in keys))


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT_S
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("the tasks were not done in time")
        time.sleep(0.02)


if __name__ == "__main__":
    if "--send" in sys.argv:
        send()
    else:
        print(section())
