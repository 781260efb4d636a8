"""Points a second where one job classifies many images, read from a local S3 server.

One process on one core: `python -m benchmarks.bulk`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from statistics import median

from benchmarks.sides import CACHE, ROOT

IMAGES = 1000
POINTS = 25
CLASSES = 100
DIMENSIONS = 1280
REPEATS = 5
BUCKET = "bulk"
GOAL = 5000


def section() -> str:
    """The rate as a section of docs/benchmarks.md."""
    rate = measured()
    return (
        "## Many images in one job\n\n"
        "| what | measured | goal |\n|---|---|---|\n"
        f"| classify {IMAGES:,} images of {POINTS} points, MLP, {CLASSES} classes, read from a"
        f" local S3 server, one core | **{rate:,.0f} points/s** | {GOAL:,} points/s |\n"
    )


def measured() -> float:
    """Points a second, measured in a process of its own that may use one core."""
    from benchmarks.servers import s3_environment
    from spacer_tasks.demo.services import s3_server

    with s3_server() as s3:
        s3.create_bucket(BUCKET)
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.bulk", "--measure"],
            env={**os.environ, **s3_environment(s3)},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise SystemExit(done.stderr)
    return float(done.stdout)


def measure() -> float:
    """Points a second in this process."""
    import numpy as np

    from spacer_tasks import operations, storage
    from spacer_tasks.classifiers import Classifier, store_classifier
    from spacer_tasks.classifiers.model import Layer
    from spacer_tasks.data_classes.features import ImageFeatures
    from spacer_tasks.data_classes.locations import DataLocation

    rng = np.random.default_rng(1)
    prefix = DataLocation.parse(f"s3://{BUCKET}/features")
    classifier_loc = prefix.joined("classifier")
    units = (DIMENSIONS, 200, 100, CLASSES)
    layers = [Layer(rng.normal(0, 0.05, pair), np.zeros(pair[1])) for pair in pairwise(units)]
    store_classifier(
        classifier_loc,
        Classifier(
            clf_type="MLP",
            layers=tuple(layers),
            output="softmax",
            calibration_a=-np.ones(CLASSES),
            calibration_b=np.zeros(CLASSES),
            classes=list(range(CLASSES)),
        ),
    )
    points = [(i, i) for i in range(POINTS)]
    messages = []
    for image in range(IMAGES):
        vectors = rng.normal(0, 1, (POINTS, DIMENSIONS)).astype(np.float32)
        features_loc = prefix.joined(f"{image}.featurevector")
        storage.store(features_loc, ImageFeatures.of_points(points, vectors).to_bytes())
        messages.append(
            {
                "job_token": str(image),
                "feature_loc": features_loc.model_dump(),
                "classifier_loc": classifier_loc.model_dump(),
            }
        )
    seconds = []
    with on_one_core():
        for _ in range(REPEATS + 1):
            started = time.perf_counter()
            found = sum(len(answer.scores) for answer in operations.classify_many(messages))
            seconds.append(time.perf_counter() - started)
            assert found == IMAGES * POINTS
    return IMAGES * POINTS / median(seconds[1:])


@contextmanager
def on_one_core() -> Iterator[None]:
    """This process, its threads included, on one of the cores that it may use."""
    if not hasattr(os, "sched_setaffinity"):  # macOS has none
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


if __name__ == "__main__":
    CACHE.mkdir(parents=True, exist_ok=True)
    print(measure() if "--measure" in sys.argv else section())
