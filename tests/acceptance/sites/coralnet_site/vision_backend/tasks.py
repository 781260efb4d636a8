"""What the site does with the queue: it submits a job at a time and collects in slices of 100."""

from __future__ import annotations

from collections import Counter
from typing import Any

from config.constants import SpacerJobSpec
from jobs.models import Job
from spacer.messages import JobMsg, JobReturnMsg

from .queues import get_queue_class

SLICE = 100


def submit(task_name: str, task: dict[str, Any], spec: str = "medium") -> int:
    """Make a job and send it; a queue that raises ends it as failed."""
    job = Job.objects.create(job_name=task_name)
    message = JobMsg.deserialize(
        {"task_name": task_name, "tasks": [{**task, "job_token": str(job.pk)}]}
    )
    try:
        get_queue_class()().submit_job(message, job.pk, SpacerJobSpec(spec))
    except Exception as error:  # noqa: BLE001 -- whatever a queue raises
        finish(job.pk, "failure", f"{type(error).__name__}: {error}")
    else:
        Job.objects.filter(pk=job.pk).update(status="in_progress")
    return job.pk


def collect() -> str:
    """One pass over all that can be collected; what it says is what operators see."""
    queue = get_queue_class()()
    jobs = list(queue.get_collectable_jobs())
    statuses: Counter[str] = Counter()
    for start in range(0, len(jobs), SLICE):
        results, words = queue.collect_jobs(jobs[start : start + SLICE])
        statuses.update(words)
        for result in results:
            handle(result)
    counts = ", ".join(f"{count} {word}" for word, count in sorted(statuses.items()))
    return f"Jobs checked/collected: {counts or '0'}"


def handle(result: JobReturnMsg) -> None:
    """Take a result in: by the reference's own class, and by the last line of an error."""
    assert isinstance(result, JobReturnMsg)
    task = result.original_job.tasks[0]
    if result.ok:
        text = type(result.results[0]).__name__
        finish(int(task.job_token), "success", text)
    else:
        last = result.error_message.splitlines()[-1]
        error_class, colon, info = last.partition(":")
        # an error without a text is its name alone
        assert bool(colon) == bool(info.strip())
        finish(int(task.job_token), "failure", f"{error_class}: {info.strip()}" if info else last)


def finish(job_id: int, status: str, message: str) -> None:
    """The job may have been deleted meanwhile."""
    for job in Job.objects.filter(pk=job_id):
        job.status, job.result_message, job.handled = status, message, job.handled + 1
        job.save()
