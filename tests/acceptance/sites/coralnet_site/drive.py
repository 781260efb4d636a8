"""A process of the site, told what to do: a line of JSON in, a line of JSON out."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

# The reference imports torch beside its messages, which hold locations of weights and no weights.
# These names stand where it looks for its own; nothing of them is run.
sys.path.append(str(Path(__file__).parent / "stand_ins"))
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"

import django

django.setup()
logging.basicConfig(stream=sys.stderr, level=logging.INFO)

from jobs.models import Job
from vision_backend import tasks
from vision_backend.queues import BaseQueue, get_queue_class

from spacer_tasks.tasks import process_job


def submit(jobs: list[list[Any]]) -> list[int]:
    return [tasks.submit(*job) for job in jobs]


def collect() -> str:
    return tasks.collect()


looked: list[Any] = []


def look() -> list[str]:
    """Task ids of the jobs that could be collected, which are kept for `collect_looked`."""
    looked[:] = get_queue_class()().get_collectable_jobs()
    return [each.task_id for each in looked]


def collect_looked() -> tuple[int, list[str]]:
    results, statuses = get_queue_class()().collect_jobs(looked)
    return len(results), statuses


def jobs() -> dict[int, tuple[str, str, int]]:
    return {j.pk: (j.status, j.result_message, j.handled) for j in Job.objects.all()}


def delete(job_id: int) -> None:
    Job.objects.filter(pk=job_id).delete()


def is_base() -> bool:
    return issubclass(get_queue_class(), BaseQueue)


def crash_at(step: str) -> None:
    """The process ends there, as by SIGKILL, the next time it comes by."""
    at = {
        "send": (process_job, "apply_async"),
        "handle": (tasks, "handle"),
    }[step]
    setattr(*at, lambda *_, **__: os._exit(9))


def read_by_the_reference(feature_loc: dict[str, str], model_loc: dict[str, str]) -> list[Any]:
    """Shapes and classes of what workers stored."""
    from spacer.data_classes import DataLocation, ImageFeatures
    from spacer.storage import load_classifier

    features = ImageFeatures.load(DataLocation.deserialize(feature_loc))
    classifier = load_classifier(DataLocation.deserialize(model_loc))
    return [int(features.npoints), int(features.feature_dim), sorted(map(str, classifier.classes_))]


for line in sys.stdin:
    name, arguments = json.loads(line)
    answer = globals()[name](*arguments)
    print(json.dumps(answer), flush=True)
