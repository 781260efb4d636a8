"""A web process that sends classifications and jobs with callbacks, and tells what became of them.

Reads `{"features": …, "jobs": […]}` and prints each job's status and message when all have ended.
"""

from __future__ import annotations

import json
import sys
import time
from types import SimpleNamespace

import django

django.setup()

from jobs.models import Job  # noqa: E402 -- models need Django set up
from spacer.data_classes import DataLocation  # noqa: E402 -- as above
from vision_backend.callbacks import (  # type: ignore[import-not-found]  # noqa: E402 -- written by the test, from the page
    job_done,
    job_failed,
    start_classification,
)

from spacer_tasks import process_job  # noqa: E402 -- as above

#: seconds; the test that started it gives up before
PATIENCE_S = 150

asked = json.load(sys.stdin)
features = SimpleNamespace(data_loc=DataLocation.deserialize(asked["features"]))
sent = []
# the second classifier is not there
for classifier in (1, 2):
    sent.append(Job.objects.create(job_name="classify").pk)
    image = SimpleNamespace(pk=sent[-1], features=features)
    start_classification(image, SimpleNamespace(pk=classifier))
for name, task in asked["jobs"]:
    sent.append(Job.objects.create(job_name=name).pk)
    job = {"task_name": name, "tasks": [{**task, "job_token": str(sent[-1])}]}
    process_job.apply_async([job], link=job_done.s(), link_error=job_failed.s(sent[-1]))
end = time.monotonic() + PATIENCE_S
while Job.objects.filter(status="pending").exists() and time.monotonic() < end:
    time.sleep(0.2)
found = [Job.objects.get(pk=pk) for pk in sent]
print(json.dumps([[job.status, job.result_message, job.handled] for job in found]))
